"""Log evidence of clusters against dense normal densities, one partition after the other."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp
from scipy.stats import betanbinom, multivariate_normal

import bayesmtl as bm
from bayesmtl.relations.clusters.evidence import all_partitions

pytestmark = pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")

ALPHA, SHARE, SCALE, NOISE = 0.8, 0.6, 1.3, 0.9


def frame(n_tasks: int) -> Any:
    rng = np.random.default_rng(n_tasks)
    rows = np.repeat(np.arange(n_tasks), rng.integers(1, 5, n_tasks))
    x = 0.5 + rng.normal(size=rows.size)
    return pd.DataFrame(
        {
            "t": rows,
            "x": x,
            "z": rng.normal(size=n_tasks)[rows],
            "y": 2.0 + np.where(rows % 2, 2.0, -1.0) * x + rng.normal(size=rows.size),
        }
    )


def model(relation: Any, formula: str = "y ~ x", intercept: Any = None, **settings: Any) -> Any:
    likelihood = bm.Gaussian(noise_sd=NOISE)
    return bm.Model(formula, "t", relation, likelihood=likelihood, intercept=intercept, **settings)


def naive_partitions(n: int) -> list[list[int]]:
    if n == 1:
        return [[0]]
    shorter = naive_partitions(n - 1)
    return [[*labels, k] for labels in shorter for k in range(max(labels) + 2)]


def log_prior(labels: list[int], alpha: float, delta: float) -> float:
    """One task after the other."""
    total, sizes = 0.0, [1]
    for t, label in enumerate(labels[1:], start=1):
        new = label == len(sizes)
        mass = alpha + delta * len(sizes) if new else sizes[label] - delta
        if not mass > 1e-12:
            return -np.inf
        total += math.log(mass / (alpha + t))
        sizes = [*sizes, 1] if new else [n + (k == label) for k, n in enumerate(sizes)]
    return total


def dense(
    data: Any, columns: list[np.ndarray], mean: np.ndarray, base: np.ndarray, weigh: Any
) -> float:
    """Sum over partitions of the density of y; ``base`` is its covariance without the clusters."""
    task = data["t"].to_numpy()
    same_task = task[:, None] == task[None, :]
    products = sum(np.outer(x, x) for x in columns)
    terms = []
    for labels in naive_partitions(task.max() + 1):
        cluster = np.array(labels)[task]
        same = SHARE * (cluster[:, None] == cluster[None, :]) + (1.0 - SHARE) * same_task
        covariance = base + SCALE**2 * same * products + NOISE**2 * np.eye(len(task))
        density = multivariate_normal.logpdf(data["y"], mean, covariance)
        terms.append(weigh(labels) + density)
    return float(logsumexp(terms))


def test_partitions_are_complete() -> None:
    for n, bell in ((1, 1), (2, 2), (5, 52), (8, 4140)):
        labels = all_partitions(n)
        assert labels.tolist() == naive_partitions(n)
        assert len(labels) == bell


def mixture(labels: list[int]) -> float:
    """An unknown number of components."""
    terms = [
        log_p + log_prior(labels, ALPHA, -ALPHA / m)
        for m, log_p in enumerate(betanbinom(1, 4, 3).logpmf(np.arange(1000)), start=1)
    ]
    return float(logsumexp(terms))


@pytest.mark.parametrize(
    ("relation", "weigh"),
    [
        (bm.DirichletProcess, lambda labels: log_prior(labels, ALPHA, 0.0)),
        (bm.PitmanYor, lambda labels: log_prior(labels, ALPHA, 0.3)),
        (bm.FiniteMixture, lambda labels: log_prior(labels, ALPHA, -ALPHA / 3)),
        (bm.FiniteMixture, mixture),
    ],
    ids=["DirichletProcess", "PitmanYor", "three components", "unknown components"],
)
def test_fixed_mean_and_separate_intercept(relation: Any, weigh: Any) -> None:
    data = frame(4)
    settings: dict[str, Any] = {"concentration": ALPHA, "between": SHARE, "scale": SCALE}
    if relation is bm.PitmanYor:
        settings["discount"] = 0.3
    if weigh is not mixture and relation is bm.FiniteMixture:
        settings["components"] = 3
    one = model(relation(mean=0.4, **settings), intercept=bm.Exchangeable(mean=1.0, scale=0.7))
    x, task = (data["x"] - data["x"].mean()).to_numpy(), data["t"].to_numpy()
    base = 0.49 * (task[:, None] == task[None, :])
    expected = dense(data, [x], 1.0 + 0.4 * x, base, weigh)
    assert one.log_evidence(data) == pytest.approx(expected, abs=1e-9)


def test_normal_means_and_task_effects() -> None:
    data = frame(5)
    relation = bm.DirichletProcess(
        concentration=ALPHA,
        between=SHARE,
        scale=SCALE,
        mean=bm.Prior("Normal", mu=0.5, sigma=2),
        task_effects=bm.Prior("Normal", mu=0, sigma=0.3),
    )
    one = model(relation, intercept="relation", task_features="~ z")
    ones, x = np.ones(len(data)), data["x"].to_numpy()
    z = (data["z"] - data.drop_duplicates("t")["z"].mean()).to_numpy()
    products = np.outer(ones, ones) + np.outer(x, x)
    base = products * (4.0 + 0.09 * np.outer(z, z))
    expected = dense(
        data, [ones, x], 0.5 + 0.5 * x, base, lambda labels: log_prior(labels, ALPHA, 0.0)
    )
    assert one.log_evidence(data) == pytest.approx(expected, abs=1e-8)


def clusters(**settings: Any) -> Any:
    values = {
        "concentration": ALPHA,
        "between": SHARE,
        "scale": SCALE,
        "mean": bm.Prior("Normal", mu=0.5, sigma=2),
    }
    return model(bm.DirichletProcess(**values | settings), "y ~ 0 + x")


def test_nothing_between_clusters_is_exchangeable() -> None:
    data = frame(5)
    plain = bm.Exchangeable(mean=bm.Prior("Normal", mu=0.5, sigma=2), scale=SCALE)
    expected = model(plain, "y ~ 0 + x").log_evidence(data)
    assert clusters(between=0.0).log_evidence(data) == pytest.approx(expected, abs=1e-9)


def test_one_cluster_of_equal_tasks_is_pooled() -> None:
    """A small concentration leaves one cluster; the cluster mean adds to the variance."""
    data = frame(5)
    sd = math.sqrt(4.0 + SCALE**2)
    pooled = model(bm.Pooled(mean=bm.Prior("Normal", mu=0.5, sigma=sd)), "y ~ 0 + x")
    one = clusters(between=1.0, concentration=1e-12).log_evidence(data)
    assert one == pytest.approx(pooled.log_evidence(data), abs=1e-6)
    single = bm.FiniteMixture(components=1, concentration=1.0, between=1.0, scale=SCALE, mean=0.5)
    pooled = model(bm.Pooled(mean=bm.Prior("Normal", mu=0.5, sigma=SCALE)), "y ~ 0 + x")
    expected = pooled.log_evidence(data)
    assert model(single, "y ~ 0 + x").log_evidence(data) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("relation", "what"),
    [
        (bm.DirichletProcess(between=0.5), "concentration="),
        (bm.PitmanYor(concentration=1.0, between=0.5), "discount="),
        (bm.FiniteMixture(components=2, concentration=1.0), "between="),
    ],
)
def test_what_is_learned_is_named(relation: Any, what: str) -> None:
    settings = {"mean": 0.0, "scale": 1.0}
    full = type(relation)(**{**vars(relation), **settings})
    with pytest.raises(bm.UnsupportedError, match=f"and {what} is learned"):
        model(full, "y ~ 0 + x").log_evidence(frame(3))
    with pytest.raises(bm.UnsupportedError, match="the scale of 'x' is learned"):
        model(relation, "y ~ 0 + x").log_evidence(frame(3))


def test_too_many_tasks() -> None:
    with pytest.raises(bm.UnsupportedError, match="beyond 10 tasks, and the data have 11: leave"):
        clusters().log_evidence(frame(11))


def test_ten_tasks_at_once() -> None:
    """More than one portion of partitions; a large concentration leaves every task alone."""
    data = frame(10)
    plain = bm.Exchangeable(mean=bm.Prior("Normal", mu=0.5, sigma=2), scale=SCALE)
    expected = model(plain, "y ~ 0 + x").log_evidence(data)
    assert clusters(concentration=1e9).log_evidence(data) == pytest.approx(expected, abs=1e-4)
