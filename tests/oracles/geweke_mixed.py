"""Joint-distribution tests of tasks with different likelihoods: simulator, chains, cases.

See `tests.oracles.geweke`. Responses are drawn by SciPy's or NumPy's own samplers, structure and
scales as the story has them; only centres and units are read from the model, which another test
checks.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import bayesmtl as bm
from bayesmtl.assembly import Problem
from bayesmtl.inference.corrected import corrected_sweep, start_corrected
from bayesmtl.inference.corrected_state import CorrectedState, row_values
from bayesmtl.inference.task_scales import apply_scales
from bayesmtl.numerics.lanes import pack_tasks, unpack_tasks
from bayesmtl.relations.clusters.whitened import whiten_in_clusters
from bayesmtl.relations.exchangeable.moves import standardise
from bayesmtl.relations.exchangeable.whitened import whiten
from tests.oracles.generative import huang_wand

__all__ = ["CASES", "Draw", "MixedCase", "begin", "draw_noise", "drift", "frame"]

LEVELS = ["low", "mid", "high"]
KINDS: dict[str, Any] = {
    "a": bm.Gaussian(noise_sd=bm.Prior("LogNormal", mu=2, sigma=0.3)),
    "b": bm.Bernoulli(),
    "c": bm.Poisson(exposure="e"),
    "d": bm.Gaussian(noise="shared", noise_sd=bm.Prior("HalfNormal", sigma=0.2)),
    "e": bm.Gaussian(noise="shared", noise_sd=bm.Prior("HalfNormal", sigma=0.2)),
    "f": bm.NegativeBinomial(dispersion=bm.Prior("LogNormal", mu=1, sigma=0.5)),
    "g": bm.Gaussian(se="e"),
    "h": bm.Ordinal(levels=LEVELS),
    "i": bm.Ordinal(levels=LEVELS),
}


class Draw(NamedTuple):
    """One exact draw, internal units."""

    means: np.ndarray  # (p,)
    scale: np.ndarray  # (p,)
    covariance: np.ndarray  # (p, p) of the standardised deviations
    shared: float
    weights: np.ndarray  # (task, p)
    labels: np.ndarray | None = None
    between: float = 0.0
    center: np.ndarray | None = None  # (cluster, d)


class MixedCase(NamedTuple):
    """A model of tasks "a" to "i", and its structure by itself."""

    model: bm.Model
    structure: Callable[[Problem, np.random.Generator], Draw]


def frame(n_rows: int = 4, seed: int = 0) -> pd.DataFrame:
    """Responses that set centres and units."""
    rng = np.random.default_rng(seed)
    task = np.repeat(list(KINDS), n_rows)
    n = len(task)
    y = rng.normal(0.0, 1.0, n)
    of = {
        "a": 50.0 + 8.0 * y,
        "b": np.arange(n) % 2,
        "c": rng.poisson(2.0, n),
        "d": 0.3 * y,
        "e": 0.3 * y,
        "f": rng.poisson(2.0, n),
        "g": y,
    }
    numbers = np.select([task == name for name in of], list(of.values()))
    grades = np.array(LEVELS)[np.arange(n) % 3]
    response = np.where(np.isin(task, ["h", "i"]), grades.astype(object), numbers)
    exposure = np.where(np.isin(task, ["c", "g"]), rng.uniform(0.5, 1.5, n), np.nan)
    x = rng.normal(size=(n, 2))
    # Neither feature separates the responses of "b".
    x[n_rows : n_rows + 4] = [[-1.0, 0.3], [-0.5, -1.0], [1.0, -0.7], [0.5, 1.0]]
    return pd.DataFrame({"task": task, "y": response, "e": exposure, "x0": x[:, 0], "x1": x[:, 1]})


def respond(
    problem: Problem, weights: np.ndarray, log_scale: np.ndarray, noise: dict[str, float], rng: Any
) -> dict[str, np.ndarray]:
    """Responses of each task."""
    assert problem.groups is not None
    rows, data = problem.rows, problem.rows.extra["e"]
    out = {}
    for t, name in enumerate(rows.tasks.tolist()):
        mine = rows.task == t
        slope = problem.groups.unit[t] * np.exp(log_scale[t]) * weights[t]
        eta = problem.groups.center[t] + problem.design[mine] @ slope
        with np.errstate(over="ignore"):
            rate = np.minimum(np.exp(eta), 1e12)
        if name in "ade":
            out[name] = eta + noise[name] * rng.normal(size=eta.size)
        elif name == "b":
            out[name] = (rng.logistic(size=eta.size) < eta).astype(float)
        elif name == "c":
            out[name] = rng.poisson(data[mine] * rate).astype(float)
        elif name == "f":
            shape = noise["f"]
            out[name] = rng.poisson(rate * rng.gamma(shape, 1.0 / shape, eta.size)).astype(float)
        elif name in "hi":
            latent = eta + rng.logistic(size=eta.size)
            out[name] = (latent > noise["low"]).astype(float) + (latent > noise["high"])
        else:
            out[name] = eta + data[mine] * rng.normal(size=eta.size)
    return out


def draw_noise(rng: np.random.Generator) -> dict[str, float]:
    """Noise sds, dispersion, and thresholds "low" and "high"."""
    together = 0.2 * abs(rng.normal())
    low, high = sorted(rng.logistic(size=2).tolist())
    return {
        "a": float(np.exp(2.0 + 0.3 * rng.normal())),
        "d": together,
        "e": together,
        "f": float(np.exp(1.0 + 0.5 * rng.normal())),
        "low": low,
        "high": high,
    }


def set_response(problem: Problem, response: dict[str, np.ndarray]) -> None:
    """In place; the rows of a chain have the same array."""
    assert problem.groups is not None
    labels = problem.rows.tasks
    for group, part in zip(problem.groups.groups, problem.row_data, strict=True):
        part.response[:] = np.concatenate([response[name] for name in labels[group.tasks]])


def begin(
    problem: Problem,
    state: CorrectedState,
    draw: Draw,
    log_scale: np.ndarray,
    noise: dict[str, float],
) -> None:
    population = state.population
    population.means[:, 0] = draw.means
    population.scale[:] = draw.scale
    population.covariance[:] = draw.covariance
    population.precision[:] = np.linalg.inv(draw.covariance)
    population.shared[0] = draw.shared
    population.weights[:] = pack_tasks(draw.weights)
    standardise(problem.prior, population)
    assert state.scales is not None
    state.scales.log_scale[:] = log_scale
    apply_scales(problem, state.scales, state.sites)
    logs = np.log([noise["a"], noise["d"], noise["f"]])
    state.parameters[:] = [*logs, noise["low"], noise["high"]]
    state.value[:] = row_values(problem, state)
    if state.partition is None:
        whiten(state.sites, problem.prior, population, state.whitened)
        return
    partition = state.partition
    assert draw.labels is not None
    assert draw.center is not None
    n = len(draw.center)
    partition.labels[:] = draw.labels
    partition.sizes[:n] = np.bincount(draw.labels)
    partition.n_clusters[0] = n
    partition.between[0] = draw.between
    partition.center[:n] = draw.center
    whiten_in_clusters(state.sites, problem.prior, population, partition, state.whitened)


def functions(
    weights: np.ndarray, log_scale: np.ndarray, others: dict[str, float], response: dict[str, Any]
) -> dict[str, float]:
    """What is compared; responses where they cannot be huge."""
    out = dict(others)
    for t, name in enumerate(KINDS):
        out |= {f"s[{name}]": log_scale[t], f"s2[{name}]": log_scale[t] ** 2}
        for i, value in enumerate(weights[t]):
            out |= {f"w[{name},{i}]": np.tanh(value), f"abs w[{name},{i}]": np.tanh(abs(value))}
    out["s w"] = np.tanh((np.exp(log_scale)[:, None] * np.abs(weights)).mean())
    out["s_a s_b"] = log_scale[0] * log_scale[1]
    out["s sum2"] = log_scale.sum() ** 2
    out["b"], out["b scale"] = response["b"].mean(), response["b"].mean() * log_scale[1]
    out["c"] = np.log1p(response["c"]).mean()
    for k in range(3):
        out[f"h[{k}]"] = np.mean(response["h"] == k)
    out["h level"] = response["h"].mean() * np.tanh(weights[7, 0])
    return out


def _of_structure(draw: Draw) -> dict[str, float]:
    out = {"shared": draw.shared}
    for i in range(draw.means.size):
        out |= {f"mean[{i}]": np.tanh(draw.means[i]), f"abs mean[{i}]": np.tanh(abs(draw.means[i]))}
        if draw.scale[i] > 0.0:
            sd = draw.scale[i] * np.sqrt(draw.covariance[i, i])
            out[f"sd[{i}]"] = np.log(sd)
    out["cov"] = np.tanh(draw.covariance[-1, -2]) if draw.means.size > 1 else 0.0
    if draw.labels is not None:
        out |= {"clusters": draw.labels.max() + 1.0, "between": draw.between}
        out["ab"] = float(draw.labels[0] == draw.labels[1])
    return out


def _of_noise(noise: dict[str, float]) -> dict[str, float]:
    out = {f"noise[{name}]": np.log(noise[name]) for name in "adf"}
    low, high = noise["low"], noise["high"]
    return out | {"low": low, "low2": low**2, "high": high, "low high": np.tanh(low * high)}


def _exact(case: MixedCase, problem: Problem, rng: np.random.Generator) -> Any:
    draw, noise = case.structure(problem, rng), draw_noise(rng)
    log_scale = 0.5 * rng.normal(size=len(KINDS))
    response = respond(problem, draw.weights, log_scale, noise, rng)
    others = _of_structure(draw) | _of_noise(noise)
    return draw, noise, log_scale, response, functions(draw.weights, log_scale, others, response)


def _read(problem: Problem, state: CorrectedState) -> tuple[Draw, dict[str, float]]:
    population, partition = state.population, state.partition
    draw = Draw(
        population.means[:, 0],
        population.scale,
        population.covariance,
        float(population.shared[0]),
        unpack_tasks(population.weights, problem.prior.n_tasks),
    )
    if partition is not None:
        draw = draw._replace(labels=partition.labels, between=float(partition.between[0]))
    a, d, f = np.exp(state.parameters[:3]).tolist()
    low, high = state.parameters[3:].tolist()
    return draw, {"a": a, "d": d, "e": d, "f": f, "low": low, "high": high}


def drift(case: MixedCase, chains: int, cycles: int, n_exact: int, seed: int) -> dict[str, float]:
    """Standardised differences of chain averages from exact means."""
    problem = case.model.prepare(frame()).problem
    rng = np.random.default_rng([seed, 1])
    exact = [_exact(case, problem, rng)[-1] for _ in range(n_exact)]
    names = list(exact[0])
    table = np.array([[one[name] for name in names] for one in exact])
    state = start_corrected(problem, rng)
    averages = np.zeros((chains, len(names)))
    for chain in averages:
        draw, noise, log_scale, response, _ = _exact(case, problem, rng)
        set_response(problem, response)
        begin(problem, state, draw, log_scale, noise)
        for _ in range(cycles):
            corrected_sweep(problem, state, rng)
            assert state.scales is not None
            now, noise = _read(problem, state)
            log_scale = state.scales.log_scale
            response = respond(problem, now.weights, log_scale, noise, rng)
            others = _of_structure(now) | _of_noise(noise)
            found = functions(now.weights, log_scale, others, response)
            chain += [found[name] / cycles for name in names]
            set_response(problem, response)
            state.value[:] = row_values(problem, state)
    gap = averages.mean(axis=0) - table.mean(axis=0)
    error = np.sqrt(averages.var(axis=0) / chains + table.var(axis=0) / n_exact)
    moving = error > 1e-12
    return {
        name: float(g / e)
        for name, g, e, m in zip(names, gap, error, moving, strict=True)
        if m or abs(g) > 1e-9
    }


def joint_default() -> MixedCase:
    """Joint prior, with an R-squared prior of few large signals; intercepts of their own."""
    relation = bm.Exchangeable(r2=bm.Prior("Beta", alpha=2, beta=8))
    intercept = bm.Exchangeable(
        mean=bm.Prior("Normal", mu=0.1, sigma=0.5), scale=bm.Prior("HalfNormal", sigma=0.5)
    )
    model = bm.Model("y ~ x0 + x1", "task", relation, KINDS, intercept=intercept)

    def structure(problem: Problem, rng: np.random.Generator) -> Draw:
        r2, shared = rng.beta(2, 8), rng.uniform()
        signal = r2 / (1.0 - r2)
        means = np.append(rng.normal(0.1, 0.5), np.sqrt(shared * signal / 2) * rng.normal(size=2))
        own = np.sqrt((1.0 - shared) * signal * rng.dirichlet(np.ones(2)))
        scale = np.append(0.5 * abs(rng.normal()), own)
        weights = means + scale * rng.normal(size=(len(KINDS), 3))
        return Draw(means, scale, np.eye(3), shared, weights)

    return MixedCase(model, structure)


def pooled() -> MixedCase:
    """Weights that no task can change alone: all scales move together."""
    relation = bm.Pooled(mean=bm.Prior("Normal", mu=0.2, sigma=0.4))
    model = bm.Model("y ~ 0 + x0 + x1", "task", relation, KINDS)

    def structure(problem: Problem, rng: np.random.Generator) -> Draw:
        means = rng.normal(0.2, 0.4, 2) / problem.prior.scale_unit
        return Draw(means, np.zeros(2), np.eye(2), 0.0, np.tile(means, (len(KINDS), 1)))

    return MixedCase(model, structure)


def correlated() -> MixedCase:
    """Huang-Wand covariance, the intercept one of the features."""
    relation = bm.Exchangeable(mean=bm.Prior("Normal", mu=0, sigma=0.4), feature_covariance="full")
    model = bm.Model("y ~ x0", "task", relation, KINDS, intercept="relation")

    def structure(problem: Problem, rng: np.random.Generator) -> Draw:
        unit = problem.prior.scale_unit
        sds, correlation = huang_wand(1, np.ones(2), rng)
        covariance = correlation[0] * np.outer(sds[0], sds[0])
        means = rng.normal(0.0, 0.4, 2) / unit
        root = np.linalg.cholesky(covariance)
        weights = means + rng.normal(size=(len(KINDS), 2)) @ root.T
        return Draw(means, np.ones(2), covariance, 0.0, weights)

    return MixedCase(model, structure)


def _clusters(
    between: Any,
    draw_between: Callable[[np.random.Generator], float],
    formula: str = "y ~ 0 + x0 + x1",
) -> MixedCase:
    relation = bm.DirichletProcess(
        concentration=1.0,
        mean=bm.Prior("Normal", mu=0, sigma=0.4),
        scale=bm.Prior("Gamma", alpha=4, beta=10),
        between=between,
    )
    intercept = None if "0 +" in formula else "relation"
    model = bm.Model(formula, "task", relation, KINDS, intercept=intercept)

    def structure(problem: Problem, rng: np.random.Generator) -> Draw:
        unit = problem.prior.scale_unit
        labels: list[int] = []
        for t in range(len(KINDS)):
            counts = np.append(np.bincount(labels or [0])[: max(labels, default=-1) + 1], 1.0)
            labels.append(int(rng.choice(len(counts), p=counts / (t + 1.0))))
        share, codes = draw_between(rng), np.array(labels)
        center = rng.normal(size=(codes.max() + 1, 2))
        means, scale = rng.normal(0, 0.4, 2) / unit, rng.gamma(4.0, 0.1, 2) / unit
        deviation = np.sqrt(share) * center[codes]
        deviation = deviation + np.sqrt(1.0 - share) * rng.normal(size=deviation.shape)
        weights = means + scale * deviation
        return Draw(means, scale, np.eye(2), 0.0, weights, codes, share, center)

    return MixedCase(model, structure)


def clusters() -> MixedCase:
    return _clusters(bm.Prior("Beta", alpha=2, beta=2), lambda rng: float(rng.beta(2, 2)))


def levels() -> MixedCase:
    """The intercept among the features of the clusters."""
    prior = bm.Prior("Beta", alpha=2, beta=2)
    return _clusters(prior, lambda rng: float(rng.beta(2, 2)), "y ~ x0")


def identical() -> MixedCase:
    return _clusters(1.0, lambda _: 1.0)


CASES = {
    "joint": joint_default,
    "pooled": pooled,
    "correlated": correlated,
    "clusters": clusters,
    "levels": levels,
    "identical": identical,
}
