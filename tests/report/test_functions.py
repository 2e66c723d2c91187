"""A fit of functions in words."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from bayesmtl.report import print_report
from bayesmtl.report.layout import write_plots
from bayesmtl.report.passages import describe_fit

TASKS = ["a", "b"]
STATISTICS = ["mean", "sd", "lower", "upper", "p_positive"]


def build(dims: tuple[str, ...] = ("feature", "statistic")) -> xr.DataTree:
    sample = ("chain", "draw")
    rng = np.random.default_rng(0)
    noise = rng.uniform(0.9, 1.1, (2, 10, 2)) * [1.0, 3.0]
    posterior = xr.Dataset(
        {"noise_sd": ((*sample, "task"), noise)},
        {"chain": [0, 1], "draw": range(10), "task": TASKS},
    )
    pair = np.array([0.5, 0.1, 0.3, 0.7, 1.0])
    correlation = np.stack([np.stack([np.ones(5), pair]), np.stack([pair, np.ones(5)])])
    lengths = np.array([[4.0, 1.0, 3.0, 5.0, np.nan], [1.0, 0.5, 0.5, 2.0, np.nan]])
    lengths = lengths if len(dims) == 2 else lengths[None]
    relations = xr.Dataset(
        {
            "task_correlation": (("task", "task_bis", "statistic"), correlation),
            "lengthscale": (dims, lengths),
        },
        {"task": TASKS, "task_bis": TASKS, "statistic": STATISTICS, "feature": ["u", "v"]},
        {"functions": 1, "kernel": "rbf"},
    )
    constant = xr.Dataset(
        {"n_rows": ("task", [5, 7]), "input_scale": ("feature", [1.0, 10.0])},
        {"task": TASKS, "feature": ["u", "v"]},
    )
    attrs = {
        "model": json.dumps({"type": "MultiTaskGP", "task": "soil"}),
        "design": json.dumps({"rows": {"formula": "y ~ u + v"}}),
        "inference": json.dumps({"method": "gibbs"}),
        "verdict": "OK: all quantities mix",
        "sampling_seconds": 2.0,
    }
    groups = {"posterior": posterior, "task_relations": relations, "constant_data": constant}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=attrs)} | groups)


def test_what_a_user_reads_first(capsys: pytest.CaptureFixture[str]) -> None:
    fit = build()
    told = describe_fit(fit)
    assert told.heading == (
        "y ~ u + v, a function for each of 2 tasks (soil), 12 rows, kernel rbf\n"
        "2 x 10 draws by gibbs in 2.0 s"
    )
    sentences = dict(told.sentences)
    correlations = sentences["Correlations of the tasks' functions"]
    assert "surest: a and b, 0.50 (0.30 to 0.70)" in correlations
    assert "(task b)" in sentences["Noise"]
    ((_, lengths),) = told.tables
    # Against the range of its input v bends faster.
    assert lengths[""].tolist() == ["v", "u"]
    assert lengths["length-scale"].tolist() == [1.0, 4.0]
    print_report(fit)
    assert "Diagnostics: OK" in capsys.readouterr().out


def test_several_kernels_have_no_table() -> None:
    assert describe_fit(build(("component", "feature", "statistic"))).tables == []


def test_plots_are_those_of_functions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("task_relations", "functions"):
        monkeypatch.setattr(f"bayesmtl.plots.plot_{name}", lambda _: Figure())
    names = [path.name for path in write_plots(build(), tmp_path)]
    assert names == ["task_relations.png", "functions.png"]
