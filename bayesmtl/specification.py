"""Model settings as JSON and back, and the generative story in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple, get_args

from bayesmtl.assembly import Clusters, Relation
from bayesmtl.errors import InvalidModelError
from bayesmtl.likelihoods import LIKELIHOODS, Likelihood
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.relations.clusters.prior import FiniteMixture, PitmanYor
from bayesmtl.relations.exchangeable.prior import Exchangeable, Independent, Pooled
from bayesmtl.relations.settings import describe, from_json, to_json

__all__ = ["Columns", "part_from_dict", "part_to_dict", "story"]

Part = Relation | Likelihood
_PARTS: dict[str, type[Part]] = {
    part.__name__: part
    for part in (Independent, Pooled, Exchangeable, *get_args(Clusters), *LIKELIHOODS)
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


class Columns(NamedTuple):
    """What the story says of the columns.

    Parameters
    ----------
    formula, task : str
    has_features : bool
        Whether the right side has more than an intercept.
    task_features, weights, offset : str or None
    """

    formula: str
    task: str
    has_features: bool
    task_features: str | None
    weights: str | None
    offset: str | None


def story(
    columns: Columns, relation: Relation, intercept: Relation | str, likelihood: Likelihood
) -> str:
    """The generative story with the actual priors; defaults are given in units of the data."""
    lines = [f"bayesmtl model: {columns.formula}   (task: {columns.task})", ""]
    z = " + effects' z_t" if columns.task_features else ""
    separate = not isinstance(intercept, str)
    if columns.has_features or not separate:
        lines += [*_relation_lines("w_t", relation, z, "s_y / s_x", "0"), ""]
    if isinstance(intercept, str):
        if intercept == "relation":
            lines += [
                "the intercept is the feature 'Intercept' of w_t; defaults of its own: mean ~ "
                "Normal(mean(y), 2.5 s_y), scale ~ HalfNormal(s_y)",
                "",
            ]
    else:
        lines += [*_relation_lines("a_t", intercept, z, "s_y", "mean(y)"), ""]
    parts = ["a_t"] if separate else []
    if columns.has_features or not separate:
        parts.append("(x_i - mean(x))'w_t" if separate else "x_i'w_t")
    if columns.offset is not None:
        parts.append(columns.offset)
    lines += [f"{_row_line(likelihood, ' + '.join(parts))}, row i of task t"]
    if columns.weights is not None:
        lines += [f"    the log-likelihood of a row is multiplied by {columns.weights}"]
    lines += _noise_lines(likelihood)
    if columns.task_features:
        lines += ["", f"z_t: {columns.task_features}, one value per task, centred"]
    return "\n".join(
        [
            *lines,
            "",
            "s_y, s_x: pooled standard deviations of the response and of the feature; the second",
            "argument of Normal is a standard deviation, D is a covariance",
        ]
    )


def _relation_lines(
    symbol: str, relation: Relation, effects: str, unit: str, center: str
) -> list[str]:
    name = type(relation).__name__
    if isinstance(relation, Independent):
        return [
            f"{symbol} ~ Normal(mean, scale)   [{name}: tasks share nothing]",
            f"    mean  = {describe(relation.mean, center)}",
            f"    scale = {describe(relation.scale, f'2.5 {unit}')}",
        ]
    normal = f"Normal({center}, 2.5 {unit})"
    if isinstance(relation, Pooled):
        return [
            f"{symbol} = mean   [{name}: one value for all tasks]",
            f"    mean ~ {describe(relation.mean, normal)}",
        ]
    if isinstance(relation, Clusters):
        return _cluster_lines(symbol, relation, effects, normal, unit)
    lines = [f"{symbol} ~ Normal(mean{effects}, D)   [{name}]"]
    no_own = relation.mean is None and relation.scale is None and symbol == "w_t"
    joint = no_own and relation.feature_covariance == "diagonal"
    lines += _joint_lines(relation) if joint else _population_lines(relation, normal, unit)
    if effects:
        default = "as the mean" if joint else f"Normal(0, 2.5 {unit} / s_z)"
        lines.append(f"    effects ~ {describe(relation.task_effects, default)}")
    return lines


def _cluster_lines(
    symbol: str, relation: Clusters, effects: str, normal: str, unit: str
) -> list[str]:
    lines = [
        f"{symbol} ~ Normal(beta_c(t){effects}, (1 - between) D)   [{type(relation).__name__}]",
        "    beta_k ~ Normal(mean, between D), k = 1, 2, ...",
        *_partition_lines(relation),
        f"    between ~ {describe(relation.between, '')}",
    ]
    joint = relation.mean is None and relation.scale is None
    plain = Exchangeable(
        mean=relation.mean, scale=relation.scale, r2=relation.r2, shared=relation.shared
    )
    lines += _joint_lines(plain) if joint else _population_lines(plain, normal, unit)
    if effects:
        default = "as the mean" if joint else f"Normal(0, 2.5 {unit} / s_z)"
        lines.append(f"    effects ~ {describe(relation.task_effects, default)}")
    return lines


def _partition_lines(relation: Clusters) -> list[str]:
    if isinstance(relation, FiniteMixture):
        number = relation.components
        return [
            "    clusters c(t) from M components of weights Dirichlet(concentration / M, ...)",
            f"    M = {number}" if number else "    M - 1 ~ beta-negative-binomial(1, 4, 3)",
            f"    concentration ~ {describe(relation.concentration, '')}",
        ]
    if isinstance(relation, PitmanYor):
        return [
            "    clusters c(t) from a Pitman-Yor process(concentration, discount)",
            f"    concentration ~ {describe(relation.concentration, '')}",
            f"    discount ~ {describe(relation.discount, '')}",
        ]
    prior = describe(relation.concentration, "")
    if relation.expected_clusters is not None:
        prior = f"Gamma(2, b), b for {relation.expected_clusters:g} clusters on average"
    return [
        "    clusters c(t) from a Dirichlet process(concentration)",
        f"    concentration ~ {prior}",
    ]


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
        "    mean_j ~ Normal(0, sqrt(shared V / number of means) / s_xj)",
        "    D = diag(scale)^2, (s_x scale)^2 ~ (1 - shared) V Dirichlet(1, ..., 1)",
    ]


def _row_line(likelihood: Likelihood, predictor: str) -> str:
    if isinstance(likelihood, Gaussian):
        return f"y_i ~ Normal({predictor}, {_noise_symbol(likelihood)})"
    return likelihood.story(predictor)


def _noise_symbol(likelihood: Gaussian) -> str:
    if likelihood.se is not None:
        return likelihood.se
    return "noise" if likelihood.noise == "shared" and not likelihood.fixed else "noise_t"


def _noise_lines(likelihood: Likelihood) -> list[str]:
    if not isinstance(likelihood, Gaussian):
        return [f"    {line}" for line in likelihood.parameter_lines()]
    if likelihood.se is not None:
        return [f"    {likelihood.se}: known standard errors"]
    if likelihood.fixed:
        return [f"    noise_t = {describe(likelihood.noise_sd, '')}"]
    if likelihood.noise == "shared":
        return [f"    noise ~ {describe(likelihood.noise_sd, 'HalfNormal(s_y)')}"]
    return [
        "    log noise_t ~ Normal(log median, spread)",
        f"    median ~ {describe(likelihood.noise_sd, 'LogNormal(log s_y, 1)')}",
        f"    spread ~ {describe(likelihood.noise_spread, 'HalfNormal(0.5)')}",
    ]
