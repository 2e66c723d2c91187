"""Prior distributions of random partitions: Dirichlet process, Pitman-Yor, finite mixtures.

One family holds them all: with concentration alpha > 0 and discount delta, task t + 1 joins
cluster k of n_k tasks with probability ``(n_k - delta) / (alpha + t)`` and opens cluster K + 1 with
``(alpha + delta K) / (alpha + t)`` (Pitman 1995, Probab. Theory Relat. Fields 102).

- Dirichlet process: ``delta = 0``.
- Pitman-Yor: ``0 <= delta < 1``.
- M components with Dirichlet(alpha / M) weights: ``delta = -alpha / M``. The dynamic mixture of
  finite mixtures averages over M ~ p(M) (Fruehwirth-Schnatter, Malsiner-Walli and Gruen 2021,
  Bayesian Anal. 16).

Components may be empty, clusters are not. ``sizes`` (cluster,) are the numbers of tasks in the
clusters, all positive, in any order; ``log_prior`` (M,) holds log p(M) for M = 1, 2, ...
"""

import math

import numpy as np
from scipy import integrate, optimize, stats

from bayesmtl.errors import InvalidModelError
from bayesmtl.numerics.densities import log_density
from bayesmtl.numerics.jit import inner_kernel, kernel

__all__ = [
    "concentration_rate",
    "draw_concentration",
    "log_components",
    "log_concentration_target",
    "log_discount_target",
    "log_eppf",
    "log_eppf_mixture",
    "log_prior_components",
    "n_clusters_prior",
    "n_clusters_prior_mixture",
]

# Numbers of clusters with less probability than this are not followed any further.
_NEGLIGIBLE = 1e-20


@kernel
def log_eppf(sizes, concentration, discount=0.0):
    """Log-probability of a partition with these cluster sizes.

    ``prod_{k=1}^{K-1} (alpha + k delta) Gamma(alpha + 1) / Gamma(alpha + n) prod_k Gamma(n_k -
    delta) / Gamma(1 - delta)``; for ``delta = 0``, ``alpha^K Gamma(alpha) / Gamma(alpha + n) prod_k
    Gamma(n_k)``.

    Parameters
    ----------
    sizes : int array (cluster,)
    concentration : float
        alpha > 0.
    discount : float
        delta < 1; see the module for negative ones.

    Returns
    -------
    float

    References
    ----------
    Pitman (1995), Probab. Theory Relat. Fields 102, prop. 9.
    """
    total = math.lgamma(concentration + 1.0)
    each = math.lgamma(1.0 - discount)
    n = 0
    for k in range(sizes.shape[0]):
        if k > 0:
            total += math.log(concentration + k * discount)
        total += math.lgamma(sizes[k] - discount) - each
        n += sizes[k]
    return total - math.lgamma(concentration + n)


def log_prior_components(n: int = 1000) -> np.ndarray:
    """Log p(M) for M = 1, ..., n when M - 1 ~ beta-negative-binomial(1, 4, 3), of mean 1.

    What lies beyond has probability B(4, n + 3) / B(4, 3): 4e-10 for n = 1,000.

    Parameters
    ----------
    n : int
        At least the number of tasks, or partitions into more clusters get no probability.

    Returns
    -------
    array (M,)

    References
    ----------
    Fruehwirth-Schnatter, Malsiner-Walli and Gruen (2021), Bayesian Anal. 16, sec. 4.
    """
    return stats.betanbinom(1, 4, 3).logpmf(np.arange(n))


@kernel
def log_components(sizes, concentration, log_prior):
    """``log p(M) + log P(partition | M, alpha)`` for each number of components M.

    Up to a constant the log-probability of M given the partition, as the telescoping sampler needs
    it.

    Parameters
    ----------
    sizes : int array (cluster,)
    concentration : float
    log_prior : array (M,)

    Returns
    -------
    array (M,)
        ``-inf`` for fewer components than clusters.

    References
    ----------
    Fruehwirth-Schnatter, Malsiner-Walli and Gruen (2021), Bayesian Anal. 16, algorithm 1, step 3.
    """
    out = np.full(log_prior.shape[0], -np.inf)
    for m in range(sizes.shape[0], log_prior.shape[0] + 1):
        out[m - 1] = log_prior[m - 1] + log_eppf(sizes, concentration, -concentration / m)
    return out


@kernel
def log_eppf_mixture(sizes, concentration, log_prior):
    """Log-probability of a partition under the dynamic mixture of finite mixtures.

    The sum over M ends where ``log_prior`` ends: the probability is too small by at most the prior
    probability of a larger M.

    Parameters
    ----------
    sizes : int array (cluster,)
    concentration : float
    log_prior : array (M,)

    Returns
    -------
    float
        ``-inf`` for more clusters than components in ``log_prior``.
    """
    terms = log_components(sizes, concentration, log_prior)
    largest = terms.max()
    if largest == -np.inf:
        return largest
    return largest + math.log(np.exp(terms - largest).sum())


@inner_kernel
def _add_n_clusters(concentration, discount, weight, out):
    """Add ``weight P(K = k)``, k = 1, 2, ..., to ``out`` (task,): one task joins after the other.

    All terms are positive, so nothing cancels and no logarithms are needed.
    """
    n_tasks = out.shape[0]
    p = np.zeros(n_tasks + 1)
    p[1] = 1.0
    top = 1
    for t in range(1, n_tasks):
        for k in range(top + 1, 0, -1):
            opened = max(concentration + (k - 1) * discount, 0.0) * p[k - 1]
            p[k] = ((t - k * discount) * p[k] + opened) / (concentration + t)
        if p[top + 1] > _NEGLIGIBLE:
            top += 1
    out += weight * p[1:]


@kernel
def _n_clusters(n_tasks, concentrations, discounts, weights):
    out = np.zeros(n_tasks)
    for i in range(concentrations.shape[0]):
        for j in range(discounts.shape[1]):
            _add_n_clusters(concentrations[i], discounts[i, j], weights[j], out)
    return out / concentrations.shape[0]


def n_clusters_prior(
    n_tasks: int, concentration: float | np.ndarray, discount: float = 0.0
) -> np.ndarray:
    """Probabilities of 1, 2, ... clusters under a Dirichlet or Pitman-Yor process.

    Exact, by recursion over the tasks.

    Parameters
    ----------
    n_tasks : int
    concentration : float or array (value,)
        The result is the average over the values: draws from the prior of the concentration, or
        its quantiles at the midpoints (i + 1/2) / n.
    discount : float
        In [0, 1).

    Returns
    -------
    array (task,)
        Element k - 1 is the probability of k clusters.
    """
    values = np.atleast_1d(np.asarray(concentration, dtype=np.float64))
    return _n_clusters(n_tasks, values, np.full((len(values), 1), float(discount)), np.ones(1))


def n_clusters_prior_mixture(
    n_tasks: int, concentration: float | np.ndarray, log_prior: np.ndarray
) -> np.ndarray:
    """Probabilities of 1, 2, ... clusters under the dynamic mixture of finite mixtures.

    Parameters
    ----------
    n_tasks : int
    concentration : float or array (value,)
        As in `n_clusters_prior`.
    log_prior : array (M,)

    Returns
    -------
    array (task,)
        Element k - 1 is the probability of k clusters; their sum is that of ``exp(log_prior)``.
    """
    values = np.atleast_1d(np.asarray(concentration, dtype=np.float64))
    discounts = -values[:, None] / np.arange(1, len(log_prior) + 1)
    return _n_clusters(n_tasks, values, discounts, np.exp(log_prior))


def concentration_rate(expected_clusters: float, n_tasks: int, shape: float = 2.0) -> float:
    """Rate b of alpha ~ Gamma(shape, b) such that a Dirichlet process has E clusters on average.

    ``E[K | alpha] = sum_{t=0}^{n-1} alpha / (alpha + t)`` is integrated over the prior of alpha.

    Parameters
    ----------
    expected_clusters : float
        E, between 1 and the number of tasks.
    n_tasks : int
    shape : float

    Returns
    -------
    float

    Raises
    ------
    InvalidModelError
        If E is not strictly between 1 and the number of tasks.

    References
    ----------
    Antoniak (1974), Ann. Statist. 2.
    """
    if not 1.0 < expected_clusters < n_tasks:
        raise InvalidModelError(
            f"expected_clusters={expected_clusters!r}: use a number above 1 and below the number "
            f"of tasks, {n_tasks}"
        )
    before, law = np.arange(n_tasks), stats.gamma(shape)

    def excess(log_rate: float) -> float:
        def integrand(x: float) -> float:
            return float(law.pdf(x) * np.sum(x / (x + before * math.exp(log_rate))))

        return integrate.quad(integrand, 0.0, math.inf)[0] - expected_clusters

    return math.exp(optimize.brentq(excess, -60.0, 60.0))


@kernel
def draw_concentration(concentration, n_clusters, n_tasks, shape, rate, rng):
    """Update alpha of a Dirichlet process under alpha ~ Gamma(shape, rate), given K clusters.

    ``eta ~ Beta(alpha + 1, n)``; then ``alpha ~ Gamma(shape + K, rate - log eta)`` or, with odds
    ``n (rate - log eta)`` to ``shape + K - 1``, ``Gamma(shape + K - 1, rate - log eta)``.

    Parameters
    ----------
    concentration : float
        The present value.
    n_clusters, n_tasks : int
    shape, rate : float
    rng : numpy.random.Generator

    Returns
    -------
    float

    References
    ----------
    Escobar and West (1995), J. Am. Stat. Assoc. 90, eqs. 13-14.
    """
    rate = rate - math.log(rng.beta(concentration + 1.0, n_tasks))
    shape = shape + n_clusters - 1.0
    if rng.random() * (shape + n_tasks * rate) < shape:
        shape += 1.0
    return rng.gamma(shape, 1.0 / rate)


@kernel
def log_concentration_target(log_concentration, args):
    """Log-density of log alpha given a partition, up to a constant, for `slice_sampler`.

    Parameters
    ----------
    log_concentration : float
    args : (sizes, discount, n_components, prior)
        Cluster sizes; the discount of a Pitman-Yor process, 0.0 for the Dirichlet process; the
        number M of components of a finite mixture, whose discount is -alpha / M, or 0 for a
        process; the prior of alpha as a row of `numerics.densities`.

    Returns
    -------
    float

    References
    ----------
    Fruehwirth-Schnatter, Malsiner-Walli and Gruen (2021), Bayesian Anal. 16, algorithm 1, step 3.
    """
    sizes, discount, n_components, prior = args
    concentration = math.exp(log_concentration)
    if not (concentration > 0.0 and math.isfinite(concentration)):
        return -np.inf
    if n_components > 0:
        discount = -concentration / n_components
    log_prior = log_concentration + log_density(prior, concentration)
    return log_prior + log_eppf(sizes, concentration, discount)


@kernel
def log_discount_target(discount, args):
    """Log-density of the discount of a Pitman-Yor process given a partition, up to a constant.

    Parameters
    ----------
    discount : float
    args : (sizes, concentration, prior)
        Cluster sizes; alpha; the prior of the discount as a row of `numerics.densities`.

    Returns
    -------
    float
        ``-inf`` outside [0, 1).
    """
    sizes, concentration, prior = args
    if not 0.0 <= discount < 1.0:
        return -np.inf
    return log_density(prior, discount) + log_eppf(sizes, concentration, discount)
