"""Moves of the partition against the enumeration of all partitions."""

from typing import Any

import numba
import numpy as np
import pytest

from bayesmtl.relations.clusters.partition import (
    cluster_sums,
    log_evidences,
    scan_labels,
    split_or_merge,
    update_partition_prior,
)
from bayesmtl.relations.clusters.state import PartitionState, partition_prior
from tests.oracles.clusters import CASES, Case, Exact, dense_evidence, enumerate_posterior
from tests.oracles.partitions import counts, joined

CHAINS, TUNE, CYCLES = 100, 50, 600


def packed(matrix: np.ndarray) -> np.ndarray:
    return matrix[np.tril_indices(len(matrix))]


def unpacked(values: np.ndarray, d: int) -> np.ndarray:
    out = np.zeros((d, d))
    out[np.tril_indices(d)] = values
    return out + np.tril(out, -1).T


def quadratics(n_tasks: int, d: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Tasks in two groups that overlap; one says nothing, one less than there are dimensions."""
    a, g = np.zeros((n_tasks, d * (d + 1) // 2)), np.zeros((n_tasks, d))
    for t in range(1, n_tasks):
        root = rng.normal(size=(d, 1 if t == 1 else d + 1))
        full = 2.0 * root @ root.T
        center = np.full(d, -1.0 if t % 2 else 0.8)
        a[t] = packed(full)
        g[t] = full @ center + np.sqrt(2.0) * root @ rng.normal(size=root.shape[1])
    return a, g


def state(labels: np.ndarray, case: Case, d: int) -> PartitionState:
    """Hyperparameters at the first node, as many components as clusters at least."""
    n_tasks, sizes = len(labels), counts(labels)
    nodes = case.nodes
    m = 0
    if nodes.components[0] > 0:
        m = max(int(nodes.components[0]), len(sizes))
    alpha = float(nodes.concentration[len(nodes.concentration) // 2])
    delta = -alpha / m if m else float(nodes.discount[len(nodes.discount) // 2])
    padded = np.zeros(n_tasks, dtype=np.int64)
    padded[: len(sizes)] = sizes
    return PartitionState(
        labels.astype(np.int64),
        padded,
        np.array([len(sizes)]),
        np.array([m]),
        np.array([alpha]),
        np.array([delta]),
        np.array([0.5]),
        np.zeros((n_tasks, d)),
    )


@numba.njit
def run(partition: Any, prior: Any, a: Any, g: Any, plan: Any, rng: Any) -> Any:
    """Scans, then splits or merges, then hyperparameters, as often each as the plan says."""
    tune, cycles, scans, moves, hyper = plan
    labels = np.empty((cycles, g.shape[0]), dtype=np.int64)
    values = np.empty((cycles, 3))
    for i in range(tune + cycles):
        for _ in range(scans):
            scan_labels(partition, a, g, rng)
        for _ in range(moves):
            split_or_merge(partition, a, g, rng)
        for _ in range(hyper):
            update_partition_prior(partition, prior, rng)
        if i >= tune:
            labels[i - tune] = partition.labels
            values[i - tune, 0] = partition.concentration[0]
            values[i - tune, 1] = partition.discount[0]
            values[i - tune, 2] = partition.n_components[0]
    return labels, values


def functions(labels: np.ndarray, exact: Exact) -> dict[str, np.ndarray]:
    """Test functions of partitions (draw, task), labels by first appearance."""
    base = labels.shape[1] ** np.arange(labels.shape[1])
    key = labels @ base
    out = {
        f"partition {''.join(map(str, one))}": 1.0 * (key == one @ base)
        for one, p in zip(exact.partitions, exact.probability, strict=True)
        if p > 0.02
    }
    out["clusters"] = labels.max(axis=1) + 1.0
    out["log clusters"] = np.log(out["clusters"])
    pairs = np.array([joined(one) for one in labels])
    out |= {f"pair {i}": 1.0 * pairs[:, i] for i in range(pairs.shape[1])}
    return out


def wrong(labels: np.ndarray, values: np.ndarray, exact: Exact) -> dict[str, float]:
    """z of chain averages that are off; (chain, draw, ...)."""
    n_chains, n_draws, n_tasks = labels.shape
    drawn = functions(labels.reshape(-1, n_tasks), exact)
    known = {
        name: exact.probability @ column
        for name, column in functions(exact.partitions, exact).items()
    }
    flat = values.reshape(-1, 3)
    drawn["log concentration"] = np.log(flat[:, 0])
    known["log concentration"] = exact.log_concentration
    if flat[0, 2] > 0:
        drawn["log components"], known["log components"] = np.log(flat[:, 2]), exact.log_components
    else:
        drawn["discount"], known["discount"] = flat[:, 1], exact.discount
    out = {}
    for name, column in drawn.items():
        average = column.reshape(n_chains, n_draws).mean(axis=1)
        error = average.std(ddof=1) / np.sqrt(n_chains)
        gap = average.mean() - known[name]
        if abs(gap) > 4.0 * error + 1e-9:
            out[name] = round(float(gap / max(error, 1e-12)), 1)
    return out


def test_evidences_against_dense_algebra() -> None:
    rng = np.random.default_rng(1)
    for d in (1, 2, 5, 9):
        roots = [
            rng.normal(size=(d, rank)) * 10.0**power for rank in (1, 2 * d) for power in (-2, 2)
        ]
        full = [np.zeros((d, d)), *(root @ root.T for root in roots)]
        g = [a @ rng.normal(size=d) for a in full]
        out = np.empty(len(full))
        log_evidences(np.array([packed(a) for a in full]).T.copy(), np.array(g).T.copy(), out)
        dense = [dense_evidence(a, b) for a, b in zip(full, g, strict=True)]
        np.testing.assert_allclose(out, dense, rtol=1e-9, atol=1e-9)


def test_sums_of_clusters() -> None:
    a, g = quadratics(6, 2, np.random.default_rng(2))
    labels = np.array([0, 1, 0, 2, 1, 1])
    sums_a, sums_g = cluster_sums(a, g, labels, 3, 2)
    members = labels == np.arange(5)[:, None]
    np.testing.assert_allclose(sums_a, (members @ a).T, atol=1e-12)
    np.testing.assert_allclose(sums_g, (members @ g).T, atol=1e-12)


def exact_of(case: Case, a: np.ndarray, g: np.ndarray) -> Exact:
    d = g.shape[1]

    def log_likelihood(labels: np.ndarray) -> float:
        parts = [labels == k for k in range(labels.max() + 1)]
        return sum(dense_evidence(unpacked(a[p].sum(axis=0), d), g[p].sum(axis=0)) for p in parts)

    return enumerate_posterior(len(g), case.nodes, log_likelihood)


def chains(
    case: Case, a: np.ndarray, g: np.ndarray, steps: tuple[int, int], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    prior = partition_prior(case.relation.partition(len(g)))
    most = int(case.nodes.components[0]) if len(case.nodes.components) == 1 else len(g)
    # A thousand numbers of components are weighed at every update.
    plan = (TUNE, CYCLES if len(prior.log_components) < 1000 else 80, *steps, int(case.learns))
    results = []
    for _ in range(CHAINS):
        _, start = np.unique(rng.integers(0, max(1, most), len(g)), return_inverse=True)
        start = np.array([list(dict.fromkeys(start.tolist())).index(k) for k in start])
        partition = state(start, case, g.shape[1])
        results.append(run(partition, prior, a, g, plan, rng))
    labels, values = (np.array(part) for part in zip(*results, strict=True))
    return labels, values


@pytest.mark.mcmc
@pytest.mark.parametrize("steps", [(1, 0), (0, 1), (1, 2)], ids=["scan", "split-merge", "both"])
@pytest.mark.parametrize("name", CASES)
def test_moves_leave_the_enumerated_posterior_invariant(name: str, steps: tuple[int, int]) -> None:
    case = CASES[name]
    a, g = quadratics(5, 2, np.random.default_rng(3))
    labels, values = chains(case, a, g, steps, 4)
    assert not wrong(labels, values, exact_of(case, a, g))


@pytest.mark.mcmc
def test_six_tasks_in_one_dimension() -> None:
    case = CASES["py"]
    a, g = quadratics(6, 1, np.random.default_rng(5))
    labels, values = chains(case, a, g, (1, 1), 6)
    assert not wrong(labels, values, exact_of(case, a, g))


@pytest.mark.mcmc
def test_scans_that_outgrow_their_spare_lanes() -> None:
    """Thirty tasks without data, all in one cluster at first: the prior remains."""
    n_tasks, alpha = 30, 20.0
    nodes = CASES["dp"].nodes._replace(concentration=np.array([alpha]))
    case = CASES["dp"]._replace(nodes=nodes)
    prior = partition_prior(case.relation.partition(n_tasks))
    rng = np.random.default_rng(7)
    a, g = np.zeros((n_tasks, 1)), np.zeros((n_tasks, 1))
    clusters = []
    for _ in range(400):
        partition = state(np.zeros(n_tasks, dtype=int), case, 1)
        labels, _ = run(partition, prior, a, g, (0, 25, 1, 0, 0), rng)
        clusters.append(labels[15:].max(axis=1).mean() + 1.0)
    expected = np.sum(alpha / (alpha + np.arange(n_tasks)))
    error = np.std(clusters, ddof=1) / np.sqrt(len(clusters))
    assert abs(np.mean(clusters) - expected) < 4 * error < 0.3


def test_bookkeeping() -> None:
    """Labels by first appearance, sizes and number of clusters agree after every move."""
    rng = np.random.default_rng(8)
    a, g = quadratics(14, 3, rng)
    partition = state(np.zeros(14, dtype=int), CASES["py"], 3)
    changed = set()
    for _ in range(300):
        changed.add(bool(split_or_merge(partition, a, g, rng)))
        if rng.random() < 0.3:
            scan_labels(partition, a, g, rng)
        labels = partition.labels
        n = partition.n_clusters[0]
        assert list(dict.fromkeys(labels.tolist())) == list(range(n))
        np.testing.assert_array_equal(partition.sizes[:n], counts(labels))
        assert not partition.sizes[n:].any()
    assert changed == {True, False}


def test_one_task_has_nothing_to_split() -> None:
    rng = np.random.default_rng(9)
    a, g = np.ones((1, 1)), np.ones((1, 1))
    partition = state(np.zeros(1, dtype=int), CASES["dp"], 1)
    scan_labels(partition, a, g, rng)
    assert not split_or_merge(partition, a, g, rng)
    assert partition.labels.tolist() == [0]
