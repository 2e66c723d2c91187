"""Settings of a graphical model: checked, and told as a generative story."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmtl.errors import InvalidModelError
from bayesmtl.graphical.data import MISSING
from bayesmtl.graphical.state import HORSESHOE, SPIKE_SLAB

if TYPE_CHECKING:
    from bayesmtl.graphical.model import MultiTaskGraphicalModel

__all__ = ["EDGE_SHARES", "check_settings", "graph_story"]

EDGE_SHARES = 0.05, 0.5  # least and most by default

_CHOICES = {
    "prior": (HORSESHOE, SPIKE_SLAB),
    "relation": ("joint", "independent", "pooled"),
    "means": ("separate", "pooled"),
    "missing": MISSING,
}
_POSITIVE = (
    "mean_sd",
    "diagonal_rate",
    "global_scale",
    "spike",
    "slab",
    "edge_shape",
    "relatedness_shape",
    "relatedness_rate",
)


def check_settings(model: MultiTaskGraphicalModel) -> None:
    """Check every setting.

    Raises
    ------
    InvalidModelError
        Naming the setting, its value and what it may be.
    """
    if not isinstance(model.task, str):
        raise InvalidModelError(f"task must be the name of a column, got {model.task!r}")
    for name, choices in _CHOICES.items():
        if getattr(model, name) not in choices:
            raise InvalidModelError(
                f"{name} must be one of {', '.join(map(repr, choices))}, got "
                f"{getattr(model, name)!r}"
            )
    if not isinstance(model.own_scales, bool):
        raise InvalidModelError(f"own_scales must be True or False, got {model.own_scales!r}")
    _check_numbers(model)
    if model.variables is not None:
        _check_variables(model.variables, model.task)


def _check_numbers(model: MultiTaskGraphicalModel) -> None:
    for name in _POSITIVE:
        if not _is_number(getattr(model, name), 0.0, math.inf):
            raise InvalidModelError(
                f"{name} must be a positive number, got {getattr(model, name)!r}"
            )
    chances = ["relatedness_probability", "edge_threshold"]
    chances += [] if model.edge_share is None else ["edge_share"]
    for name in chances:
        if not _is_number(getattr(model, name), 0.0, 1.0):
            raise InvalidModelError(
                f"{name} must be a number between 0 and 1, got {getattr(model, name)!r}"
            )
    if model.spike >= model.slab:
        raise InvalidModelError(
            f"spike={model.spike:g} must be below slab={model.slab:g}: elements without an edge "
            "are the small ones"
        )


def _is_number(value: Any, low: float, high: float) -> bool:
    """Whether it is a number between two others."""
    real = isinstance(value, int | float | np.integer | np.floating)
    return real and not isinstance(value, bool) and low < value < high


def _check_variables(variables: Any, task: str) -> None:
    if isinstance(variables, str) or not isinstance(variables, Sequence):
        raise InvalidModelError(
            f"variables must be a list of names of columns or None, got {variables!r}"
        )
    names = tuple(variables)
    other = [name for name in names if not isinstance(name, str)]
    if other:
        raise InvalidModelError(f"variables must be names of columns, got {other[0]!r}")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InvalidModelError(f'variables name "{twice[0]}" twice; drop one')
    if task in names:
        raise InvalidModelError(f'the task column "{task}" is also named in variables')
    if len(names) < 2:
        raise InvalidModelError(f"a graph needs two variables or more, got {list(names)!r}")


def graph_story(model: MultiTaskGraphicalModel) -> str:
    """The model as its generative story, what ``print(model)`` shows."""
    names = "all columns but the task" if model.variables is None else ", ".join(model.variables)
    lines = [
        f"bayesmtl graphical model: {names}   (task: {model.task})",
        "",
        "y_i ~ Normal(mean_g, K_g^-1), row i of task g"
        + (", K_g = K" if model.relation == "pooled" else ""),
        f"    mean_g ~ Normal(pooled mean, {model.mean_sd:g})"
        + (", the same for all g" if model.means == "pooled" else ""),
        f"    K_gii ~ Exponential({model.diagonal_rate / 2:g}), K_g positive definite",
        *(_horseshoe(model) if model.prior == HORSESHOE else _spike_slab(model)),
        "",
        "in units of each variable's standard deviation within tasks; the second argument of",
        "Normal is a standard deviation, K^-1 is a covariance",
    ]
    return "\n".join(lines)


def _horseshoe(model: MultiTaskGraphicalModel) -> list[str]:
    local = "l_gij" if model.relation == "independent" else "l_ij"
    own = " m_gij" if model.own_scales and model.relation == "joint" else ""
    return [
        f"    K_gij ~ Normal(0, {local}{own} tau_g)   [graphical horseshoe, {model.relation}]",
        f"    {local}{',' + own if own else ''} ~ HalfCauchy(1), tau_g ~ "
        f"HalfCauchy({model.global_scale:g})",
        f"    an edge: partial correlation beyond +-{model.edge_threshold:g}",
    ]


def _spike_slab(model: MultiTaskGraphicalModel) -> list[str]:
    low, high = EDGE_SHARES
    share = f"2 / (variables - 1), between {low:g} and {high:g}"
    if model.edge_share is not None:
        share = f"{model.edge_share:g}"
    lines = [
        f"    K_gij ~ Normal(0, {model.slab:g}) where z_gij = 1, else Normal(0, {model.spike:g})"
        f"   [spike and slab, {model.relation}]",
        f"    logit^-1(nu_ij) ~ Beta({model.edge_shape:g}, .) of mean {share}",
    ]
    if model.relation != "joint":
        return [*lines, "    z_gij ~ Bernoulli(logit^-1(nu_gij))"]
    return [
        *lines,
        "    p(z_ij) ~ exp(nu_ij sum_g z_gij + 2 sum_(g < m) theta_gm z_gij z_mij)",
        f"    theta_gm ~ Gamma({model.relatedness_shape:g}, {model.relatedness_rate:g}) with "
        f"probability {model.relatedness_probability:g}, else 0",
    ]
