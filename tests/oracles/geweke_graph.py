"""Simulators of graphs between tasks, for joint-distribution tests: by rejection."""

import numpy as np

from tests.oracles.autoregression import scaled_laplacian
from tests.oracles.geweke_covariance import Simulator, Tasks, dense_tasks

__all__ = [
    "car_tasks",
    "draw_precisions",
    "horseshoe_tasks",
    "spike_slab_tasks",
    "tree_tasks",
]


def _symmetric(values: np.ndarray, n_tasks: int) -> np.ndarray:
    """(n, pair) -> (n, task, task), zero on the diagonal."""
    out = np.zeros((len(values), n_tasks, n_tasks), dtype=values.dtype)
    row, column = np.tril_indices(n_tasks, -1)
    out[:, row, column] = values
    out[:, column, row] = values
    return out


def draw_precisions(
    variance: np.ndarray, n_tasks: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Those of precisions (n, task, task) that are positive definite, and which (n,) are.

    Elements off the diagonal are normal with ``variance`` (n, pair), those on it Exponential(1/2).
    """
    n = len(variance)
    precision = _symmetric(np.sqrt(variance) * rng.normal(size=variance.shape), n_tasks)
    same = np.arange(n_tasks)
    precision[:, same, same] = rng.exponential(2.0, (n, n_tasks))
    definite = np.linalg.eigvalsh(precision)[:, 0] > 0.0
    return precision[definite], definite


def spike_slab_tasks(
    n_tasks: int, spike: float = 0.05, slab: float = 1.0, edge_share: float = 0.5
) -> Simulator:
    """A spike and slab of these sds."""

    def simulate(n: int, root: np.ndarray, rng: np.random.Generator) -> Tasks:
        found, edges = np.empty((0, n_tasks, n_tasks)), np.empty((0, n_tasks, n_tasks), dtype=bool)
        while len(found) < n:
            edge = rng.random((n, n_tasks * (n_tasks - 1) // 2)) < edge_share
            more, kept = draw_precisions(np.where(edge, slab**2, spike**2), n_tasks, rng)
            found = np.concatenate([found, more])
            edges = np.concatenate([edges, _symmetric(edge[kept], n_tasks)])
        ones = np.ones((n, n_tasks, n_tasks))
        own = (edges[:n], ones, ones, np.ones((n, 2)))
        return dense_tasks(np.linalg.inv(found[:n]), root.shape[1], own)

    return simulate


def horseshoe_tasks(n_tasks: int, global_scale: float = 1.0) -> Simulator:
    """Half-Cauchy local and global sds."""

    def simulate(n: int, root: np.ndarray, rng: np.random.Generator) -> Tasks:
        pairs = n_tasks * (n_tasks - 1) // 2
        parts: list[list[np.ndarray]] = [[], [], [], []]
        while sum(len(part) for part in parts[0]) < n:
            auxiliary = 1.0 / rng.gamma(0.5, 1.0, (n, pairs))
            local = 1.0 / auxiliary / rng.gamma(0.5, 1.0, (n, pairs))
            mixed = global_scale**-2 / rng.gamma(0.5, 1.0, n)
            scale = 1.0 / mixed / rng.gamma(0.5, 1.0, n)
            precision, kept = draw_precisions(local * scale[:, None], n_tasks, rng)
            parts[0].append(precision)
            parts[1].append(_symmetric(local[kept], n_tasks))
            parts[2].append(_symmetric(auxiliary[kept], n_tasks))
            parts[3].append(np.column_stack([scale, mixed])[kept])
        precision, local, auxiliary, scale = (np.concatenate(part)[:n] for part in parts)
        same = np.arange(n_tasks)
        local[:, same, same] = auxiliary[:, same, same] = 1.0
        own = (np.zeros(local.shape, dtype=bool), local, auxiliary, scale)
        return dense_tasks(np.linalg.inv(precision), root.shape[1], own)

    return simulate


def car_tasks(adjacency: np.ndarray, shape: tuple[float, float] = (1.0, 1.0)) -> Simulator:
    """Leroux's autoregression with a dense Laplacian, rho ~ Beta."""
    laplacian = scaled_laplacian(adjacency)
    eye = np.eye(len(adjacency))

    def simulate(n: int, root: np.ndarray, rng: np.random.Generator) -> Tasks:
        rho = rng.beta(*shape, (n, 1))
        precision = rho[:, :, None] * laplacian + (1.0 - rho[:, :, None]) * eye
        return dense_tasks(np.linalg.inv(precision), root.shape[1], (rho,))

    return simulate


def tree_tasks(parts: np.ndarray, shape: np.ndarray) -> Simulator:
    """Covariances (component, task, task) with shares ~ Dirichlet."""

    def simulate(n: int, root: np.ndarray, rng: np.random.Generator) -> Tasks:
        share = rng.dirichlet(shape, n)
        return dense_tasks(np.einsum("nk,kst->nst", share, parts), root.shape[1], (share,))

    return simulate
