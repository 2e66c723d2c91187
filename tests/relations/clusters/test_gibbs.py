"""The sweep with everything fixed but the partition, its evidence, and limits."""

from typing import Any

import numpy as np
import pytest

from bayesmtl import DirichletProcess, Exchangeable, FiniteMixture, Model, PitmanYor, Prior
from bayesmtl.inference.gibbs import start_chain
from bayesmtl.numerics.lanes import pack_tasks, task_means, unpack_tasks
from bayesmtl.relations.clusters.collapsed import cluster_sites, log_likelihood, weight_prior
from tests.oracles.cases import agree, draw, regression
from tests.oracles.cluster_density import log_response, small, small_data, small_model
from tests.oracles.clusters import enumerate_posterior, fixed
from tests.oracles.dense import log_normal
from tests.oracles.partitions import joined, set_partitions

MEAN, SD = np.array([0.3, 0.1]), np.array([0.8, 0.5])


def settings(intercept: str, between: float) -> dict[str, Any]:
    mean, sd = MEAN, SD
    if intercept == "relation":
        mean, sd = np.r_[1.2, MEAN], np.r_[0.7, SD]
    return {"mean": mean, "scale": sd, "between": between}


PARTITIONS: dict[str, tuple[Any, dict[str, float], Any]] = {
    "dp": (DirichletProcess, {"concentration": 0.9}, fixed(0.9)),
    "py": (PitmanYor, {"concentration": 0.5, "discount": 0.4}, fixed(0.5, 0.4)),
    "finite": (FiniteMixture, {"concentration": 2.0, "components": 3}, fixed(2.0, m=3)),
}


@pytest.mark.mcmc
@pytest.mark.filterwarnings("ignore:.*single row:bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("between", [0.6, 1.0])
@pytest.mark.parametrize(
    ("kind", "intercept"),
    [("dp", "separate"), ("dp", "relation"), ("py", "separate"), ("finite", "relation")],
)
def test_the_posterior_of_the_partition_by_enumeration(
    kind: str, intercept: str, between: float
) -> None:
    relation, partition, nodes = PARTITIONS[kind]
    data = small_data()
    own = settings(intercept, between)
    model = small_model(relation(**partition, **own), intercept)
    case = small(data, intercept, own["mean"], own["scale"])
    exact = enumerate_posterior(5, nodes, lambda labels: log_response(case, labels, between))
    assert exact.probability.max() < 0.7
    draws = draw(model, data, draws=3000, tune=50).partition
    assert draws is not None
    labels = draws.labels
    assert agree(labels.max(axis=2) + 1.0, exact.probability @ (exact.partitions.max(axis=1) + 1.0))
    base = 5 ** np.arange(5)
    for one, p in zip(exact.partitions, exact.probability, strict=True):
        if p > 0.02:
            assert agree(1.0 * (labels @ base == one @ base), p), one
    together = np.array([[joined(one) for one in chain] for chain in labels]).astype(float)
    pairs = exact.probability @ np.array([joined(one) for one in exact.partitions])
    for i, p in enumerate(pairs.tolist()):
        assert not 0.005 < p < 0.995 or agree(together[..., i], p), i


def _chain(intercept: str, between: float) -> tuple[Any, Any]:
    relation = DirichletProcess(**settings(intercept, between))
    model = small_model(relation, intercept)
    problem = model.prepare(small_data()).problem
    return problem, start_chain(problem, model.likelihood, np.random.default_rng(1))


@pytest.mark.filterwarnings("ignore:.*single row:bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("intercept", ["separate", "relation"])
def test_evidence_of_partition_and_share_against_dense_densities(intercept: str) -> None:
    problem, chain = _chain(intercept, 0.5)
    own = settings(intercept, 0.5)
    case = small(small_data(), intercept, own["mean"], own["scale"])
    gaps = []
    for labels in set_partitions(5)[::4]:
        partition = chain.partition
        partition.labels[:] = labels
        partition.n_clusters[:] = labels.max() + 1
        for between in (0.0, 0.01, 0.3, 0.9, 0.999, 1.0):
            value = log_likelihood(chain.sites, problem.prior, chain.population, partition, between)
            gaps.append(value - log_response(case, labels, between))
    np.testing.assert_allclose(gaps, gaps[0], atol=1e-8)


@pytest.mark.filterwarnings("ignore:.*single row:bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("intercept", ["separate", "relation"])
@pytest.mark.parametrize("between", [0.4, 1.0])
def test_what_a_task_says_of_its_cluster(intercept: str, between: float) -> None:
    """``g'b - b'A b / 2`` is the log density of its response at a standardised cluster mean b."""
    problem, chain = _chain(intercept, between)
    population = chain.population
    own = settings(intercept, between)
    case = small(small_data(), intercept, own["mean"], own["scale"])
    a, g = cluster_sites(chain.sites, problem.prior, population, between)
    d, rng = g.shape[1], np.random.default_rng(2)
    full = np.zeros((5, d, d))
    row, column = np.tril_indices(d)
    full[:, row, column] = full[:, column, row] = a
    for t in range(5):
        x, y = case.columns[case.task == t], case.response[case.task == t]
        within = case.sd.copy()
        within[case.first :] *= np.sqrt(1.0 - between)
        covariance = 0.6**2 * np.eye(len(y)) + (x * within**2) @ x.T
        gaps = []
        for b in (np.zeros(d), *rng.normal(size=(4, d))):
            moved = case.mean.copy()
            moved[case.first :] += np.sqrt(between) * case.sd[case.first :] * b
            gaps.append(log_normal(y, x @ moved, covariance) - g[t] @ b + 0.5 * b @ full[t] @ b)
        np.testing.assert_allclose(gaps, gaps[0], atol=1e-8)


@pytest.mark.filterwarnings("ignore:.*single row:bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("intercept", ["separate", "relation"])
def test_prior_of_the_weights_given_cluster_means(intercept: str) -> None:
    problem, chain = _chain(intercept, 0.35)
    population, partition = chain.population, chain.partition
    rng = np.random.default_rng(3)
    partition.labels[:] = [0, 1, 0, 2, 1]
    partition.n_clusters[:] = 3
    partition.center[:] = rng.normal(size=partition.center.shape)
    center, scale = np.empty_like(population.center), np.empty_like(population.scale)
    weight_prior(problem.prior, population, partition, center, scale)
    task_means(population.means, problem.prior.task_features, population.center)
    expected = unpack_tasks(population.center, 5)
    first = problem.prior.block
    part = population.scale[first:] * np.sqrt(0.35)
    expected[:, first:] += part * partition.center[[0, 1, 0, 2, 1]]
    np.testing.assert_allclose(unpack_tasks(center, 5), expected, rtol=1e-12)
    within = np.where(np.arange(scale.size) < first, 1.0, np.sqrt(0.65))
    np.testing.assert_allclose(scale, within * population.scale, rtol=1e-12)
    np.testing.assert_array_equal(center, pack_tasks(unpack_tasks(center, 5)))


def _labels(relation: Any, data: Any, **options: Any) -> np.ndarray:
    draws = draw(Model("y ~ x0 + x1", "task", relation), data, **options).partition
    assert draws is not None
    return draws.labels


@pytest.mark.mcmc
@pytest.mark.parametrize(("concentration", "clusters"), [(1e-6, 1), (1e6, 6)])
def test_limits_of_the_concentration(concentration: float, clusters: int) -> None:
    """From all starts: one cluster and one each are among them."""
    data = regression(6, 4, 2, spread=0.3)
    for relation in (DirichletProcess, FiniteMixture):
        labels = _labels(relation(concentration=concentration), data, draws=100, chains=4)
        share = np.mean(labels.max(axis=2) + 1 == clusters)
        if relation is DirichletProcess or clusters == 1:
            assert share > 0.98


@pytest.mark.mcmc
def test_one_component_is_one_cluster() -> None:
    labels = _labels(FiniteMixture(components=1), regression(5, 3, 2), draws=50)
    assert not labels.any()


@pytest.mark.mcmc
def test_nothing_between_clusters_is_one_population() -> None:
    data = regression(5, 4, 2)
    population: dict[str, Any] = {
        "mean": Prior("Normal", mu=0.5, sigma=1.0),
        "scale": Prior("HalfNormal", sigma=1.0),
    }
    options = {"draws": 3000, "tune": 200}
    clusters = draw(
        Model("y ~ x0 + x1", "task", DirichletProcess(between=0.0, **population)), data, **options
    )
    plain = draw(Model("y ~ x0 + x1", "task", Exchangeable(**population)), data, **options)
    assert clusters.weights is not None
    assert plain.weights is not None
    for power in (1, 2):
        for i in range(3):
            one, other = clusters.means[:, :, i, 0], plain.means[:, :, i, 0]
            assert agree(one**power, other**power), (i, power)
            one, other = np.log(clusters.scale[..., i]), np.log(plain.scale[..., i])
            assert agree(one**power, other**power), (i, power)
            for t in (0, 4):
                one, other = clusters.weights[:, :, t, i], plain.weights[:, :, t, i]
                assert agree(one**power, other**power), (t, i, power)
    assert clusters.partition is not None
    # The data say nothing of the partition: E[K] = E[sum of a / (a + t)] over Gamma(2, 2).
    alpha = np.random.default_rng(0).gamma(2.0, 0.5, 100_000)
    expected = float(np.mean([alpha / (alpha + t) for t in range(5)]) * 5)
    assert agree(clusters.partition.labels.max(axis=2) + 1.0, expected)


@pytest.mark.mcmc
def test_permuted_tasks_permute_the_clusters() -> None:
    data = regression(5, 5, 2, spread=1.0, seed=4)
    names = sorted(data["task"].unique())
    order = [3, 0, 4, 1, 2]
    renamed = data.assign(task=data["task"].map({names[t]: names[order[t]] for t in range(5)}))
    options = {"draws": 2000, "tune": 200}
    first = _labels(DirichletProcess(), data, **options)
    second = _labels(DirichletProcess(), renamed, **options)
    for s in range(5):
        for t in range(s):
            together = 1.0 * (first[..., s] == first[..., t])
            moved = 1.0 * (second[..., order[s]] == second[..., order[t]])
            assert agree(together, moved), (s, t)
