"""Functions of the tasks: axes, colours and what they are named."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.figure import Figure

import bayesmtl as bm


def make_functions(formula: str, shift: float = 0.0) -> xr.DataTree:
    """A short fit of two tasks, whose functions are so far apart."""
    rng = np.random.default_rng(3)
    rows = pd.DataFrame({"task": np.repeat(["a", "b"], 15), "x": rng.random(30)})
    rows["z"] = rng.random(30)
    rows["yield in $"] = np.sin(5 * rows.x) + rows.z + shift * (rows.task == "b")
    short: dict[str, Any] = {"draws": 5, "tune": 5, "chains": 1, "basis_size": 4}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BayesMTLWarning)
        model = bm.MultiTaskGP(f"`yield in $` ~ {formula}", task="task")
        return model.fit(rows, **short, random_seed=1, progressbar=False)


def bars(figure: Figure) -> list[Any]:
    return [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]


def test_curves_name_the_response_at_the_left() -> None:
    axes = bm.plot_functions(make_functions("x")).axes
    assert [ax.get_ylabel() for ax in axes] == [r"yield in \$", ""]


@pytest.mark.parametrize(("shift", "n_bars"), [(0.5, 1), (50.0, 2)])
def test_maps_have_one_scale_unless_a_task_would_pale(shift: float, n_bars: int) -> None:
    figure = bm.plot_functions(make_functions("x + z", shift))
    assert [bar.get_ylabel() for bar in bars(figure)] == [r"yield in \$"] * n_bars
    limits = {ax.collections[0].get_clim() for ax in figure.axes[:2]}
    assert len(limits) == n_bars
