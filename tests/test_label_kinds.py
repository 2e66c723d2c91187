"""Tasks whose labels are booleans, numbers, dates or awkward texts, from the fit to the report."""

import datetime
import itertools
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesmtl as bm

SHORT: dict[str, Any] = {"draws": 30, "tune": 30, "chains": 2, "random_seed": 1}
DAYS = [datetime.date(2020, 1, 1), datetime.date(2020, 1, 2), datetime.date(2021, 3, 4)]
LABELS: dict[str, list[Any]] = {
    "booleans": [False, True],
    "numbers": [-3, 7, 11],
    "dates": DAYS,
    "texts": ["$x_1$ \u00e9", "<b>&amp;", "NY -> CA"],
}


def rows(labels: list[Any]) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n_rows = np.arange(6, 6 + 2 * len(labels), 2)
    task = np.repeat(np.arange(len(labels)), n_rows)
    x = rng.normal(size=len(task))
    y = x * np.linspace(1.0, 2.0, len(labels))[task] + rng.normal(size=len(task))
    return pd.DataFrame({"task": pd.Series(labels).iloc[task].to_numpy(), "x": x, "y": y})


def fit_chain(labels: list[Any]) -> xr.DataTree:
    """A graph of the tasks that leads from one to the next."""
    relation = bm.KnownGraph(list(itertools.pairwise(labels)))
    model = bm.Model("y ~ x", task="task", relation=relation)
    with pytest.warns(bm.BayesMTLWarning, match="CHECK"):  # of so few draws
        return model.fit(rows(labels), cores=1, progressbar=False, **SHORT)


@pytest.mark.mcmc
@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_every_kind(kind: str, tmp_path: Path) -> None:
    labels = LABELS[kind]
    data = rows(labels)
    bm.save(fit_chain(labels), tmp_path / "fit.zarr")
    fit = bm.load(tmp_path / "fit.zarr")
    told: Any = bm.predict(fit, data, as_frame=True)
    assert told["task"].astype(str).tolist() == data["task"].astype(str).tolist()
    # What texts of the same order give.
    plain = fit_chain([f"task {k}" for k in range(len(labels))])
    for name in ("weights", "borrowing"):
        np.testing.assert_array_equal(fit["posterior"][name], plain["posterior"][name])
    problems, expected = (
        json.loads(some.attrs["diagnostics"])["problems"] for some in (fit, plain)
    )
    assert len(problems) == len(expected)
    for plot in (bm.plot_weights, bm.plot_sharing, bm.plot_task_relations):
        figure, same = plot(fit), plot(plain)
        for ax, other in zip(figure.axes, same.axes, strict=True):
            assert len(ax.collections) == len(other.collections)
        plt.close(figure)
        plt.close(same)
    bm.write_report(fit, tmp_path / "report.html")
