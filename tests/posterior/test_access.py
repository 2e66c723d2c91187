"""What is not a fit is refused by every function that takes one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesmtl as bm
from bayesmtl.posterior.access import require_fit


def _save(fit: Any) -> None:
    bm.save(fit, Path("never.zarr"))


TAKERS: list[Callable[[Any], object]] = [
    bm.compute_log_likelihood,
    bm.diagnose,
    bm.plot_sharing,
    bm.plot_task_relations,
    bm.plot_weights,
    bm.predict,
    _save,
    bm.task_relations,
]


@pytest.mark.parametrize("take", TAKERS)
def test_other_objects_are_named(take: Callable[[Any], object]) -> None:
    with pytest.raises(
        bm.InvalidTypeError, match=r"this is a DataFrame: pass .* model\.fit or bm\.load returned"
    ):
        take(pd.DataFrame({"y": [1.0]}))


@pytest.mark.parametrize("take", [take for take in TAKERS if take is not _save])
def test_parts_of_a_fit_are_refused(take: Callable[[Any], object]) -> None:
    with pytest.raises(bm.InvalidDataError, match=r"is missing .*\(groups found: prior\).*whole"):
        take(xr.DataTree.from_dict({"prior": xr.Dataset()}))


@pytest.mark.parametrize("name", ["chain", "draw"])
def test_draws_without_a_dimension_are_refused(name: str) -> None:
    fit = xr.DataTree.from_dict(
        {"posterior": xr.Dataset({"sharing": (("chain", "draw"), np.zeros((2, 3)))})}
    )
    require_fit(fit, "posterior")
    with pytest.raises(bm.InvalidDataError, match=rf"no dimension '{name}'.*isel\({name}=\[0\]"):
        require_fit(fit.isel({name: 0}), "posterior")
