"""Which features matter, in any task: what draws under feature selection say."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayesmtl.assembly import Problem
from bayesmtl.inference.draws import Draws
from bayesmtl.numerics.lanes import unpack_symmetric, unpack_tasks
from bayesmtl.posterior.relations import STATISTICS, site_precisions, summarise
from bayesmtl.posterior.task_draws import variances

__all__ = ["inclusion_relations", "selection_variables"]

_SAMPLE = ("chain", "draw")
_PARTS = ("any", "mean", "deviations")
_HYPER = ("selection_mean_scale", "selection_spread_scale", "selection_slab")


def selection_variables(problem: Problem, draws: Draws) -> dict[str, Any]:
    """Variables of the posterior group: inclusion weights and the scales that rule all features."""
    assert draws.selection is not None
    parts = _inclusion(problem, draws)
    out: dict[str, Any] = {"inclusion": ((*_SAMPLE, "feature"), parts["any"])}
    for place, name in enumerate(_HYPER):
        out[name] = (_SAMPLE, draws.selection.hyper[..., place])
    return out


def inclusion_relations(problem: Problem, draws: Draws) -> xr.Dataset:
    """Summaries of ``feature_inclusion (feature, part, statistic)``.

    Of the mean over tasks, of the tasks' deviations from it, and of any of them.
    """
    parts = _inclusion(problem, draws)
    table = np.stack(
        [summarise(parts[name].reshape(-1, parts[name].shape[-1])) for name in _PARTS], axis=1
    )
    coords = {
        "feature": np.array(problem.features, dtype=object),
        "part": np.array(_PARTS, dtype=object),
        "statistic": STATISTICS,
    }
    return xr.Dataset({"feature_inclusion": (("feature", "part", "statistic"), table)}, coords)


def _inclusion(problem: Problem, draws: Draws) -> dict[str, np.ndarray]:
    """Inclusion weights (..., feature), 1 less the shrinkage of what the data say by themselves.

    With prior variance v of an effect that the rows alone tell with the variance ``1 / info``, the
    shrinkage is ``1 / (1 + v info)`` (Carvalho, Polson and Scott 2010, Biometrika 97): all rows
    tell of the mean, those of an average task of its deviation. A feature matters if one of both
    does. Features that are not under selection have weight 1.
    """
    prior, first = problem.prior, problem.prior.block
    selection, chosen = draws.selection, problem.selection
    assert selection is not None
    assert chosen is not None
    total = _information(problem, draws)[..., first:]
    spread = draws.scale[..., first:] ** 2
    if draws.tasks is not None:
        spread = spread * variances(draws.tasks).mean(axis=-1)[..., None]
    # Effects of standardised task features act as the mean does.
    sds = np.where(chosen.means, selection.local, 0.0)[..., first:, :]
    member = chosen.member[first:]
    of_mean = 1.0 / (1.0 + (sds**2).sum(axis=-1) * total)
    of_deviations = 1.0 / (1.0 + spread * total / prior.n_tasks)
    left = {"any": of_mean * of_deviations, "mean": of_mean, "deviations": of_deviations}
    return {name: np.where(member, 1.0 - values, 1.0) for name, values in left.items()}


def _information(problem: Problem, draws: Draws) -> np.ndarray:
    """Precision (..., p) with which all rows together tell each coefficient, the others given."""
    n_tasks = problem.prior.n_tasks
    gram = np.einsum("tii->ti", unpack_symmetric(problem.sites.gram, n_tasks))
    precisions = site_precisions(problem, draws)
    out = np.empty((*draws.lp.shape, gram.shape[1]))
    for index in np.ndindex(draws.lp.shape):
        out[index] = unpack_tasks(precisions(index), n_tasks) @ gram
    return out
