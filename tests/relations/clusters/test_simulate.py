"""Prior draws of partitions: probabilities, numbers of clusters, and the split of the variance."""

from typing import Any

import numpy as np
import pytest

import bayesmtl as bm
from bayesmtl.datasets import simulate
from bayesmtl.numerics.partition_priors import n_clusters_prior, n_clusters_prior_mixture
from bayesmtl.relations.clusters.simulate import simulate_partition
from bayesmtl.relations.clusters.state import partition_prior

DATA = simulate(n_tasks=5, n_rows=4, n_features=2, random_seed=1)
N = 4000


def labels_of(relation: Any, n_tasks: int) -> np.ndarray:
    prior, rng = partition_prior(relation.partition(n_tasks)), np.random.default_rng(1)
    return np.array([simulate_partition(prior, n_tasks, 1, rng).labels for _ in range(N)])


def error(values: np.ndarray) -> float:
    return 4.0 * float(values.std()) / np.sqrt(N)


@pytest.mark.parametrize(
    ("relation", "together"),
    [
        (bm.DirichletProcess(concentration=1.7), 1 / 2.7),
        (bm.PitmanYor(concentration=1.7, discount=0.4), 0.6 / 2.7),
        (bm.FiniteMixture(components=3, concentration=1.7), (1 + 1.7 / 3) / 2.7),
    ],
)
def test_chance_that_two_tasks_share_a_cluster(relation: Any, together: float) -> None:
    """The same for all pairs."""
    labels = labels_of(relation, 6)
    for one, other in ((0, 1), (0, 5), (3, 4)):
        same = labels[:, one] == labels[:, other]
        assert same.mean() == pytest.approx(together, abs=error(same))


@pytest.mark.parametrize(
    ("relation", "probabilities"),
    [
        (bm.DirichletProcess(concentration=2.5), n_clusters_prior(7, 2.5)),
        (bm.PitmanYor(concentration=0.7, discount=0.5), n_clusters_prior(7, 0.7, 0.5)),
        (
            bm.FiniteMixture(concentration=2.5),
            n_clusters_prior_mixture(
                7, 2.5, partition_prior(bm.FiniteMixture().partition(7)).log_components
            ),
        ),
        (
            bm.FiniteMixture(components=2, concentration=2.5),
            n_clusters_prior_mixture(7, 2.5, np.array([-np.inf, 0.0])),
        ),
    ],
)
def test_number_of_clusters(relation: Any, probabilities: np.ndarray) -> None:
    n_clusters = labels_of(relation, 7).max(axis=1) + 1
    for k, probability in enumerate(probabilities, start=1):
        within = 4.0 * np.sqrt(probability * (1.0 - probability) / N) + 1e-9
        assert (n_clusters == k).mean() == pytest.approx(probability, abs=within)


def test_variance_between_and_within_clusters() -> None:
    model = bm.Model(
        "y ~ x1 + x2",
        task="task",
        relation=bm.DirichletProcess(concentration=1.0, between=0.7, mean=2.0, scale=0.5),
        intercept=bm.Exchangeable(mean=1.0, scale=0.3),
        likelihood=bm.Gaussian(noise_sd=0.7),
    )
    tree = model.prior_predictive(DATA.data, draws=N, random_seed=1)
    weights = tree["prior"]["weights"].to_numpy()[0]
    centred = weights - 2.0
    np.testing.assert_allclose((centred**2).mean(axis=0), 0.25, rtol=0.12)
    # Two tasks share a cluster with probability 1 / 2, and then 0.7 of the variance.
    products = (centred[:, 0] * centred[:, 1]).mean(axis=1)
    assert products.mean() == pytest.approx(0.25 * 0.7 / 2, abs=error(products))
    x = DATA.data[["x1", "x2"]].to_numpy()
    x = x - x.mean(axis=0)
    variance = 0.3**2 + 0.5**2 * (x**2).sum(axis=1) + 0.7**2
    response = tree["prior_predictive"]["y"].to_numpy()[0]
    np.testing.assert_allclose(response.var(axis=0), variance, rtol=0.15)


def test_hyperparameters_follow_their_priors() -> None:
    relation = bm.PitmanYor(
        concentration=bm.Prior("Gamma", alpha=3, beta=2), between=1.0, mean=0.0, scale=1.0
    )
    model = bm.Model("y ~ x1", task="task", relation=relation)
    prior = model.prior_predictive(DATA.data, draws=N, random_seed=2)["prior"]
    for name, mean in (("concentration", 1.5), ("discount", 0.2)):
        values = prior[name].to_numpy()
        assert values.mean() == pytest.approx(mean, abs=error(values))
    # With nothing within clusters, equal weights are clusters.
    weights = prior["weights"].to_numpy()[0, :, :, 0]
    distinct = [len(np.unique(row)) for row in weights]
    np.testing.assert_array_equal(distinct, prior["n_clusters"].to_numpy()[0])
    mixture = bm.Model("y ~ x1", task="task", relation=bm.FiniteMixture())
    tree = mixture.prior_predictive(DATA.data, draws=50, random_seed=2)
    assert int((tree["prior"]["n_components"] - tree["prior"]["n_clusters"]).min()) >= 0
