"""Model settings as JSON and back, and the generative story in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from bayesmtl.assembly import Relation
from bayesmtl.errors import InvalidModelError
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.relations.exchangeable.prior import Exchangeable, Independent, Pooled
from bayesmtl.relations.settings import describe, from_json, to_json

__all__ = ["part_from_dict", "part_to_dict", "story"]

Part = Relation | Gaussian
_PARTS: dict[str, type[Part]] = {
    part.__name__: part for part in (Independent, Pooled, Exchangeable, Gaussian)
}


def part_to_dict(part: Part) -> dict[str, Any]:
    """JSON form of a relation or likelihood: its type and the settings that were set."""
    out: dict[str, Any] = {"type": type(part).__name__}
    for field in fields(part):
        value = getattr(part, field.name)
        out[field.name] = value if isinstance(value, str) else to_json(value)
    return out


def part_from_dict(spec: Mapping[str, Any]) -> Any:
    """Inverse of `part_to_dict`.

    Raises
    ------
    InvalidModelError
        For an unknown type or setting.
    """
    kind = spec.get("type")
    if kind not in _PARTS:
        raise InvalidModelError(f"unknown part {kind!r}; known: {', '.join(sorted(_PARTS))}")
    part = _PARTS[kind]
    known = {field.name for field in fields(part)}
    settings = {key: value for key, value in spec.items() if key != "type"}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise InvalidModelError(
            f"{kind} has no setting {unknown[0]!r}; its settings are {', '.join(sorted(known))}"
        )
    return part(
        **{
            key: value if isinstance(value, str) else from_json(value)
            for key, value in settings.items()
        }
    )


def story(
    formula: str,
    task: str,
    relation: Relation,
    intercept: Relation | str,
    likelihood: Gaussian,
    task_features: str | None,
) -> str:
    """The generative story with the actual priors; defaults are given in units of the data."""
    lines = [f"bayesmtl model: {formula}   (task: {task})", ""]
    z = " + effects' z_t" if task_features else ""
    weights = _relation_lines("w_t", relation, z, "s_y / s_x", "0")
    lines += [*weights, ""]
    if not isinstance(intercept, str):
        lines += [*_relation_lines("a_t", intercept, z, "s_y", "mean(y)"), ""]
    elif intercept == "relation":
        lines += ["the intercept is the feature 'Intercept' of w_t", ""]
    predictor = "x_i'w_t" if isinstance(intercept, str) else "a_t + (x_i - mean(x))'w_t"
    lines += [f"y_i ~ Normal({predictor}, {_noise_symbol(likelihood)}^2), row i of task t"]
    lines += _noise_lines(likelihood)
    if task_features:
        lines += ["", f"z_t: {task_features}, one value per task, centred"]
    lines += ["", "s_y, s_x: pooled standard deviations of the response and of the feature"]
    return "\n".join(lines)


def _relation_lines(
    symbol: str, relation: Relation, effects: str, unit: str, center: str
) -> list[str]:
    name = type(relation).__name__
    if isinstance(relation, Independent):
        return [
            f"{symbol} ~ Normal(mean, scale^2)   [{name}: tasks share nothing]",
            f"    mean  = {describe(relation.mean, center)}",
            f"    scale = {describe(relation.scale, f'2.5 {unit}')}",
        ]
    normal = f"Normal({center}, (2.5 {unit})^2)"
    if isinstance(relation, Pooled):
        return [
            f"{symbol} = mean   [{name}: one value for all tasks]",
            f"    mean ~ {describe(relation.mean, normal)}",
        ]
    lines = [f"{symbol} ~ Normal(mean{effects}, D)   [{name}]"]
    no_own = relation.mean is None and relation.scale is None and symbol == "w_t"
    joint = no_own and relation.feature_covariance == "diagonal"
    lines += _joint_lines(relation) if joint else _population_lines(relation, normal, unit)
    if effects:
        default = "as the mean" if joint else f"Normal(0, (2.5 {unit} / s_z)^2)"
        lines.append(f"    effects ~ {describe(relation.task_effects, default)}")
    return lines


def _population_lines(relation: Exchangeable, normal: str, unit: str) -> list[str]:
    lines = [f"    mean ~ {describe(relation.mean, normal)}"]
    if relation.feature_covariance == "full" and relation.scale is None:
        return [*lines, f"    D ~ Huang-Wand: sds half-t(2) of scale {unit}, uniform correlations"]
    full = relation.feature_covariance == "full"
    lines.append("    D = diag(scale) R diag(scale)" if full else "    D = diag(scale)^2")
    lines.append(f"    scale ~ {describe(relation.scale, f'HalfNormal({unit})')}")
    if full:
        lines.append(f"    R ~ {describe(relation.correlation, 'LKJ(1)')}")
    return lines


def _joint_lines(relation: Exchangeable) -> list[str]:
    return [
        f"    R2 ~ {describe(relation.r2, 'Beta(1, 1)')}, shared ~ "
        f"{describe(relation.shared, 'Beta(1, 1)')}",
        "    V = noise^2 R2 / (1 - R2), the signal variance",
        "    mean_j ~ Normal(0, shared V / (number of means) / s_xj^2)",
        "    D = diag(scale)^2, (s_x scale)^2 ~ (1 - shared) V Dirichlet(1, ..., 1)",
    ]


def _noise_symbol(likelihood: Gaussian) -> str:
    if likelihood.se is not None:
        return likelihood.se
    return "noise" if likelihood.noise == "shared" and not likelihood.fixed else "noise_t"


def _noise_lines(likelihood: Gaussian) -> list[str]:
    if likelihood.se is not None:
        return [f"    {likelihood.se}: known standard errors"]
    if likelihood.fixed:
        return [f"    noise_t = {describe(likelihood.noise_sd, '')}"]
    if likelihood.noise == "shared":
        return [f"    noise ~ {describe(likelihood.noise_sd, 'HalfNormal(s_y)')}"]
    return [
        "    log noise_t ~ Normal(log median, spread^2)",
        f"    median ~ {describe(likelihood.noise_sd, 'LogNormal(log s_y, 1)')}",
        f"    spread ~ {describe(likelihood.noise_spread, 'HalfNormal(0.5)')}",
    ]
