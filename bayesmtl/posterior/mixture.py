"""Mixtures that are the distribution of a new task: choosing a component, judging given rows."""

from typing import Any

import numpy as np

from bayesmtl.errors import warn
from bayesmtl.posterior.conditional import TaskPrior, TaskRows, log_evidence
from bayesmtl.posterior.population import Component

__all__ = ["chosen", "log_evidences", "pick", "probabilities", "warn_of_refit"]

PARETO_K_LIMIT = 0.7


def warn_of_refit(label: Any, pareto_k: float) -> None:
    """Warn where rows of a task disagree with the fit."""
    if pareto_k > PARETO_K_LIMIT:
        warn(
            f"the given rows of task {label!r} tell so much that few draws of the fit agree with "
            f"them (Pareto k {pareto_k:.2f} > {PARETO_K_LIMIT}): refit with these rows",
        )


def probabilities(components: list[Component]) -> np.ndarray:
    """(component, sample), positive: a component that a draw lacks is never picked."""
    return np.stack([np.maximum(part.probability, 1e-300) for part in components])


def log_evidences(components: list[Component], rows: TaskRows, sigma: np.ndarray) -> np.ndarray:
    """(component and noise sd, sample) log of probability times evidence of the rows."""
    logs = np.full((len(components), *sigma.shape), -np.inf)
    for part, out in zip(components, logs, strict=True):
        present = np.flatnonzero(part.probability > 0)
        prior = part.prior if present.size == sigma.shape[1] else part.prior.take(present)
        for candidate, values in zip(sigma, out, strict=True):
            values[present] = log_evidence(prior, rows, candidate[present])
        out[:, present] += np.log(part.probability[present])
    return logs.reshape(-1, sigma.shape[1])


def pick(logs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One row a column: the largest of logs + Gumbel noise is a draw by their exponentials."""
    if len(logs) == 1:
        return np.zeros(logs.shape[1], dtype=np.int64)
    return np.argmax(logs + rng.gumbel(size=logs.shape), axis=0)


def chosen(components: list[Component], component: np.ndarray, samples: np.ndarray) -> TaskPrior:
    """The prior of the picked component of each sample."""
    if len(components) == 1:
        return components[0].prior.take(samples)
    first = components[0].prior
    mean, sd = np.empty((len(samples), first.mean.shape[1])), np.empty_like(first.sd[samples])
    for k, part in enumerate(components):
        mine = component == k
        mean[mine], sd[mine] = part.prior.mean[samples[mine]], part.prior.sd[samples[mine]]
    return TaskPrior(mean, sd, None)
