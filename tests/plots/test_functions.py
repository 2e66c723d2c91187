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
    return fit_functions(f"`yield in $` ~ {formula}", rows)


def fit_functions(formula: str, rows: pd.DataFrame) -> xr.DataTree:
    """A short fit of functions."""
    short: dict[str, Any] = {"draws": 5, "tune": 5, "chains": 1, "basis_size": 4}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BayesMTLWarning)
        model = bm.MultiTaskGP(formula, task="task")
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


def text_of(figure: Figure) -> str:
    return str(figure.texts[-1].get_text()).replace("\n", " ")


def make_rows() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    rows = pd.DataFrame({"task": np.repeat(["a", "b"], [12, 8]), "day": rng.random(20)})
    rows["age"] = rng.random(20)
    rows["diet"] = np.where(rng.random(20) < 0.7, "low", "high")
    rows["visit"] = np.tile([1, 2, 2, 3], 5)
    rows["trials"] = 4
    rows["y"] = rng.integers(0, 5, 20)
    return rows


def fit_linear(formula: str, rows: pd.DataFrame, **options: Any) -> xr.DataTree:
    """A short fit of a linear model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BayesMTLWarning)
        model = bm.Model(formula, task="task", **options)
        return model.fit(rows, draws=5, tune=5, chains=1, random_seed=1, progressbar=False)


def test_curves_of_a_linear_model_hold_the_other_columns() -> None:
    rows = make_rows()
    idata = fit_linear("y ~ hsgp(day, m=3) + log(age + 1) + diet + C(visit)", rows)
    figure = bm.plot_functions(idata, rows.sample(frac=1.0, random_state=2), tasks=["b"])
    ax = figure.axes[0]
    assert ax.get_xlabel() == "day"
    own = rows[rows["task"] == "b"]
    held = {"age": own["age"].median(), "diet": own["diet"].mode()[0], "visit": 2, "task": "b"}
    line = max(ax.lines, key=lambda line: np.size(line.get_xdata()))
    drawn = pd.DataFrame({"day": line.get_xdata()}).assign(**held)
    found = bm.predict(idata, drawn, as_frame=True)
    np.testing.assert_allclose(np.asarray(line.get_ydata()), found["mean"])
    dots = next(line for line in ax.lines if line.get_marker() == "o")
    order = np.argsort(dots.get_xdata())
    np.testing.assert_allclose(np.asarray(dots.get_ydata())[order], own.sort_values("day")["y"])
    text = "at the median of age and the commonest diet, visit of the task"
    assert text in text_of(figure)
    assert "rows of the task (whatever their age, diet, visit), grey dots" in text_of(figure)
    assert "those of the others, where they fall into the picture." in text_of(figure)
    over_age = bm.plot_functions(idata, rows, input="age")
    assert over_age.axes[0].get_xlabel() == "age"
    with pytest.raises(bm.UnsupportedError, match=r"pass the rows too, bm.plot_functions\(idata,"):
        bm.plot_functions(idata)
    with pytest.raises(
        bm.InvalidDataError, match="input='diet' holds no numbers; inputs are day, age"
    ):
        bm.plot_functions(idata, rows, input="diet")
    with pytest.raises(bm.InvalidDataError, match="task 'new' is in column 'task' but not in the"):
        bm.plot_functions(idata, rows.assign(task="new"))


def test_a_linear_model_of_two_inputs_is_a_map() -> None:
    rows = make_rows()
    figure = bm.plot_functions(fit_linear("y ~ hsgp(day, age, m=[2, 2]) + visit", rows), rows)
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("day", "age")
    assert "at the median of visit of the task" in text_of(figure)


def test_counts_are_drawn_as_shares() -> None:
    rows = make_rows()
    idata = fit_linear("y ~ day", rows, likelihood=bm.Binomial(trials="trials"))
    ax = bm.plot_functions(idata, rows, tasks=["a"]).axes[0]
    dots = next(line for line in ax.lines if line.get_marker() == "o")
    np.testing.assert_allclose(np.asarray(dots.get_ydata()), rows["y"][:12] / 4)
    assert np.max(np.asarray(ax.lines[1].get_ydata())) <= 1.0
    assert ax.get_ylim() == (-0.05, 1.05)
    assert ax.get_ylabel() == "y / trials"


def test_levels_and_formulas_without_numbers_have_no_functions() -> None:
    rows = make_rows()
    ordered = fit_linear("y ~ day", rows, likelihood=bm.Ordinal(levels=[0, 1, 2, 3, 4]))
    with pytest.raises(bm.UnsupportedError, match="this fit has ordered levels or tasks of diff"):
        bm.plot_functions(ordered, rows)
    of_text = fit_linear("y ~ diet", rows)
    with pytest.raises(bm.UnsupportedError, match="no column of numbers to draw functions over"):
        bm.plot_functions(of_text, rows)


def test_inputs_may_have_any_name() -> None:
    rows = make_rows().rename(columns={"day": "N rate [kg/ha]"})
    idata = fit_functions("y ~ `N rate [kg/ha]`", rows)
    assert bm.plot_functions(idata).axes[0].get_xlabel() == "N rate [kg/ha]"
