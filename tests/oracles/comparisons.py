"""Comparisons of two fits."""

from typing import Any

import numpy as np
import xarray as xr

from bayesmtl import Model
from tests.oracles.cases import agree, fit

__all__ = ["LONG", "equal_draws", "posterior", "same_means"]

LONG = {"draws": 3000, "tune": 300, "chains": 2, "cores": 2}


def posterior(model: Model, data: Any, **settings: Any) -> Any:
    return fit(model, data, **settings)["posterior"].to_dataset()


def same_means(first: Any, second: Any, names: list[str]) -> None:
    """All elements agree within Monte Carlo error; tasks and features are matched by label."""
    for name in names:
        one, other = xr.align(first[name], second[name], join="exact", exclude=("chain", "draw"))
        extra = [dim for dim in one.dims if dim not in ("chain", "draw")]
        one, other = (
            part.transpose("chain", "draw", *extra).values.reshape(*part.shape[:2], -1)
            for part in (one, other.transpose(*one.dims))
        )
        for i in range(one.shape[2]):
            assert agree(one[..., i], other[..., i], 4.2), (name, i)
            assert agree(one[..., i] ** 2, other[..., i] ** 2, 4.2), (name, i)


def equal_draws(first: Any, second: Any, names: list[str], **options: Any) -> None:
    for name in names:
        np.testing.assert_allclose(first[name].values, second[name].values, **options)
