"""Predictions of missing entries and densities of rows, from a fit."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import multivariate_normal, norm

import bayesmtl as bm


@pytest.fixture
def new(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of several patterns, columns in another order, a shuffled index."""
    out = rows.iloc[[3, 50, 7, 61, 8]][["x3", "task", "x1", "x0", "x2"]].copy()
    out.index = [9, 4, 4, 1, 0]
    out.iloc[0, 2] = out.iloc[1, 0] = out.iloc[1, 4] = np.nan
    out.iloc[3, [0, 2, 3, 4]] = np.nan
    return out


def moments(idata: xr.DataTree, task: str, there: dict[str, float], name: str) -> np.ndarray:
    """(2, sample): mean and variance of one entry given others, by dense algebra."""
    posterior = idata["posterior"].to_dataset().sel(task=task).stack(sample=("chain", "draw"))
    names = posterior["node"].to_numpy().tolist()
    seen, j = [names.index(key) for key in there], names.index(name)
    out = []
    for s in range(posterior.sizes["sample"]):
        mu = posterior["mean"].isel(sample=s).to_numpy()
        k = posterior["precision"].isel(sample=s).transpose("node", "node_bis").to_numpy()
        c = np.linalg.inv(k)
        gain = c[j, seen] @ np.linalg.inv(c[np.ix_(seen, seen)]) if seen else np.zeros(0)
        value = np.array(list(there.values()))
        out.append((mu[j] + gain @ (value - mu[seen]), c[j, j] - gain @ c[seen, j]))
    return np.array(out).T


def test_frame(horseshoe: xr.DataTree, new: pd.DataFrame) -> None:
    table = bm.predict(horseshoe, new, as_frame=True, ci_prob=0.8)
    assert table.index.tolist() == [9, 4, 4, 1, 1, 1, 1]
    assert table["variable"].tolist() == ["x1", "x2", "x3", "x0", "x1", "x2", "x3"]
    assert table["task"].tolist() == ["a", "b", "b", "b", "b", "b", "b"]
    first = new.iloc[1]
    mean, variance = moments(horseshoe, "b", {"x0": first["x0"], "x1": first["x1"]}, "x3")
    line = table.iloc[2]
    assert line["mean"] == pytest.approx(mean.mean())
    assert line["sd"] == pytest.approx(np.sqrt(variance.mean() + mean.var()))
    for name, tail in (("lower", 0.1), ("upper", 0.9)):
        below = norm(mean, np.sqrt(variance)).cdf(line[name]).mean()
        assert below == pytest.approx(tail, abs=1e-6)


def test_group(spike_slab: xr.DataTree, new: pd.DataFrame) -> None:
    tree = bm.predict(spike_slab, new)
    group = tree["predictions"].to_dataset()
    assert group["mean"].dims == ("obs", "node")
    assert group["missing"].sum() == 7
    known = ~group["missing"].to_numpy()
    ordered = new[["x0", "x1", "x2", "x3"]].to_numpy()
    np.testing.assert_allclose(group["mean"].to_numpy()[known], ordered[known])
    assert group["sd"].to_numpy()[known].max() == 0.0
    table = bm.predict(spike_slab, new, as_frame=True)
    np.testing.assert_allclose(group["mean"].to_numpy()[~known], table["mean"])
    tasks = tree["predictions_constant_data"]["task_index"].to_numpy().tolist()
    assert tasks == [0, 1, 0, 1, 0]


def test_density_of_new_rows(spike_slab: xr.DataTree, new: pd.DataFrame) -> None:
    bm.compute_log_likelihood(spike_slab, new)
    found = spike_slab["log_likelihood"]["y"]
    assert found.dims == ("chain", "draw", "obs")
    posterior = spike_slab["posterior"].isel(chain=1, draw=5)
    names = posterior["node"].to_numpy().tolist()
    for i in range(len(new)):
        row = new.iloc[i][names].to_numpy(dtype=float)
        there = ~np.isnan(row)
        own = posterior.sel(task=new["task"].iloc[i])
        c = np.linalg.inv(own["precision"].to_numpy())[np.ix_(there, there)]
        mu = own["mean"].to_numpy()[there]
        expected = multivariate_normal(mu, c).logpdf(row[there]) if there.any() else 0.0
        assert float(found[1, 5, i]) == pytest.approx(expected)


def test_a_frame_for_each_task(horseshoe: xr.DataTree, new: pd.DataFrame) -> None:
    apart = {label: part.drop(columns="task") for label, part in new.groupby("task")}
    table = bm.predict(horseshoe, apart, as_frame=True)
    whole = bm.predict(horseshoe, new, as_frame=True)
    np.testing.assert_allclose(table["mean"].sort_values(), whole["mean"].sort_values())


def test_refusals(horseshoe: xr.DataTree, new: pd.DataFrame) -> None:
    with pytest.raises(bm.InvalidDataError, match="no entry of the rows is missing"):
        bm.predict(horseshoe, new.iloc[[2]])
    with pytest.raises(bm.InvalidDataError, match=r"not in the fit \(.q.\)"):
        bm.predict(horseshoe, new.assign(task="q"))
    with pytest.raises(bm.InvalidDataError, match='names the column "x2"'):
        bm.predict(horseshoe, new.drop(columns="x2"))
    with pytest.raises(bm.InvalidModelError, match="ci_prob"):
        bm.predict(horseshoe, new, ci_prob=2.0)
    for option in ({"kind": "response"}, {"new_task": "population"}, {"given": new}):
        with pytest.raises(bm.UnsupportedError, match=f"{next(iter(option))}= does not go with"):
            bm.predict(horseshoe, new, **option)


def test_density_that_does_not_fit(
    horseshoe: xr.DataTree, new: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bayesmtl.graphical.predict._MOST_BYTES", 100)
    with pytest.raises(bm.UnsupportedError, match="thin the draws first"):
        bm.compute_log_likelihood(horseshoe, new)


@pytest.mark.parametrize(
    "function",
    [
        bm.plot_weights,
        bm.plot_sharing,
        bm.plot_clusters,
        bm.plot_task_relations,
        bm.plot_inclusion,
    ],
)
def test_functions_of_linear_models(function: object, horseshoe: xr.DataTree) -> None:
    with pytest.raises(bm.UnsupportedError, match=r"has graphs: use bm\.plot_graph"):
        function(horseshoe)  # type: ignore[operator]


def test_report_of_linear_models(horseshoe: xr.DataTree) -> None:
    from bayesmtl.report import summarize_fit

    with pytest.raises(bm.UnsupportedError, match="the report is about the weights"):
        summarize_fit(horseshoe)
