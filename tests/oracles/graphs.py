"""Graphs of several tasks drawn from their prior by rejection, written down independently.

Every draw is a whole world: scales or edges, precision matrices, means and rows.
"""

from typing import NamedTuple

import numpy as np

from bayesmtl.graphical.gibbs import graph_sweep
from bayesmtl.graphical.state import (
    HORSESHOE,
    SPIKE_SLAB,
    GraphPrior,
    GraphProblem,
    GraphState,
    initial_state,
)

__all__ = ["GraphWorld", "graph_prior", "graph_statistics", "simulate_worlds", "successive"]


class GraphWorld(NamedTuple):
    """Draws (draw, ...); parts that a prior lacks are empty."""

    precision: np.ndarray  # (draw, block, variable, variable)
    mean: np.ndarray  # (draw, center, variable)
    local: np.ndarray  # (draw, family, variable, variable) sds
    own: np.ndarray  # (draw, block, variable, variable) sds
    tau: np.ndarray  # (draw, block)
    edge: np.ndarray  # (draw, block, variable, variable)
    theta: np.ndarray  # (draw, block, block)


def graph_prior(kind: str, n_tasks: int, n_variables: int, **changes: object) -> GraphPrior:
    """A prior with scales that make all its parts visible."""
    each = np.arange(n_tasks)
    settings: dict[str, object] = {
        "kind": kind,
        "block": each,
        "center": each,
        "family": np.zeros(n_tasks, dtype=np.int64),
        "n_variables": n_variables,
        "mean_sd": 1.5,
        "diagonal_rate": 1.2,
        "global_scale": 0.4,
        "own_scales": False,
        "spike": 0.2,
        "slab": 0.9,
        "edge_shape": (1.2, 1.8),
        "relatedness": (2.0, 1.5, 0.6),
    }
    return GraphPrior(**(settings | changes))  # type: ignore[arg-type]


def _symmetric(rng: np.random.Generator, draw: np.ndarray) -> np.ndarray:
    """Copy what is below the diagonal (..., n, n) above it."""
    below = np.tril(draw, k=-1)
    return below + np.swapaxes(below, -1, -2)


def _half_cauchy(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.abs(rng.standard_cauchy(shape))


def _edges(
    prior: GraphPrior, size: int, theta: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Edges (size, block, n, n) given relatedness, the propensity of each pair drawn too."""
    n, blocks = prior.n_variables, prior.n_blocks
    edge = np.zeros((size, blocks, n, n))
    propensity = np.zeros((size, n, n))
    for f in range(prior.n_families):
        members = np.flatnonzero(prior.family == f)
        g = len(members)
        patterns = np.array([[code >> m & 1 for m in range(g)] for code in range(2**g)])
        some = theta[:, members][:, :, members]
        quadratic = np.einsum("cg,sgm,cm->sc", patterns, some, patterns)
        for i in range(n):
            for j in range(i):
                q = rng.beta(*prior.edge_shape, size)
                logits = np.log(q / (1 - q))[:, None] * patterns.sum(axis=1) + quadratic
                chance = np.exp(logits - logits.max(axis=1, keepdims=True))
                chance /= chance.sum(axis=1, keepdims=True)
                code = (rng.random(size)[:, None] > chance.cumsum(axis=1)).sum(axis=1)
                edge[:, members, i, j] = edge[:, members, j, i] = patterns[code]
                propensity[:, i, j] = q
    return edge, propensity


def _propose(prior: GraphPrior, size: int, rng: np.random.Generator) -> GraphWorld:
    """Draws of everything, positive definite or not."""
    n, blocks = prior.n_variables, prior.n_blocks
    shape = (size, blocks, n, n)
    local, own = np.ones((size, prior.n_families, n, n)), np.ones(shape)
    tau, edge, theta = np.zeros((size, blocks)), np.zeros(shape), np.zeros((size, blocks, blocks))
    if prior.kind == HORSESHOE:
        local = _symmetric(rng, _half_cauchy(rng, local.shape))
        if prior.own_scales:
            own = _symmetric(rng, _half_cauchy(rng, shape))
        tau = prior.global_scale * _half_cauchy(rng, tau.shape)
        sd = tau[:, :, None, None] * local[:, prior.family] * own
    else:
        gamma, rate, chance = prior.relatedness
        theta = rng.gamma(gamma, 1.0 / rate, theta.shape) * (rng.random(theta.shape) < chance)
        theta = _symmetric(rng, theta) * (prior.family[:, None] == prior.family)
        edge, _ = _edges(prior, size, theta, rng)
        sd = np.where(edge > 0, prior.slab, prior.spike)
    precision = _symmetric(rng, sd * rng.normal(size=shape))
    diagonal = rng.exponential(2.0 / prior.diagonal_rate, (size, blocks, n))
    precision += diagonal[..., None] * np.eye(n)
    n_centers = int(prior.center.max()) + 1
    mean = prior.mean_sd * rng.normal(size=(size, n_centers, n))
    return GraphWorld(precision, mean, local, own, tau, edge, theta)


def simulate_worlds(prior: GraphPrior, size: int, rng: np.random.Generator) -> GraphWorld:
    """Exact draws: those with positive definite matrices in all tasks."""
    kept: list[GraphWorld] = []
    while sum(len(world.mean) for world in kept) < size:
        world = _propose(prior, 20_000, rng)
        good = (np.linalg.eigvalsh(world.precision) > 0).all(axis=(1, 2))
        kept.append(GraphWorld(*(part[good] for part in world)))
    return GraphWorld(*(np.concatenate(parts)[:size] for parts in zip(*kept, strict=True)))


def graph_statistics(world: GraphWorld) -> dict[str, np.ndarray]:
    """First and second moments (draw,) of every part."""
    root = np.sqrt(np.diagonal(world.precision, axis1=-2, axis2=-1))
    partial = -world.precision / (root[..., :, None] * root[..., None, :])
    n, blocks = root.shape[-1], root.shape[1]
    out: dict[str, np.ndarray] = {}
    for b in range(blocks):
        out[f"log K_00 {b}"] = 2.0 * np.log(root[:, b, 0])
        out[f"K_11 {b}"] = root[:, b, 1] ** 2
        out[f"r_01 {b}"] = partial[:, b, 0, 1]
        out[f"r_21^2 {b}"] = partial[:, b, 2, 1] ** 2
        out[f"r_01 r_12 r_20 {b}"] = partial[:, b, 0, 1] * partial[:, b, 1, 2] * partial[:, b, 2, 0]
        out[f"log det {b}"] = np.linalg.slogdet(world.precision[:, b])[1]
        if world.tau.any():
            out[f"log tau {b}"] = np.log(world.tau[:, b])
        if world.edge.any():
            out[f"z_10 {b}"] = world.edge[:, b, 1, 0]
            out[f"edges {b}"] = np.tril(world.edge[:, b], k=-1).sum(axis=(1, 2))
            out[f"r^2 z {b}"] = partial[:, b, 2, 0] ** 2 * world.edge[:, b, 2, 0]
        for c in range(b):
            out[f"r^2 r^2 {b} {c}"] = (partial[:, b, 1, 0] * partial[:, c, 1, 0]) ** 2
            if world.edge.any():
                out[f"z z {b} {c}"] = world.edge[:, b, 2, 1] * world.edge[:, c, 2, 1]
                out[f"theta {b} {c}"] = np.minimum(world.theta[:, b, c], 3.0)
                out[f"related {b} {c}"] = (world.theta[:, b, c] > 0).astype(float)
    if world.tau.any():
        for f in range(world.local.shape[1]):
            out[f"log l_10 {f}"] = np.log(world.local[:, f, 1, 0])
            out[f"log l_21^2 {f}"] = np.log(world.local[:, f, 2, 1]) ** 2
        if (world.own[:, 0, 1, 0] != 1).any():
            out["log m_10"] = np.log(world.own[:, 0, 1, 0])
            out["log m l"] = np.log(world.own[:, -1, 2, 1]) * np.log(world.local[:, -1, 2, 1])
    for c in range(world.mean.shape[1]):
        out[f"mu_0 {c}"] = world.mean[:, c, 0]
        out[f"mu_{n - 1}^2 {c}"] = world.mean[:, c, n - 1] ** 2
    return out


def _set(state: GraphState, world: GraphWorld, i: int) -> None:
    """Put one exact draw into a state."""
    state.precision[:] = world.precision[i]
    state.covariance[:] = np.linalg.inv(world.precision[i])
    state.mean[:] = world.mean[i]
    state.edge[:] = world.edge[i] > 0
    state.theta[:] = world.theta[i]
    n = state.precision.shape[-1]
    eye = np.eye(n)
    state.local[:] = world.local[i] ** 2 + eye
    state.own[:] = world.own[i] ** 2 * (1 - eye) + eye
    state.scale[:, 0] = np.maximum(world.tau[i] ** 2, 1e-12)


def _rows(
    prior: GraphPrior, state: GraphState, task: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """New rows given means and precision matrices."""
    out = np.empty((len(task), prior.n_variables))
    for i, g in enumerate(task):
        root = np.linalg.cholesky(state.precision[prior.block[g]])
        noise = np.linalg.solve(root.T, rng.normal(size=prior.n_variables))
        out[i] = state.mean[prior.center[g]] + noise
    return out


def successive(
    prior: GraphPrior,
    start: GraphWorld,
    cycles: int,
    task: np.ndarray,
    missing: np.ndarray,
    rng: np.random.Generator,
) -> GraphWorld:
    """Chains of ``cycles`` sweeps from each exact draw, with new rows before every sweep."""
    n = prior.n_variables
    zeros = np.zeros((len(task), n))
    problem = GraphProblem(zeros, task, np.zeros(n), np.ones(n), prior)
    state = initial_state(problem, rng)
    total = len(start.mean) * cycles
    out = GraphWorld(*(np.empty((total, *part.shape[1:])) for part in start))
    for c in range(len(start.mean)):
        _set(state, start, c)
        unit = prior.global_scale
        state.scale[:, 1] = (1.0 / unit**2 + 1.0 / state.scale[:, 0]) / rng.standard_gamma(
            1.0, len(state.scale)
        )
        for i in range(c * cycles, (c + 1) * cycles):
            rows = _rows(prior, state, task, rng)
            state.values[:] = rows
            seen = problem._replace(values=np.where(missing, np.nan, rows))
            graph_sweep(seen, state, rng)
            horseshoe = prior.kind == HORSESHOE
            out.precision[i], out.mean[i] = state.precision, state.mean
            out.local[i], out.own[i] = np.sqrt(state.local), np.sqrt(state.own)
            out.tau[i] = np.sqrt(state.scale[:, 0]) if horseshoe else 0.0
            out.edge[i] = state.edge if prior.kind == SPIKE_SLAB else 0.0
            out.theta[i] = state.theta
    return out
