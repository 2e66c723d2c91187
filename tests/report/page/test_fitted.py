"""Predictions beside the data."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesmtl as bm
from bayesmtl.report.page import fitted as module
from bayesmtl.report.page.fitted import fitted_values
from bayesmtl.report.page.packing import unpack
from bayesmtl.report.page.tasks import page_tasks
from tests.report.page.conftest import quiet_fit


def test_numbers_by_task_and_row(clustered: xr.DataTree, rows: pd.DataFrame) -> None:
    found = fitted_values(clustered, page_tasks(clustered))
    means = rows.groupby("task", sort=False)["y"].mean()
    labels = clustered["posterior"]["task"].to_numpy()
    np.testing.assert_allclose(unpack(found["by_task"]["observed"]), means[labels], atol=1e-3)
    expected = bm.predict(clustered, as_frame=True)
    np.testing.assert_allclose(unpack(found["rows"]["expected"]), expected["mean"], atol=1e-3)
    assert 0.7 < found["inside"] <= 1.0
    assert found["n"] == len(rows)
    assert found["notes"] == []
    assert "posterior_predictive" not in clustered.children


def test_yes_or_no_is_told_by_bins(rows: pd.DataFrame) -> None:
    data = rows.assign(y=(rows["y"] > rows["y"].median()).astype(int))
    model = bm.Model("y ~ x1 + x2", task="task", likelihood=bm.Bernoulli())
    fit = quiet_fit(model, data)
    found = fitted_values(fit, page_tasks(fit))
    assert sum(n for n, _, _ in found["bins"]) == len(data)
    assert [mean for _, mean, _ in found["bins"]] == sorted(mean for _, mean, _ in found["bins"])
    assert "rows" not in found


@pytest.mark.parametrize(
    ("likelihood", "trials", "bins"),
    [
        (bm.Gaussian(), 1, False),
        (bm.Poisson(), 1, False),
        (bm.Binomial(trials="n"), 1, True),
        (bm.Binomial(trials="n"), 2, False),
    ],
    ids=str,
)
def test_zeros_and_ones_need_not_have_probabilities(
    rows: pd.DataFrame, likelihood: object, trials: int, bins: bool
) -> None:
    data = rows.assign(y=(rows["y"] > rows["y"].median()).astype(int), n=trials)
    fit = quiet_fit(bm.Model("y ~ x1", task="task", likelihood=likelihood), data)
    found = fitted_values(fit, page_tasks(fit))
    assert ("bins" in found, "rows" in found) == (bins, not bins)


def test_grades_are_told_by_shares(rows: pd.DataFrame) -> None:
    grade = pd.cut(rows["y"], 3, labels=["low", "mid", "high"]).astype(str)
    likelihood = bm.Ordinal(levels=["low", "mid", "high"])
    model = bm.Model("y ~ x1 + x2", task="task", likelihood=likelihood)
    fit = quiet_fit(model, rows.assign(y=grade))
    found = fitted_values(fit, page_tasks(fit))
    assert [name for name, _, _ in found["levels"]] == ["low", "mid", "high"]
    seen = [seen for _, seen, _ in found["levels"]]
    shares = [(grade == x).mean() for x in ("low", "mid", "high")]
    np.testing.assert_allclose(seen, shares, atol=1e-3)
    assert sum(expected for _, _, expected in found["levels"]) == pytest.approx(1.0, abs=0.01)


def test_grades_may_be_half_points(rows: pd.DataFrame) -> None:
    grade = pd.cut(rows["y"], 3, labels=False).map({0: 1.0, 1: 1.5, 2: 2.0})
    model = bm.Model("y ~ x1 + x2", task="task", likelihood=bm.Ordinal(levels=[1, 1.5, 2]))
    fit = quiet_fit(model, rows.assign(y=grade))
    found = fitted_values(fit, page_tasks(fit))["levels"]
    shares = [(grade == x).mean() for x in (1, 1.5, 2)]
    np.testing.assert_allclose([seen for _, seen, _ in found], shares, atol=1e-3)


def test_very_many_rows(
    clustered: xr.DataTree, functions: xr.DataTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_ROWS", 20)
    found = fitted_values(clustered, page_tasks(clustered))
    assert found["notes"] == ["Of 96 rows, 20 evenly spaced ones are used."]
    assert found["n"] == 20
    # Groups of other rows are left alone.
    beside = clustered.copy()
    beside["predictions"] = xr.DataTree(xr.Dataset({"mean": ("obs", np.zeros(3))}))
    assert fitted_values(beside, page_tasks(beside))["n"] == 20
    # Functions are conditioned on every row.
    found = fitted_values(functions, page_tasks(functions))
    assert found == {"notes": ["With 36 rows predictions are not shown: use bm.predict(idata)."]}


def test_functions_are_predicted(functions: xr.DataTree) -> None:
    found = fitted_values(functions, page_tasks(functions))
    assert len(found["rows"]["task"]) == 36


def test_a_missing_group(clustered: xr.DataTree) -> None:
    fit = clustered.copy()
    del fit["observed_data"]
    assert fitted_values(fit, page_tasks(fit)) == {
        "notes": ["The fit lacks the group observed_data, which predictions read."]
    }
