"""Random partitions by their definitions: prior probabilities, evidences and quadrature."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from bayesmtl import DirichletProcess, FiniteMixture, PitmanYor, Prior
from tests.oracles.partitions import set_partitions

__all__ = [
    "CASES",
    "Case",
    "Exact",
    "Relation",
    "dense_evidence",
    "enumerate_posterior",
    "fixed",
    "log_prior",
]

Relation = DirichletProcess | PitmanYor | FiniteMixture


class Nodes(NamedTuple):
    """Quadrature over the hyperparameters; ``components`` is 0 for a process."""

    concentration: np.ndarray
    discount: np.ndarray
    components: np.ndarray
    log_weight: np.ndarray


class Case(NamedTuple):
    """A relation and its hyperparameters, fixed numbers or quadrature nodes."""

    relation: Relation
    nodes: Nodes

    @property
    def learns(self) -> bool:
        return len(self.nodes.log_weight) > 1


class Exact(NamedTuple):
    """Posterior of partitions (partition, task) and moments of what else is random."""

    partitions: np.ndarray
    probability: np.ndarray
    log_concentration: float
    discount: float
    log_components: float


def _seating(partition: np.ndarray, alpha: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """Log prior probability of a process: one task joins after the other."""
    total = np.zeros_like(alpha)
    for t, label in enumerate(partition):
        before = partition[:t]
        n = np.sum(before == label)
        mass = n - delta if n else alpha + delta * len(set(before.tolist()))
        total += np.log(mass / (alpha + t)) if t else 0.0
    return total


def _allocation(partition: np.ndarray, alpha: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Log prior probability of m components: Dirichlet-multinomial, over all ways to name them."""
    sizes = np.unique(partition, return_counts=True)[1]
    with np.errstate(all="ignore"):
        ways = special.gammaln(m + 1) - special.gammaln(m - len(sizes) + 1)
        total = ways + special.gammaln(alpha) - special.gammaln(alpha + len(partition))
        for n in sizes:
            total = total + special.gammaln(n + alpha / m) - special.gammaln(alpha / m)
    return np.where(m < len(sizes), -np.inf, total)


def log_prior(partition: np.ndarray, nodes: Nodes) -> np.ndarray:
    """Log prior probability of a partition at each node."""
    if nodes.components[0] > 0:
        return _allocation(partition, nodes.concentration, nodes.components)
    return _seating(partition, nodes.concentration, nodes.discount)


def dense_evidence(a: np.ndarray, g: np.ndarray) -> float:
    """``log E exp(g't - t'a t / 2)`` over ``t ~ N(0, I)``."""
    precision = np.eye(len(g)) + a
    return float(0.5 * g @ np.linalg.solve(precision, g) - 0.5 * np.linalg.slogdet(precision)[1])


def enumerate_posterior(
    n_tasks: int, nodes: Nodes, log_likelihood: Callable[[np.ndarray], float]
) -> Exact:
    """Over all partitions of the tasks, hyperparameters integrated at the nodes."""
    partitions = set_partitions(n_tasks)
    log_joint = np.array(
        [nodes.log_weight + log_prior(one, nodes) + log_likelihood(one) for one in partitions]
    )
    joint = np.exp(log_joint - log_joint.max())
    joint /= joint.sum()
    at_node = joint.sum(axis=0)
    return Exact(
        partitions,
        joint.sum(axis=1),
        float(at_node @ np.log(nodes.concentration)),
        float(at_node @ nodes.discount),
        float(at_node @ np.log(np.maximum(nodes.components, 1))),
    )


def fixed(alpha: float, delta: float = 0.0, m: int = 0) -> Nodes:
    return Nodes(np.array([alpha]), np.array([delta]), np.array([float(m)]), np.zeros(1))


def _concentrations(law: stats.rv_continuous, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Equidistant in the logarithm."""
    alpha = np.exp(np.linspace(-14.0, 5.0, n))
    return alpha, law.logpdf(alpha) + np.log(alpha)


def _process(law: stats.rv_continuous, n: int = 600) -> Nodes:
    alpha, log_weight = _concentrations(law, n)
    return Nodes(alpha, np.zeros(n), np.zeros(n), log_weight)


def _pitman_yor(law: stats.rv_continuous, discount: stats.rv_continuous) -> Nodes:
    alpha, log_weight = _concentrations(law, 300)
    node, weight = np.polynomial.legendre.leggauss(40)
    delta = 0.5 * (node + 1.0)
    log_delta = np.log(weight) + discount.logpdf(delta)
    a, d = (part.ravel() for part in np.meshgrid(alpha, delta, indexing="ij"))
    return Nodes(a, d, np.zeros(a.size), np.add.outer(log_weight, log_delta).ravel())


def _mixture(law: stats.rv_continuous) -> Nodes:
    """M - 1 ~ beta-negative-binomial(1, 4, 3): geometric given p ~ Beta(4, 3)."""
    alpha, log_weight = _concentrations(law, 200)
    m = np.arange(1, 1001)
    log_m = special.betaln(5, m + 2) - special.betaln(4, 3)
    a, c = (part.ravel() for part in np.meshgrid(alpha, m.astype(float), indexing="ij"))
    return Nodes(a, np.zeros(a.size), c, np.add.outer(log_weight, log_m).ravel())


def _components(law: stats.rv_continuous, m: int) -> Nodes:
    alpha, log_weight = _concentrations(law, 600)
    return Nodes(alpha, np.zeros(600), np.full(600, float(m)), log_weight)


_GAMMA = stats.gamma(2, scale=0.5)
CASES = {
    "dp": Case(DirichletProcess(concentration=0.8), fixed(0.8)),
    "dp-gamma": Case(DirichletProcess(), _process(_GAMMA)),
    "dp-lognormal": Case(
        DirichletProcess(concentration=Prior("LogNormal", mu=-0.5, sigma=0.8)),
        _process(stats.lognorm(0.8, scale=np.exp(-0.5))),
    ),
    "py": Case(PitmanYor(concentration=0.6, discount=0.45), fixed(0.6, 0.45)),
    "py-fixed-discount": Case(
        PitmanYor(discount=0.3),
        _process(_GAMMA)._replace(discount=np.full(600, 0.3)),
    ),
    "py-random": Case(PitmanYor(), _pitman_yor(_GAMMA, stats.beta(1, 4))),
    "two": Case(FiniteMixture(components=2, concentration=1.5), fixed(1.5, m=2)),
    "four": Case(FiniteMixture(components=4), _components(_GAMMA, 4)),
    "mixture": Case(FiniteMixture(), _mixture(_GAMMA)),
}
