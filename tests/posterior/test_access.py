"""What is not a fit is refused by every function that takes one."""

import warnings
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


@pytest.mark.mcmc
def test_rows_of_a_fit_whose_tasks_were_selected_are_refused() -> None:
    data = bm.simulate("exchangeable", n_tasks=4, n_rows=8, n_features=1, random_seed=1).data
    short = {"draws": 20, "tune": 20, "chains": 2, "random_seed": 1, "progressbar": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BayesMTLWarning)
        fit = bm.Model("y ~ x1", task="task").fit(data, **short)  # type: ignore[arg-type]
    for chosen in ([2, 1, 0, 3], [0, 1]):
        some = fit.isel(task=chosen, missing_dims="ignore")
        some = some.isel(task_bis=chosen, missing_dims="ignore")
        with pytest.raises(bm.InvalidDataError, match="tasks of this fit were selected or put in"):
            bm.predict(some)
        # Their weights are known by label.
        mine = data[data["task"].isin(fit["posterior"]["task"].to_numpy()[chosen])]
        np.testing.assert_allclose(
            bm.predict(some, mine)["predictions"]["mean"].mean(("chain", "draw")),
            bm.predict(fit, mine)["predictions"]["mean"].mean(("chain", "draw")),
        )
