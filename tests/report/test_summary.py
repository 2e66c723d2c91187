"""The sentences and the population table of the report, against a fit made by hand."""

import json
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from bayesmtl.report import summarize_fit
from bayesmtl.report.graphs import describe_graph
from bayesmtl.report.summary import describe_correlations

MakeFit = Callable[..., xr.DataTree]


def test_heading_says_what_was_fitted(make_fit: MakeFit) -> None:
    assert summarize_fit(make_fit()).heading.splitlines() == [
        "y ~ u + v for each of 4 tasks (group), 1,221 rows, relation Exchangeable",
        "2 x 50 draws by gibbs in 1.2 s",
    ]


def test_heading_says_that_sites_were_corrected(make_fit: MakeFit) -> None:
    fit = make_fit()
    fit.attrs["inference"] = json.dumps({"method": "gibbs", "sites": "corrected"})
    assert "draws by gibbs around corrected sites in" in summarize_fit(fit).heading


def test_verdict_is_that_of_the_fit(make_fit: MakeFit) -> None:
    assert summarize_fit(make_fit()).verdict == "OK: all quantities mix"


def test_population_has_a_row_per_coefficient(make_fit: MakeFit) -> None:
    fit = make_fit()
    population = summarize_fit(fit).population.set_index("term")
    assert list(population.index) == ["Intercept (at the average features)", "u", "v"]
    draws = fit["posterior"]["population_mean"].sel(feature="v").to_numpy().ravel()
    row = population.loc["v"]
    assert row["mean"] == pytest.approx(draws.mean())
    assert (row["mean_lower"], row["mean_upper"]) == pytest.approx(np.quantile(draws, [0.05, 0.95]))
    assert population.loc["u", "sd_lower"] < population.loc["u", "sd"]


def test_effects_of_task_features_follow(make_fit: MakeFit) -> None:
    fit = make_fit()
    posterior = fit["posterior"].to_dataset().assign_coords(task_feature=["soil"])
    posterior["intercept_task_effects"] = posterior["intercept_mean"].expand_dims(
        task_feature=1, axis=-1
    )
    posterior["task_effects"] = posterior["population_mean"].expand_dims(task_feature=1, axis=-1)
    fit["posterior"] = xr.DataTree(posterior)
    population = summarize_fit(fit).population.set_index("term")
    assert list(population.index[3:]) == ["Intercept × soil", "u × soil", "v × soil"]
    assert population.loc["u × soil", "mean"] == population.loc["u", "mean"]
    assert np.isnan(population.loc["u × soil", "sd"])


def test_sharing_in_a_sentence(make_fit: MakeFit) -> None:
    fit = make_fit()
    sharing = summarize_fit(fit).sharing
    mean = float(fit["posterior"]["sharing"].mean())
    assert sharing.startswith(
        f"most of what the features explain is common to the tasks: {mean:.2f}"
    )
    assert "90% interval 0.6" in sharing
    draws = fit["posterior"].to_dataset()["sharing"]
    fit["posterior"]["sharing"] = (draws - draws.min()) / (draws.max() - draws.min())
    assert summarize_fit(fit).sharing.startswith("little to nearly all of what the features")


def test_sharing_that_is_fixed_or_absent(make_fit: MakeFit) -> None:
    fit = make_fit()
    fit["posterior"]["sharing"] = fit["posterior"].to_dataset()["sharing"] * 0 + 1
    assert summarize_fit(fit).sharing == "1.00 by the choice of the relation"
    fit["posterior"] = xr.DataTree(fit["posterior"].to_dataset().drop_vars("sharing"))
    assert summarize_fit(fit).sharing == "not defined for this model"


def test_noise_common_per_task_and_known(make_fit: MakeFit) -> None:
    fit = make_fit()
    assert summarize_fit(fit).noise.endswith("the same for every task")
    posterior = fit["posterior"].to_dataset()
    per_task = xr.DataArray([1.0, 2.0, 3.0, 0.5], dims="task") * xr.ones_like(posterior["noise_sd"])
    fit["posterior"] = xr.DataTree(posterior.assign(noise_sd=per_task))
    assert summarize_fit(fit).noise == "sd 1.5 in the median task, from 0.5 (task d) to 3 (task c)"
    fit["posterior"] = xr.DataTree(posterior.drop_vars("noise_sd"))
    assert summarize_fit(fit).noise == "known standard errors"


def test_correlations_of_tasks_name_the_surest_pair(make_fit: MakeFit) -> None:
    assert not summarize_fit(make_fit()).correlations
    names = ["mean", "lower", "upper"]
    values = np.tile([0.0, -0.5, 0.5], (4, 4, 1))
    values[0, 2] = values[2, 0] = [-0.7, -0.9, -0.2]
    labels = list("abcd")
    relations = xr.Dataset(
        {
            "task_correlation": (("task", "task_bis", "statistic"), values),
            "prior_task_correlation": ("statistic", [0.0, -0.9, 0.9]),
        },
        {"task": labels, "task_bis": labels, "statistic": names},
    )
    text = describe_correlations(relations)
    assert "without 0 in 1 of 6 pairs" in text
    assert "surest: a and c, -0.70 (-0.90 to -0.20); prior of a pair -0.90 to 0.90" in text
    relations["task_correlation"][:] = [0.1, -0.5, 0.5]
    assert "without 0 in 0 of 6 pairs of tasks; largest: a and b" in describe_correlations(
        relations
    )
    assert not describe_correlations(relations.assign_attrs(task_covariance="given"))
    relations["task_correlation"][:] = [0.1, np.nan, np.nan]
    relations["task_correlation"][2, 3] = [-0.4, np.nan, np.nan]
    told = "point estimates without intervals; largest: c and d, -0.40"
    assert describe_correlations(relations) == told


def test_shares_along_a_tree_stand_beside_their_prior() -> None:
    statistics = ["mean", "lower", "upper"]
    relations = xr.Dataset(
        {
            "level_share": (("level", "statistic"), [[0.4, 0.03, 0.89]]),
            "prior_level_share": (("level", "statistic"), [[0.5, 0.05, 0.95]]),
        },
        {"level": ["region"], "statistic": statistics},
    )
    assert describe_graph(relations) == (
        "share of the variance of the weights: region 0.40 (90% interval 0.03 to 0.89), "
        "prior 0.50 (90% interval 0.05 to 0.95)"
    )
