"""Priors of random partitions, against enumeration, seating one by one, and quadrature."""

import numpy as np
import pytest
from scipy import special, stats

from bayesmtl.errors import InvalidModelError
from bayesmtl.numerics import partition_priors as priors
from bayesmtl.numerics.densities import log_density
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.priors import Prior, table_row
from tests.oracles.monte_carlo import ess
from tests.oracles.partitions import counts, set_partitions

PROCESSES = [(0.3, 0.0), (1.0, 0.0), (7.0, 0.0), (0.5, 0.3), (2.0, 0.9)]
SIZES = np.array([5, 1, 3, 1])
LOG_PRIOR = priors.log_prior_components(2000)


def _seating(partition: np.ndarray, concentration: float, discount: float) -> float:
    """Probability of a partition, task by task."""
    probability, sizes = 1.0, dict[int, int]()
    for t, label in enumerate(partition.tolist()):
        joins = sizes.get(label, 0)
        weight = joins - discount if joins else concentration + discount * len(sizes)
        probability *= weight / (concentration + t)
        sizes[label] = joins + 1
    return probability


def _log_given_components(sizes: np.ndarray, concentration: float, m: int) -> float:
    """Multinomial with Dirichlet(alpha / M) weights, times the labellings of the clusters."""
    each = concentration / m
    labellings = special.gammaln(m + 1) - special.gammaln(m - len(sizes) + 1)
    total = special.gammaln(concentration) - special.gammaln(concentration + sizes.sum())
    inside = (special.gammaln(sizes + each) - special.gammaln(each)).sum()
    return float(labellings + total + inside)


def _eppf(partition: np.ndarray, concentration: float, discount: float | None) -> float:
    """Probability under a process, or under the mixture for a discount of None."""
    sizes = counts(partition)
    if discount is None:
        return np.exp(priors.log_eppf_mixture(sizes, concentration, LOG_PRIOR))
    return np.exp(priors.log_eppf(sizes, concentration, discount))


@pytest.mark.parametrize("n_tasks", [1, 2, 5, 6])
@pytest.mark.parametrize(
    ("concentration", "discount"), [*PROCESSES, (0.4, None), (1.0, None), (5.0, None)]
)
def test_enumeration(n_tasks: int, concentration: float, discount: float | None) -> None:
    """Partitions have total probability one and the clusters the number that was announced."""
    everything = set_partitions(n_tasks)
    probability = np.array([_eppf(one, concentration, discount) for one in everything])
    assert probability.sum() == pytest.approx(1.0, abs=1e-9)
    n_clusters = everything.max(axis=1)
    expected = np.bincount(n_clusters, probability, minlength=n_tasks)
    if discount is None:
        found = priors.n_clusters_prior_mixture(n_tasks, concentration, LOG_PRIOR)
    else:
        found = priors.n_clusters_prior(n_tasks, concentration, discount)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(("concentration", "discount"), PROCESSES)
def test_processes_seat_one_task_after_the_other(concentration: float, discount: float) -> None:
    for partition in set_partitions(5):
        found = _eppf(partition, concentration, discount)
        assert found == pytest.approx(_seating(partition, concentration, discount), rel=1e-12)


def test_the_dirichlet_process_is_the_default() -> None:
    by_hand = 2.5**4 * special.gamma(2.5) / special.gamma(12.5) * 24 * 2
    assert priors.log_eppf(SIZES, 2.5) == pytest.approx(np.log(by_hand), rel=1e-13)


@pytest.mark.parametrize("concentration", [0.2, 1.0, 6.0])
def test_components(concentration: float) -> None:
    """``p(M) P(partition | M)``, which for M -> infinity is that of the Dirichlet process."""
    found = priors.log_components(SIZES, concentration, LOG_PRIOR)
    assert np.all(np.isneginf(found[:3]))
    for m in (4, 5, 30, 2000):
        expected = LOG_PRIOR[m - 1] + _log_given_components(SIZES, concentration, m)
        assert found[m - 1] == pytest.approx(expected, rel=1e-10)
    far = priors.log_components(SIZES, concentration, np.zeros(200_000))[-1]
    assert far == pytest.approx(priors.log_eppf(SIZES, concentration), abs=1e-3)
    total = special.logsumexp(found)
    assert priors.log_eppf_mixture(SIZES, concentration, LOG_PRIOR) == pytest.approx(total)


def test_truncation_of_the_mixture() -> None:
    """Too small by at most the prior mass that is left out, and impossible beyond its end."""
    whole = np.exp(priors.log_eppf_mixture(SIZES, 1.0, LOG_PRIOR))
    for n in (4, 10, 50):
        tail = special.beta(4, n + 3) / special.beta(4, 3)
        part = np.exp(priors.log_eppf_mixture(SIZES, 1.0, LOG_PRIOR[:n]))
        assert 0.0 < whole - part < tail
    assert priors.log_eppf_mixture(SIZES, 1.0, LOG_PRIOR[:3]) == -np.inf


def test_prior_of_the_number_of_components() -> None:
    m = np.arange(40)
    expected = special.beta(5, m + 3) / special.beta(4, 3)
    np.testing.assert_allclose(np.exp(priors.log_prior_components(40)), expected, rtol=1e-11)
    left_out = 1.0 - np.exp(priors.log_prior_components(40)).sum()
    assert left_out == pytest.approx(special.beta(4, 43) / special.beta(4, 3), rel=1e-8)
    assert np.exp(LOG_PRIOR) @ np.arange(2000) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(
    ("n_tasks", "mean", "upper"), [(10, 2.8, 5), (30, 3.8, 8), (100, 5.0, 11), (300, 6.1, 13)]
)
def test_clusters_under_the_default_concentration(n_tasks: int, mean: float, upper: int) -> None:
    """Mean and 5 to 95 % of the number of clusters under alpha ~ Gamma(2, 2)."""
    concentration = stats.gamma(2, scale=1 / 2).ppf((np.arange(1000) + 0.5) / 1000)
    probability = priors.n_clusters_prior(n_tasks, concentration)
    total = probability.cumsum()
    assert probability @ np.arange(1, n_tasks + 1) == pytest.approx(mean, abs=0.05)
    assert np.searchsorted(total, [0.05, 0.95]).tolist() == [0, upper - 1]
    assert total[-1] == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(("n_tasks", "alike"), [(10, 0.70), (30, 0.65), (100, 0.63), (300, 0.62)])
def test_all_alike_under_the_default_mixture(n_tasks: int, alike: float) -> None:
    """P(one cluster) under alpha ~ F(6, 3), against simulated components and weights."""
    concentration = stats.f(6, 3).ppf((np.arange(40) + 0.5) / 40)
    log_prior = priors.log_prior_components(400)
    found = priors.n_clusters_prior_mixture(n_tasks, concentration, log_prior)
    assert found[0] == pytest.approx(alike, abs=0.006)
    rng, hits = np.random.default_rng(1), 0
    for _ in range(4000):
        m = 1 + rng.negative_binomial(1, rng.beta(4, 3))
        weights = rng.dirichlet(np.full(m, max(rng.f(6, 3) / m, 1e-6)))
        hits += np.count_nonzero(rng.multinomial(n_tasks, weights)) == 1
    assert abs(hits / 4000 - found[0]) < 4 * np.sqrt(0.25 / 4000)


@pytest.mark.parametrize(("expected", "n_tasks"), [(1.05, 4), (2.8, 10), (9.5, 10), (6.0, 300)])
@pytest.mark.parametrize("shape", [1.0, 2.0])
def test_rate_for_an_expected_number_of_clusters(
    expected: float, n_tasks: int, shape: float
) -> None:
    rate = priors.concentration_rate(expected, n_tasks, shape)
    quantiles = (np.arange(20_000) + 0.5) / 20_000
    concentration = stats.gamma(shape, scale=1 / rate).ppf(quantiles)
    means = [concentration / (concentration + t) for t in range(n_tasks)]
    assert np.sum(means) / len(quantiles) == pytest.approx(expected, rel=2e-4)
    clusters = priors.n_clusters_prior(n_tasks, concentration[::20])
    assert clusters @ np.arange(1, n_tasks + 1) == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize("expected", [0.5, 1.0, 10.0, 11.0, np.nan])
def test_expected_numbers_out_of_range_are_refused(expected: float) -> None:
    with pytest.raises(InvalidModelError, match="above 1 and below the number of tasks, 10"):
        priors.concentration_rate(expected, 10)


def _quadrature(log_target: np.ndarray, x: np.ndarray) -> tuple[float, float]:
    """Mean and sd of x under a density on a fine grid."""
    weight = np.exp(log_target - log_target.max())
    mean = float(weight @ x / weight.sum())
    return mean, float(np.sqrt(weight @ (x - mean) ** 2 / weight.sum()))


@pytest.mark.parametrize("n_clusters", [1, 4, 10])
@pytest.mark.parametrize(("shape", "rate"), [(2.0, 2.0), (0.7, 0.5)])
def test_escobar_west_leaves_the_conditional_invariant(
    n_clusters: int, shape: float, rate: float
) -> None:
    """Exact draws, by inversion on a grid, stay exact; the odds and both components count."""
    x = np.linspace(np.log(1e-12), np.log(1e4), 200_001)
    grid = np.exp(x)
    log_target = stats.gamma(shape, scale=1 / rate).logpdf(grid) + x + n_clusters * x
    log_target += special.gammaln(grid) - special.gammaln(grid + 10)
    cdf = np.cumsum(np.exp(log_target - log_target.max()))
    cdf /= cdf[-1]
    rng = np.random.default_rng(n_clusters)
    start = np.exp(np.interp(rng.random(40_000), cdf, x))
    after = [priors.draw_concentration(a, n_clusters, 10, shape, rate, rng) for a in start]
    assert stats.kstest(np.interp(np.log(after), x, cdf), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("family", ["Gamma", "LogNormal"])
@pytest.mark.parametrize(("discount", "m"), [(0.0, 0), (0.4, 0), (0.0, 4), (0.0, 9)])
def test_concentration_target(discount: float, m: int, family: str) -> None:
    prior = {
        "Gamma": Prior("Gamma", alpha=2, beta=2),
        "LogNormal": Prior("LogNormal", mu=0.3, sigma=0.8),
    }[family]
    law = {"Gamma": stats.gamma(2, scale=0.5), "LogNormal": stats.lognorm(0.8, scale=np.exp(0.3))}
    args = (SIZES, discount, m, table_row(prior))
    x = np.array([-6.0, -1.0, 0.2, 2.5])
    expected = [law[family].logpdf(np.exp(value)) + value for value in x]
    labels = np.repeat(np.arange(4), SIZES)
    for i, a in enumerate(np.exp(x)):
        process = np.log(_seating(labels, a, discount))
        expected[i] += _log_given_components(SIZES, a, m) if m else process
    found = [priors.log_concentration_target(value, args) for value in x]
    np.testing.assert_allclose(np.diff(found), np.diff(expected), rtol=1e-9)
    assert priors.log_concentration_target(1e4, args) == -np.inf
    assert priors.log_concentration_target(-1e4, args) == -np.inf


def test_discount_target() -> None:
    args = (SIZES, 1.3, table_row(Prior("Beta", alpha=2, beta=3)))
    labels, d = np.repeat(np.arange(4), SIZES), np.array([0.01, 0.3, 0.8, 0.99])
    expected = stats.beta(2, 3).logpdf(d) + np.log([_seating(labels, 1.3, x) for x in d])
    found = [priors.log_discount_target(x, args) for x in d]
    np.testing.assert_allclose(np.diff(found), np.diff(expected), rtol=1e-9)
    for outside in (-0.01, 1.0, 1.2):
        assert priors.log_discount_target(outside, args) == -np.inf
    flat = (SIZES, 1.3, table_row(Prior("Uniform", lower=0, upper=1)))
    at_zero = log_density(flat[2], 0.0) + priors.log_eppf(SIZES, 1.3)
    assert priors.log_discount_target(0.0, flat) == pytest.approx(at_zero)


def test_slice_updates_of_concentration_and_components() -> None:
    """Alternating M and alpha given one partition visits their joint distribution."""
    prior, rng = table_row(Prior("Gamma", alpha=2, beta=2)), np.random.default_rng(3)
    log_prior, step = LOG_PRIOR[:300], slice_sampler(priors.log_concentration_target)
    x, draws = 0.0, np.empty((20_000, 2))
    for i in range(len(draws)):
        terms = priors.log_components(SIZES, np.exp(x), log_prior)
        m = 1 + int(np.argmax(terms + rng.gumbel(size=300)))
        x = step((SIZES, 0.0, m, prior), x, 1.5, rng)
        draws[i] = x, np.log(m)
    grid = np.linspace(-9, 5, 1401)
    table = np.array([priors.log_components(SIZES, a, log_prior) for a in np.exp(grid)])
    table += (stats.gamma(2, scale=0.5).logpdf(np.exp(grid)) + grid)[:, None]
    expected = [
        _quadrature(special.logsumexp(table, axis=1), grid),
        _quadrature(special.logsumexp(table, axis=0), np.log(np.arange(1, 301))),
    ]
    for chain, (mean, sd) in zip(draws.T, expected, strict=True):
        error = sd / np.sqrt(ess(chain))
        assert error < 0.05 * sd
        assert abs(chain.mean() - mean) < 4 * error
        assert chain.std() == pytest.approx(sd, rel=0.06)
