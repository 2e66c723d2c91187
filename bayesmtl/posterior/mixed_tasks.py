"""New tasks of a fit whose tasks have different likelihoods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayesmtl.errors import InvalidModelError, UnsupportedError
from bayesmtl.frames.labels import label_text
from bayesmtl.likelihoods import Gaussian, Likelihood, Mixed
from bayesmtl.likelihoods.groups import LOG_SCALE_SD
from bayesmtl.likelihoods.mixed import own_noise
from bayesmtl.posterior.population import Component
from bayesmtl.posterior.predictor import TaskKind, task_kinds
from bayesmtl.posterior.rows import feature_names, task_labels
from bayesmtl.posterior.settings import FitSettings
from bayesmtl.scaling import INTERCEPT

__all__ = ["NewKind", "in_own_units", "name_likelihoods", "new_kinds", "require_named"]


class NewKind(NamedTuple):
    """What a new task takes over from those with its likelihood.

    Parameters
    ----------
    kind : TaskKind
    center, unit : float
    intercept : int or None
        Which coefficient is the intercept.
    """

    kind: TaskKind
    center: float
    unit: float
    intercept: int | None


def name_likelihoods(
    settings: FitSettings, likelihood: Mapping[Any, Likelihood] | None
) -> FitSettings:
    """Settings in which new tasks have a likelihood.

    Raises
    ------
    InvalidModelError
        Where the fit has one likelihood for all tasks; for a task of the fit, or a likelihood that
        none of its tasks has.
    """
    if likelihood is None:
        return settings
    known = settings.likelihood
    if not isinstance(known, Mixed):
        raise InvalidModelError(
            f"likelihood= is for fits whose tasks have different ones; here all have {known!r}: "
            "leave it out"
        )
    new, of_fit = Mixed.of(likelihood), dict(known.tasks)
    for label, one in new.tasks:
        if label in of_fit:
            raise InvalidModelError(
                f"likelihood: task {label!r} is in the fit, with {of_fit[label]!r}: leave it out"
            )
        if one not in of_fit.values():
            there = ", ".join(sorted(set(map(repr, of_fit.values()))))
            raise InvalidModelError(
                f"likelihood: no task of the fit has {one!r}, so it says nothing of the scale of "
                f"task {label!r}; its tasks have {there}"
            )
    return settings._replace(likelihood=known.extended(dict(new.tasks)))


def require_named(likelihood: Mapping[Any, Likelihood] | None, unseen: np.ndarray) -> None:
    """Refuse likelihoods of tasks that have no row.

    Raises
    ------
    InvalidModelError
        Naming the first of them.
    """
    left = sorted(set(map(label_text, likelihood or {})) - set(map(label_text, unseen.tolist())))
    if left:
        raise InvalidModelError(
            f"likelihood: {left[0]!r} is no task of the data to predict: leave it out"
        )


def new_kinds(
    idata: xr.DataTree, likelihood: Mixed, unseen: np.ndarray, *, need_noise: bool
) -> list[NewKind]:
    """What each unseen task takes over from the tasks with its likelihood.

    Raises
    ------
    UnsupportedError
        For a Gaussian task where each has a noise sd and unit of its own, or fixed ones, of which
        one is needed.
    """
    labels, kinds = task_labels(idata), task_kinds(idata, likelihood)
    data, names = idata["constant_data"].to_dataset(), feature_names(idata)
    separate = "intercept_mean" in idata["posterior"]
    intercept = 0 if separate else names.index(INTERCEPT) if INTERCEPT in names else None
    out = []
    for label in unseen.tolist():
        one = likelihood[label]
        if own_noise(one):
            raise UnsupportedError(
                f"task {label!r}: with {one!r} each task of a mapping has a noise sd and a unit of "
                "its own, so the fit says nothing of those of a new one: use noise='shared' in "
                "the model"
            )
        if need_noise and isinstance(one, Gaussian) and isinstance(one.noise_sd, Mapping | tuple):
            raise UnsupportedError(
                f"task {label!r}: the model fixes the noise task by task, so it says nothing of "
                "the noise of a new one: use kind='response_params', or one noise_sd in the model"
            )
        like = next(k for k, old in enumerate(labels.tolist()) if likelihood[old] == one)
        center, unit = (float(data[name][like]) for name in ("task_center", "task_unit"))
        out.append(NewKind(kinds[like], center, unit, intercept))
    return out


def in_own_units(
    components: list[Component], new: NewKind, rng: np.random.Generator
) -> list[Component]:
    """The distribution of a new task on the scale of its own predictor.

    Each draw of the fit has a task scale from the prior.
    """
    n_samples = len(components[0].probability)
    scale = new.unit * np.exp(LOG_SCALE_SD * rng.normal(size=n_samples))[:, None]
    out = []
    for part in components:
        mean = scale * part.prior.mean
        if new.intercept is not None:
            mean[:, new.intercept] += new.center
        prior = part.prior._replace(mean=mean, sd=scale * part.prior.sd)
        out.append(part._replace(prior=prior))
    return out
