"""Joint-distribution tests of random partitions: prior simulator, states and test functions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bayesmtl import Model
from bayesmtl.inference.gibbs import ChainState, gibbs_step, start_chain
from bayesmtl.relations.exchangeable.gibbs import Moves
from tests.oracles.generative import World, respond, statistics
from tests.oracles.geweke import (
    Frame,
    empty_like,
    record_world,
    respond_with,
    set_structure,
    z_scores,
)

__all__ = [
    "Case",
    "Clusters",
    "Pair",
    "components",
    "drift",
    "process",
    "simulate",
]

Structure = Callable[[int, np.random.Generator], dict[str, np.ndarray]]


class Case(NamedTuple):
    """``structure`` gives means, sds, noise and all parts of `Clusters` but the centers."""

    frame: Frame
    model: Model
    structure: Structure


class Clusters(NamedTuple):
    """Draws of the partition; labels by first appearance."""

    labels: np.ndarray  # (n, task)
    concentration: np.ndarray  # (n,)
    discount: np.ndarray  # (n,)
    components: np.ndarray  # (n,)
    between: np.ndarray  # (n,)
    centers: np.ndarray  # (n, task, d), standardised, one row a cluster


class Pair(NamedTuple):
    world: World
    clusters: Clusters


def _by_appearance(labels: np.ndarray) -> np.ndarray:
    out = np.empty_like(labels)
    for row, one in zip(out, labels, strict=True):
        names: dict[int, int] = {}
        row[:] = [names.setdefault(label, len(names)) for label in one.tolist()]
    return out


def process(
    n_tasks: int, concentration: np.ndarray, discount: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Sticks ``v_k ~ Beta(1 - delta, alpha + k delta)``, and the tasks drawn from them."""
    n, most = len(concentration), 100
    k = np.arange(1, most + 1)
    v = rng.beta(1.0 - discount[:, None], concentration[:, None] + k * discount[:, None])
    left = np.cumprod(1.0 - v, axis=1)
    # The stick on which a uniform number falls; beyond the last one all are new.
    u = rng.uniform(size=(n, n_tasks))
    labels = np.array([np.searchsorted(-one, -level) for one, level in zip(left, u, strict=True)])
    far = labels == most
    labels[far] = most + np.arange(far.sum())
    return {
        "labels": _by_appearance(labels),
        "concentration": concentration,
        "discount": discount,
        "components": np.zeros(n),
    }


def components(
    n_tasks: int, concentration: np.ndarray, number: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Tasks from ``number`` components of Dirichlet(alpha / M) weights."""
    labels = np.empty((len(number), n_tasks), dtype=np.int64)
    for m in np.unique(number):
        rows = np.flatnonzero(number == m)
        shape = np.repeat(concentration[rows, None] / m, m, axis=1)
        # Logs of gamma variables, which may underflow; the largest with Gumbel noise is drawn.
        log_weight = np.log(rng.gamma(shape + 1.0)) + np.log(rng.uniform(size=shape.shape)) / shape
        for t in range(n_tasks):
            labels[rows, t] = np.argmax(log_weight + rng.gumbel(size=shape.shape), axis=1)
    return {
        "labels": _by_appearance(labels),
        "concentration": concentration,
        "discount": -concentration / number,
        "components": number.astype(float),
    }


def simulate(case: Case, n: int, rng: np.random.Generator) -> Pair:
    """Independent draws of everything; the features are the last columns of the layout."""
    layout, parts = case.frame.layout, case.structure(n, rng)
    means, sds, labels = parts["means"], parts["sds"], parts["labels"]
    n_tasks, p = len(layout.task_columns), sds.shape[1]
    d = p - int(case.model.intercept is None and bool((layout.columns[:, 0] == 1.0).all()))
    centers = rng.normal(size=(n, n_tasks, d))
    deviation = rng.normal(size=(n, n_tasks, p))
    between = parts["between"][:, None, None]
    own = np.take_along_axis(centers, labels[:, :, None], axis=1)
    inside = np.sqrt(1.0 - between) * deviation[:, :, p - d :]
    deviation[:, :, p - d :] = np.sqrt(between) * own + inside
    weights = np.einsum("nia,ta->nti", means, layout.task_columns) + sds[:, None, :] * deviation
    ones = np.ones(n)
    world = World(
        means,
        sds,
        np.tile(np.eye(p), (n, 1, 1)),
        parts.get("shared", ones),
        parts.get("median", ones),
        parts.get("spread", ones),
        parts["noise"],
        weights,
        respond(layout, weights, parts["noise"], rng),
        np.empty((n, 0)),
    )
    names = ("labels", "concentration", "discount", "components", "between")
    return Pair(world, Clusters(**{name: parts[name] for name in names}, centers=centers))


def _set_partition(chain: ChainState, start: Clusters, i: int) -> None:
    partition = chain.partition
    assert partition is not None
    partition.labels[:] = start.labels[i]
    partition.sizes[:] = np.bincount(start.labels[i], minlength=partition.sizes.size)
    partition.n_clusters[:] = start.labels[i].max() + 1
    partition.n_components[:] = start.components[i]
    partition.concentration[:] = start.concentration[i]
    partition.discount[:] = start.discount[i]
    partition.between[:] = start.between[i]
    partition.center[:] = start.centers[i]


def _record_partition(chain: ChainState, out: Clusters, i: int) -> None:
    partition = chain.partition
    assert partition is not None
    out.labels[i] = partition.labels
    out.components[i] = partition.n_components[0]
    out.concentration[i] = partition.concentration[0]
    out.discount[i] = partition.discount[0]
    out.between[i] = partition.between[0]
    out.centers[i] = partition.center


def _functions(pair: Pair) -> dict[str, np.ndarray]:
    """Of the world alone, and of partition and world."""
    world, clusters = pair
    out = statistics(world)
    labels, between = clusters.labels, clusters.between
    number = labels.max(axis=1) + 1.0
    apart = np.abs(np.arcsinh(world.weights[:, 0, -1] - world.weights[:, -1, -1]))
    own = np.take_along_axis(clusters.centers, labels[:, :, None], axis=1)
    sizes = np.stack([(labels == k).sum(axis=1) for k in range(labels.shape[1])], axis=1)
    new = {
        "clusters": number,
        "log clusters": np.log(number),
        "largest": sizes.max(axis=1).astype(float),
        "alone": (sizes == 1).sum(axis=1).astype(float),
        "log concentration": np.log(clusters.concentration),
        "log concentration^2": np.log(clusters.concentration) ** 2,
        "discount": clusters.discount,
        "log components": np.log(np.maximum(clusters.components, 1.0)),
        "between": between,
        "between^2": between**2,
        "between x clusters": between * number,
        "concentration x clusters": np.log(clusters.concentration) * number,
        "discount x clusters": clusters.discount * number,
        "components x clusters": np.log(np.maximum(clusters.components, 1.0)) * number,
        "together x gap": (labels[:, 0] == labels[:, -1]) * apart,
        "between x gap": between * apart,
        "clusters x sd": number * np.log(world.sds[:, -1]),
        "between x sd": between * np.log(world.sds[:, -1]),
        "between x noise": between * np.log(world.noise[:, 0]),
        "center": own[:, 0, -1],
        "center^2": own[:, -1, -1] ** 2,
        "center x weight": own[:, 0, -1] * np.arcsinh(world.weights[:, 0, -1]),
        "center x mean": own[:, 0, -1] * np.arcsinh(world.means[:, -1, 0]),
    }
    for t in range(1, labels.shape[1]):
        new[f"together 0, {t}"] = (labels[:, 0] == labels[:, t]).astype(float)
    return out | {name: values for name, values in new.items() if np.ptp(values) > 1e-9}


def drift(
    case: Case, start: Pair, exact: Pair, cycles: int, rng: np.random.Generator
) -> dict[str, float]:
    """z of all test functions after sweeps with new responses in between."""
    frame, layout = case.frame, case.frame.layout
    problem = case.model.prepare(frame.data).problem
    n_tasks, n_chains = problem.prior.n_tasks, len(start.world.median)
    out = empty_like(n_chains * cycles, start.world)
    partitions = Clusters(
        *(np.empty((n_chains * cycles, *x.shape[1:]), x.dtype) for x in start.clusters)
    )
    sd_weight = 1.0 / np.sqrt(layout.precision_weight)
    chain: Any = start_chain(problem, case.model.likelihood, rng)
    for c in range(n_chains):
        set_structure(frame, problem, chain, start.world, c)
        _set_partition(chain, start.clusters, c)
        response = start.world.response[c]
        for i in range(c * cycles, (c + 1) * cycles):
            chain = respond_with(frame, problem, chain, response)
            gibbs_step(problem, chain, Moves(collapsed=False, rows=False), rng)
            record_world(frame, chain, n_tasks, out, i)
            _record_partition(chain, partitions, i)
            predictor = np.einsum("ri,ri->r", layout.columns, out.weights[i][layout.task])
            error = out.noise[i][layout.task] * sd_weight * rng.normal(size=len(predictor))
            response = out.response[i] = predictor + error
    begun, drawn, known = (_functions(pair) for pair in (start, Pair(out, partitions), exact))
    return z_scores(begun, drawn, known, cycles)
