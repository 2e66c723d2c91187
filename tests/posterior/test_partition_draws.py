"""What draws of a partition say of tasks and of new ones, against loops and dense algebra."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from bayesmtl import (
    BayesMTLWarning,
    Decomposition,
    DirichletProcess,
    FiniteMixture,
    Gaussian,
    InvalidModelError,
    Model,
    PitmanYor,
    Poisson,
    UnsupportedError,
    fitting,
    predict,
)
from bayesmtl.posterior.partition_draws import (
    conditional_means,
    join_probabilities,
    mixture_moments,
    variance_factors,
)
from tests.oracles.cases import draw, fit, regression

DATA = regression(6, 5, 2, spread=1.5, seed=4)
RELATIONS = [DirichletProcess(), PitmanYor(discount=0.3), FiniteMixture()]


def model(relation: Any) -> Model:
    return Model("y ~ x0 + x1", "task", relation, Gaussian(noise="shared"))


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda part: type(part).__name__)
def test_moments_of_a_new_task_are_those_of_the_mixture(relation: Any) -> None:
    whole = model(relation)
    draws, problem = draw(whole, DATA, draws=5), whole.prepare(DATA).problem
    partition = draws.partition
    assert partition is not None
    probability = join_probabilities(partition)
    mean, sd = mixture_moments(problem, draws)
    for index in np.ndindex(draws.lp.shape):
        sizes = np.bincount(partition.labels[index])
        alpha, delta = partition.concentration[index], partition.discount[index]
        expected = (sizes - delta) / (6 + alpha)
        np.testing.assert_allclose(probability[index][: sizes.size], expected, rtol=1e-12)
        np.testing.assert_array_equal(probability[index][sizes.size :], 0.0)
        new = (alpha + delta * sizes.size) / (6 + alpha)
        assert expected.sum() + new == pytest.approx(1.0)
        base, scale = draws.means[index][1:, 0], draws.scale[index][1:]
        rho = partition.between[index]
        centers = base + np.sqrt(rho) * scale * partition.centers[index][: sizes.size]
        first = expected @ centers + new * base
        second = expected @ centers**2 + new * (base**2 + rho * scale**2) + (1 - rho) * scale**2
        np.testing.assert_allclose(mean[index], first, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(sd[index], np.sqrt(second - first**2), rtol=1e-8)


def test_sparse_deviations_of_the_others_tell_a_task_nothing() -> None:
    whole = model(Decomposition(common=DirichletProcess()))
    draws, problem = draw(whole, DATA, draws=5), whole.prepare(DATA).problem
    assert draws.sparse is not None
    assert draws.weights is not None
    found = conditional_means(problem, draws)
    part = np.random.default_rng(0).normal(size=draws.weights.shape)
    moved = draws._replace(
        weights=draws.weights + part, sparse=draws.sparse._replace(part=draws.sparse.part + part)
    )
    np.testing.assert_allclose(conditional_means(problem, moved), found, atol=1e-9)


@pytest.mark.parametrize("between", [0.0, 0.6, 1.0])
def test_a_task_given_the_others_is_conditionally_normal(between: float) -> None:
    whole = model(DirichletProcess(between=between))
    draws, problem = draw(whole, DATA, draws=4), whole.prepare(DATA).problem
    partition = draws.partition
    assert partition is not None
    assert draws.weights is not None
    means, factors = conditional_means(problem, draws)[1], variance_factors(partition)[1]
    for s in range(4):
        same = partition.labels[1, s][:, None] == partition.labels[1, s]
        unit = between * same + (1.0 - between) * np.eye(6)
        for j in range(2):
            mean, scale = draws.means[1, s, 1 + j, 0], draws.scale[1, s, 1 + j]
            gap = draws.weights[1, s, :, 1 + j] - mean
            for t in range(6):
                rest = np.arange(6) != t
                solved = unit[t, rest] @ np.linalg.pinv(unit[np.ix_(rest, rest)], rcond=1e-10)
                expected = mean + solved @ gap[rest]
                assert means[s, t, j] == pytest.approx(expected, abs=1e-6 * scale)
                factor = unit[t, t] - solved @ unit[rest, t]
                assert factors[s, t] == pytest.approx(factor, abs=1e-9)


def test_tasks_of_a_cluster_have_its_weights_where_nothing_varies_within() -> None:
    idata = fit(model(DirichletProcess(between=1.0)), DATA, draws=20)
    clusters = idata["clusters"].to_dataset()
    mine = clusters["cluster_mean"].isel(cluster=clusters["assignment"])
    np.testing.assert_allclose(
        mine.transpose("chain", "draw", "task", "feature"), idata["posterior"]["weights"], atol=1e-9
    )


def dense(idata: Any, given: Any, x: np.ndarray) -> tuple[float, float]:
    """Mean and second moment of ``x'w`` of a new task with given rows: importance sampling."""
    posterior, clusters = idata["posterior"].to_dataset(), idata["clusters"].to_dataset()
    design = np.column_stack([np.ones(len(given)), given[["x0", "x1"]]])
    center = idata["constant_data"]["feature_center"].to_numpy()
    design[:, 1:] -= center
    logs, means, seconds = [], [], []
    for index in np.ndindex(posterior["between"].shape):
        at = dict(zip(("chain", "draw"), index, strict=True))
        here, rho = posterior.isel(at), posterior["between"].isel(at).item()
        base, scale = here["base_mean"].to_numpy(), here["base_sd"].to_numpy()
        probability = clusters["probability"].isel(at).to_numpy()
        parts = [
            (p, clusters["cluster_mean"].isel(at).to_numpy()[k], (1 - rho) * scale**2)
            for k, p in enumerate(probability)
            if p > 0
        ]
        parts.append((1 - probability.sum(), base, scale**2))
        for p, mean, variance in parts:
            m = np.append(here["intercept_mean"].item(), mean)
            v = np.diag(np.append(here["intercept_sd"].item() ** 2, variance))
            total = design @ v @ design.T + here["noise_sd"].item() ** 2 * np.eye(len(design))
            gap = given["y"].to_numpy() - design @ m
            solved = np.linalg.solve(total, gap)
            logs.append(np.log(p) - 0.5 * (gap @ solved + np.linalg.slogdet(total)[1]))
            gain = v @ design.T @ np.linalg.inv(total)
            row = np.append(1.0, x - center)
            means.append(row @ (m + gain @ gap))
            seconds.append(row @ (v - gain @ design @ v) @ row + means[-1] ** 2)
    weight = np.exp(np.array(logs) - max(logs))
    weight /= weight.sum()
    return float(weight @ means), float(weight @ seconds)


@pytest.mark.mcmc
def test_given_rows_tell_the_cluster_of_a_new_task() -> None:
    idata = fit(model(DirichletProcess(between=0.8)), DATA, draws=1000)
    given = DATA[DATA["task"] == "task 02"].assign(task="new")
    row = given.head(1)
    expected, second = dense(idata, given, row[["x0", "x1"]].to_numpy()[0])
    found = [
        predict(idata, row, given=given, as_frame=True, random_seed=seed).iloc[0]
        for seed in range(4)
    ]
    sd = np.sqrt(second - expected**2)
    assert np.mean([one["mean"] for one in found]) == pytest.approx(expected, abs=0.1 * sd)
    assert np.mean([one["sd"] for one in found]) == pytest.approx(sd, rel=0.1)


@pytest.mark.mcmc
def test_a_new_task_without_rows_comes_from_the_clusters_or_a_new_one() -> None:
    idata = fit(model(DirichletProcess()), DATA, draws=2000)
    row = DATA.head(1).assign(task="new", x0=1e3, x1=0.0)
    predict(idata, row, new_task="population", random_seed=1)
    slope = idata["predictions"]["mean"].to_numpy().ravel() / 1e3
    posterior = idata["posterior"].to_dataset().sel(feature="x0")
    mean, sd = posterior["population_mean"].to_numpy(), posterior["population_sd"].to_numpy()
    error = slope.std() / np.sqrt(slope.size)
    assert slope.mean() == pytest.approx(mean.mean(), abs=6 * error + 0.01)
    whole = np.sqrt((sd**2).mean() + mean.var())
    assert slope.std() == pytest.approx(whole, rel=0.1)


def test_every_fit_summarises_its_clusters() -> None:
    idata = fit(model(DirichletProcess()), DATA, draws=50)
    relations = idata["task_relations"].to_dataset()
    assert isinstance(relations, xr.Dataset)
    labels = idata["clusters"]["assignment"].to_numpy().reshape(-1, 6)
    together = (labels[:, :, None] == labels[:, None, :]).mean(axis=0)
    np.testing.assert_allclose(relations["coclustering"], together, atol=1e-12)
    probability = relations["n_clusters_probability"]
    np.testing.assert_allclose(probability.sum("n_clusters_value"), 1.0, atol=1e-6)


def test_data_that_cannot_tell_a_partition() -> None:
    wide = regression(4, 6, 16)
    formula = "y ~ " + " + ".join(f"x{j}" for j in range(16))
    with pytest.warns(BayesMTLWarning, match="16 features and a median of 6 rows a task"):
        Model(formula, "task", DirichletProcess()).prepare(wide)


def test_clusters_need_features() -> None:
    with pytest.raises(InvalidModelError, match="intercept='relation' clusters them by their"):
        Model("y ~ 1", "task", DirichletProcess()).prepare(DATA)


def test_too_many_weights_to_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "_MOST_WEIGHT_BYTES", 1000)
    counts = DATA.assign(y=1.0)
    poisson = Model("y ~ x0", "task", DirichletProcess(), Poisson())
    with pytest.raises(UnsupportedError, match=r"the weights of 6 tasks take .* use fewer draws"):
        poisson.fit(counts, draws=10, progressbar=False)
