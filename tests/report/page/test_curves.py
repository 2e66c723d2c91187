"""Functions on the page."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesmtl as bm
from bayesmtl.plots import function_values
from bayesmtl.plots.function_values import FunctionData
from bayesmtl.report.page import curves as module
from bayesmtl.report.page.curves import function_curves
from bayesmtl.report.page.packing import unpack
from bayesmtl.report.page.tasks import page_tasks
from tests.report.page.conftest import quiet_fit


def test_curves_over_one_input(functions: xr.DataTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function_values, "_MOST_PANELS", 2)
    found = function_curves(functions, page_tasks(functions))
    assert [panel["task"] for panel in found["panels"]] == ["a", "b"]
    assert found["note"] == "The 2 of 3 tasks with the most rows."
    panel = found["panels"][0]
    assert len(panel["rows"]) == 12
    low, mean, high = (np.array(panel[name]) for name in ("lower", "mean", "upper"))
    assert ((low < mean) & (mean < high)).all()
    assert (panel["x"][0], panel["x"][-1]) == (0.0, 6.0)


def test_a_map_of_two_inputs() -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame(rng.uniform(size=(24, 2)), columns=["east", "north"])
    data = data.assign(y=data["east"] + rng.normal(0.0, 0.1, 24), soil=["s", "t"] * 12)
    fit = quiet_fit(bm.MultiTaskGP("y ~ east + north", task="soil"), data)
    found = function_curves(fit, page_tasks(fit))
    assert found["inputs"] == ["east", "north"]
    panel = found["panels"][0]
    assert unpack(panel["mean"]).shape == (panel["cells"] ** 2,)
    assert panel["across"][0] < panel["across"][1]
    assert len(panel["rows"][0]) == 3


def test_more_inputs_are_held_at_their_medians(
    functions: xr.DataTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = np.array([[0.0, 1.0, 5.0], [2.0, 3.0, 7.0], [4.0, 2.0, 6.0]])
    labels = np.array(["a", "b", "c"])
    names, held = ("x", "y", "z"), pd.DataFrame(index=range(3))
    task, response = np.zeros(3, int), np.ones(3)
    data = FunctionData(inputs, task, response, labels, names, names, held)
    asked = []

    def predict(*arguments: Any) -> pd.DataFrame:
        asked.append(arguments[3])
        return pd.DataFrame(np.zeros((60, 3)), columns=["mean", "lower", "upper"])

    monkeypatch.setattr(module, "read_functions", lambda _: data)
    monkeypatch.setattr(module, "predict_points", predict)
    found = function_curves(functions, page_tasks(functions))
    assert found["note"] == "The inputs other than x are held at their medians."
    np.testing.assert_array_equal(np.unique(asked[0][:, 1:], axis=0), [[2.0, 6.0]])
    assert (asked[0][0, 0], asked[0][-1, 0]) == (0.0, 4.0)
