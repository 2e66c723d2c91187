"""Model settings as JSON and back, and the generative story in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from difflib import get_close_matches
from typing import Any, NamedTuple, get_args

import numpy as np

from bayesmtl.errors import InvalidModelError
from bayesmtl.keys import did_you_mean, refuse_unknown
from bayesmtl.likelihoods import LIKELIHOODS, Likelihood, Mixed, Ordinal, StudentT
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.likelihoods.groups import LOG_SCALE_SD
from bayesmtl.likelihoods.mixed import all_ordinal, common_likelihood, own_noise, partition_tasks
from bayesmtl.relations.clusters.prior import FiniteMixture, PitmanYor
from bayesmtl.relations.covariance.prior import LowRank, MatrixNormal
from bayesmtl.relations.covariance.state import (
    SLAB_RATE,
    SLAB_SHAPE,
    SPECIFIC_DOF,
    SPECIFIC_SCALE,
    SPIKE,
    STICK,
)
from bayesmtl.relations.exchangeable.prior import Exchangeable, Independent, Pooled
from bayesmtl.relations.graph.adjacency import FixedGraph, graph_from_json, graph_to_json
from bayesmtl.relations.graph.prior import KnownGraph, SparseGraph
from bayesmtl.relations.graph.tree_prior import Tree
from bayesmtl.relations.graph.trees import FixedTree, tree_from_json, tree_to_json
from bayesmtl.relations.kinds import Clusters, Common, Correlated, Relation
from bayesmtl.relations.matrices import FixedMatrix, matrix_from_json, matrix_to_json
from bayesmtl.relations.settings import describe, from_json, to_json
from bayesmtl.relations.sparse.prior import Decomposition
from bayesmtl.scaling import INTERCEPT

__all__ = ["Columns", "part_error", "part_from_dict", "part_to_dict", "story"]

Part = Relation | Likelihood
_PARTS: dict[str, type[Part]] = {
    part.__name__: part for part in (*get_args(Relation), *LIKELIHOODS)
}


def part_to_dict(part: Part | Mixed) -> dict[str, Any]:
    """JSON form of a relation or likelihood: its type and the settings that were set."""
    if isinstance(part, Mixed):
        return {"type": "Mixed", "tasks": {label: part_to_dict(one) for label, one in part.tasks}}
    out: dict[str, Any] = {"type": type(part).__name__}
    for field in fields(part):
        out[field.name] = _setting_to_json(getattr(part, field.name))
    return out


def _setting_to_json(value: Any) -> Any:
    if isinstance(value, get_args(Relation)):
        return part_to_dict(value)
    if isinstance(value, FixedMatrix):
        return matrix_to_json(value)
    if isinstance(value, FixedGraph):
        return {"graph": graph_to_json(value)}
    if isinstance(value, FixedTree):
        return {"tree": tree_to_json(value)}
    if isinstance(value, tuple) and value and isinstance(value[0], str):
        return list(value)
    return value if isinstance(value, str | bool) else to_json(value)


def _setting_from_json(value: Any) -> Any:
    if isinstance(value, Mapping) and "matrix" in value:
        return matrix_from_json(value)
    if isinstance(value, Mapping) and "graph" in value:
        return graph_from_json(value["graph"])
    if isinstance(value, Mapping) and "tree" in value:
        return tree_from_json(value["tree"])
    if isinstance(value, Mapping) and value.get("type") in _PARTS:
        return part_from_dict(value)
    return value if isinstance(value, str | bool) else from_json(value)


def part_from_dict(spec: Mapping[str, Any]) -> Any:
    """Inverse of `part_to_dict`.

    Raises
    ------
    InvalidModelError
        For an unknown type or setting, or one that is missing.
    """
    kind = spec.get("type")
    if kind == "Mixed":
        return _mixed_from_dict(spec)
    if not isinstance(kind, str) or kind not in _PARTS:
        names = sorted(_PARTS)
        raise InvalidModelError(
            f"unknown part {kind!r}; known: {', '.join(names)}{did_you_mean(kind, names)}"
        )
    part = _PARTS[kind]
    settings = {key: value for key, value in spec.items() if key != "type"}
    refuse_unknown(kind, settings, (field.name for field in fields(part)))
    for field in fields(part):
        if _needed(field) and field.name not in settings:
            raise InvalidModelError(f"{kind} needs the setting {field.name!r}")
    return part(**{key: _setting_from_json(value) for key, value in settings.items()})


def part_error(what: str, given: Any, kinds: Sequence[type[Part]], also: str = "") -> Exception:
    """The error for what is no relation or likelihood, with the one that seems to be meant.

    Parameters
    ----------
    what : str
        The setting.
    given : object
        Its value.
    kinds : sequence of type
        What it must be one of.
    also : str, optional
        What else it may be.
    """
    calls = {kind.__name__.lower(): _call(kind) for kind in kinds}
    hint = ""
    if isinstance(given, type) and given in kinds:
        hint = f"; write {_call(given)}"
    elif isinstance(given, str):
        near = get_close_matches(re.sub("[^a-z]", "", given.lower()), list(calls), n=1)
        hint = f"; did you mean {calls[near[0]]}, without quotes?" if near else ""
    return InvalidModelError(
        f"{what} must be one of {', '.join(calls.values())}{also}, got {given!r}{hint}"
    )


def _call(kind: type[Part]) -> str:
    needs = [_needed(field) for field in fields(kind)]
    return f"bm.{kind.__name__}({'...' if any(needs) else ''})"


def _needed(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _mixed_from_dict(spec: Mapping[str, Any]) -> Mixed:
    refuse_unknown("Mixed", spec, ("type", "tasks"))
    tasks = spec.get("tasks")
    if not isinstance(tasks, Mapping) or not all(isinstance(x, Mapping) for x in tasks.values()):
        raise InvalidModelError(f"Mixed needs tasks, the likelihood of each task, got {tasks!r}")
    return Mixed.of({label: part_from_dict(one) for label, one in tasks.items()})


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
    columns: Columns,
    relation: Relation,
    intercept: Common | str,
    likelihood: Likelihood | Mixed,
) -> str:
    """The generative story with the actual priors; defaults are given in units of the data."""
    likelihood = common_likelihood(likelihood)
    lines = [f"bayesmtl model: {columns.formula}   (task: {columns.task})", ""]
    z = " + effects' z_t" if columns.task_features else ""
    separate = not isinstance(intercept, str)
    of_weights, of_intercepts = _defaults(likelihood)
    if columns.has_features or not separate:
        if isinstance(relation, Decomposition):
            lines += _sparse_lines("w_t", relation, of_weights)
            lines += [*_relation_lines("v_t", relation.common, z, of_weights), ""]
        else:
            lines += [*_relation_lines("w_t", relation, z, of_weights), ""]
    if isinstance(intercept, str):
        if intercept == "relation":
            lines += [_intercept_line(relation, of_intercepts), ""]
    else:
        lines += [*_relation_lines("a_t", intercept, z, of_intercepts), ""]
    parts = ["a_t"] if separate else []
    if columns.has_features or not separate:
        parts.append("(x_i - mean(x))'w_t" if separate else "x_i'w_t")
    lines += _row_lines(likelihood, parts, columns)
    if columns.task_features:
        lines += ["", f"z_t: {columns.task_features}, one value per task, centred"]
    return "\n".join([*lines, "", *_legend(likelihood)])


def _intercept_line(relation: Relation, defaults: _Defaults) -> str:
    """What of the prior of an intercept among the weights is not that of the others."""
    prior: Any = relation.common if isinstance(relation, Decomposition) else relation

    def is_default(name: str) -> bool:
        value = getattr(prior, name)
        return value is None or (isinstance(value, Mapping) and INTERCEPT not in value)

    told = []
    if is_default("mean"):
        known = f"mean = {defaults.center}"
        told = [known if isinstance(prior, Independent) else f"mean ~ {defaults.mean}"]
    features = getattr(prior, "feature_covariance", "diagonal")
    if isinstance(prior, Independent):
        told += [f"scale = {_times('2.5', defaults.unit)}"] if is_default("scale") else []
    elif features == "identity":
        told += [f"sd {defaults.unit} in D"]
    elif features == "full" and prior.scale is None:
        told += [f"sd half-t(2) of scale {defaults.unit} in D"]
    elif features in ("diagonal", "full") and not isinstance(prior, Pooled):
        told += [f"scale ~ HalfNormal({defaults.unit})"] if is_default("scale") else []
    line = f"the intercept is the feature '{INTERCEPT}' of w_t"
    return f"{line}; defaults of its own: {', '.join(told)}" if told else line


def _row_lines(likelihood: Likelihood | Mixed, parts: list[str], columns: Columns) -> list[str]:
    """The response, its weight, and parameters of its distribution."""
    weighted = []
    if columns.weights is not None:
        weighted = [f"    the log-likelihood of a row is multiplied by {columns.weights}"]
    if isinstance(likelihood, Mixed):
        return [*_mixed_lines(likelihood, " + ".join(parts), columns.offset), *weighted]
    linear = " + ".join([*parts, *([] if columns.offset is None else [columns.offset])])
    first = f"{_row_line(likelihood, linear)}, row i of task t"
    return [first, *weighted, *_noise_lines(likelihood)]


def _mixed_lines(likelihood: Mixed, linear: str, offset: str | None) -> list[str]:
    """Predictor and scale of tasks with different likelihoods, then what each kind makes of it."""
    linear = f"({linear})" if " + " in linear else linear
    known = "" if offset is None else f" + {offset}"
    lines = [
        f"eta_i = center_t + u_t s_t {linear}{known}, row i of task t",
        f"    log s_t ~ Normal(0, {LOG_SCALE_SD:g}), task_scale = u_t s_t",
    ]
    labels = np.array([label for label, _ in likelihood.tasks], dtype=object)
    for one, codes in partition_tasks(likelihood, labels, split_noise=False):
        names = ", ".join(labels[codes][:5]) + (", ..." if len(codes) > 5 else "")
        lines.append(f"task{'s' if len(codes) > 1 else ''} {names}: {_row_line(one, 'eta_i')}")
        if isinstance(one, Gaussian):
            center, unit = "mean(y)", "s_y"
        else:
            center, noise = one.reference_story
            unit = "s_y" if isinstance(one, StudentT) else f"sqrt({noise})"
        lines.append(f"    center = {center}, u = {unit}")
        if own_noise(one):
            lines.append(f"    noise_t ~ {describe(one.noise_sd, 'LogNormal(log s_y, 1)')}")
        else:
            lines += _noise_lines(one)
        if isinstance(one, Ordinal):
            lines.append("    only priors tell a shift of all thresholds from one of a_t")
    return lines


def _mixed_legend(likelihood: Mixed) -> list[str]:
    """What y and s_y are: of which rows."""
    lines = [
        "center and u: of the rows of the tasks with this likelihood, of one task where it has a "
        "noise",
        "of its own; s_y: their standard deviation",
    ]
    if any(isinstance(one, StudentT) for _, one in likelihood.tasks):
        lines[-1] += ", of StudentT 1.4826 times the median absolute"
        lines.append("deviation from median(y)")
    return lines


def _legend(likelihood: Likelihood | Mixed) -> list[str]:
    first = "s_x: pooled standard deviation of the feature; the second"
    last = "argument of Normal is a standard deviation, D is a covariance"
    if isinstance(likelihood, Mixed):
        return [*_mixed_legend(likelihood), first, last]
    if isinstance(likelihood, StudentT):
        mad = "s_y: 1.4826 times the median absolute deviation of the response from median(y)"
        return [mad, first, last]
    if isinstance(likelihood, Gaussian):
        first = (
            "s_y, s_x: pooled standard deviations of the response and of the feature; the second"
        )
    return [first, last]


class _Defaults(NamedTuple):
    """Default priors of some coefficients, in words.

    Parameters
    ----------
    center, unit : str
    mean : str
        Of the population.
    noise : str
        What the joint prior's noise variance is, where it is no parameter.
    """

    center: str
    unit: str
    mean: str
    noise: str


def _times(factor: str, unit: str) -> str:
    return f"{factor}{unit[1:]}" if unit.startswith("1") else f"{factor} {unit}"


def _defaults(likelihood: Likelihood | Mixed) -> tuple[_Defaults, _Defaults]:
    """Of the weights and of the intercepts."""
    center, noise, unit = "mean(y)", "", "s_y"
    if isinstance(likelihood, Mixed):
        center, noise, unit = "0", "1", "1"
    elif not isinstance(likelihood, Gaussian):
        center, noise = likelihood.reference_story
        unit = "s_y" if isinstance(likelihood, StudentT) else "1"
    mean = f"Normal({center}, {_times('2.5', unit)})"
    if all_ordinal(likelihood):
        mean = "0 (the thresholds take its place)"
    ratio = f"{unit} / s_x"
    normal = f"Normal(0, {_times('2.5', ratio)})"
    return _Defaults("0", ratio, normal, noise), _Defaults(center, unit, mean, noise)


def _relation_lines(symbol: str, relation: Common, effects: str, defaults: _Defaults) -> list[str]:
    name = type(relation).__name__
    if isinstance(relation, Independent):
        return [
            f"{symbol} ~ Normal(mean, scale)   [{name}: tasks share nothing]",
            f"    mean  = {describe(relation.mean, defaults.center)}",
            f"    scale = {describe(relation.scale, _times('2.5', defaults.unit))}",
        ]
    if isinstance(relation, Pooled):
        return [
            f"{symbol} = mean   [{name}: one value for all tasks]",
            f"    mean ~ {describe(relation.mean, defaults.mean)}",
        ]
    if isinstance(relation, Clusters):
        return _cluster_lines(symbol, relation, effects, defaults)
    if isinstance(relation, Correlated):
        return _correlated_lines(symbol, relation, effects, defaults)
    lines = [f"{symbol} ~ Normal(mean{effects}, D)   [{name}]"]
    no_own = relation.mean is None and relation.scale is None and symbol in ("w_t", "v_t")
    joint = no_own and relation.feature_covariance == "diagonal"
    lines += _joint_lines(relation, defaults) if joint else _population_lines(relation, defaults)
    return lines + _effect_lines(relation, effects, defaults, joint=joint)


def _sparse_lines(symbol: str, relation: Decomposition, defaults: _Defaults) -> list[str]:
    noise = f"noise^2 = {defaults.noise}" if defaults.noise else "noise = s_y"
    return [
        f"{symbol} = v_t + e_t   [Decomposition]",
        "    s_xj e_tj ~ Normal(0, m_tj), m_tj ~ HalfCauchy(h) regularised by a slab c",
        f"    h sqrt(N / T) ~ HalfCauchy(noise p / (1 - p)), p = {relation.sparse:g} of the "
        "weights expected to deviate",
        f"    c^2 ~ InverseGamma(2, 8) in units of ({defaults.unit})^2; {noise}; N rows, T tasks",
    ]


def _effect_lines(relation: Any, effects: str, defaults: _Defaults, *, joint: bool) -> list[str]:
    """Prior of the effects of task features, if there are any."""
    if not effects:
        return []
    default = "as the mean" if joint else f"Normal(0, {_times('2.5', defaults.unit)} / s_z)"
    return [f"    effects ~ {describe(relation.task_effects, default)}"]


def _cluster_lines(symbol: str, relation: Clusters, effects: str, defaults: _Defaults) -> list[str]:
    lines = [
        f"{symbol} ~ Normal(beta_c(t){effects}, (1 - between) D)   [{type(relation).__name__}]",
        "    beta_k ~ Normal(mean, between D), k = 1, 2, ...",
        *_partition_lines(relation),
        f"    between ~ {describe(relation.between, '')}",
    ]
    plain = Exchangeable(
        mean=relation.mean, scale=relation.scale, r2=relation.r2, shared=relation.shared
    )
    return lines + _learned_lines(plain, relation, effects, defaults)


_TASK_COVARIANCE = {
    "full": "Omega ~ Huang-Wand: sds half-t(2) of scale 1, uniform correlations",
    "lkj": "Omega: sds half-t(2) of scale 1, correlations LKJ(2)",
    "low_rank": "Omega = A A' + diag(psi): a number of factors to be learned",
    None: "Omega: up to 12 tasks as task_covariance='full', of more as 'low_rank'",
}


def _loading_lines(loading: str, own: str) -> list[str]:
    """The prior of factors, Legramanti, Durante and Dunson (2020), and of what is left of tasks."""
    return [
        f"    {loading} ~ Normal(0, sqrt(theta_h)), sqrt({own}) half-t({SPECIFIC_DOF:g}) of scale "
        f"{SPECIFIC_SCALE:g}",
        f"    theta_h ~ InverseGamma({SLAB_SHAPE:g}, {SLAB_RATE:g}) of an active factor, "
        f"{SPIKE:g} of another, likelier with h: sticks Beta(1, {STICK:g})",
    ]


def _correlated_lines(
    symbol: str, relation: Correlated, effects: str, defaults: _Defaults
) -> list[str]:
    if isinstance(relation, LowRank):
        return _low_rank_lines(symbol, relation, effects, defaults)
    if isinstance(relation, MatrixNormal):
        return _matrix_lines(symbol, relation, effects, defaults)
    return _graph_lines(symbol, relation, effects, defaults)


def _matrix_lines(
    symbol: str, relation: MatrixNormal, effects: str, defaults: _Defaults
) -> list[str]:
    kind, features = relation.task_covariance, relation.feature_covariance
    most = "" if relation.n_factors is None else f", at most {relation.n_factors}"
    omega = (
        f"Omega = {kind}" if isinstance(kind, FixedMatrix) else f"{_TASK_COVARIANCE[kind]}{most}"
    )
    lines = [
        f"{symbol} ~ Normal(mean{effects}, Omega_tt D), cov({symbol}, w_s) = Omega_ts D   "
        "[MatrixNormal]",
        f"    {omega}",
    ]
    lines += _loading_lines("A_th", "psi_t") if kind == "low_rank" else []
    if isinstance(features, FixedMatrix) or features == "identity":
        fixed = f"diag({defaults.unit})^2" if features == "identity" else str(features)
        lines += [f"    mean ~ {describe(relation.mean, defaults.mean)}", f"    D = {fixed}"]
        return lines + _effect_lines(relation, effects, defaults, joint=False)
    return lines + _learned_lines(relation.population(), relation, effects, defaults)


def _graph_lines(
    symbol: str, relation: SparseGraph | KnownGraph | Tree, effects: str, defaults: _Defaults
) -> list[str]:
    return [
        f"{symbol} ~ Normal(mean{effects}, Omega_tt D), cov({symbol}, w_s) = Omega_ts D   "
        f"[{type(relation).__name__}]",
        *(f"    {line}" for line in relation.story()),
        *_learned_lines(relation.population(), relation, effects, defaults),
    ]


def _low_rank_lines(symbol: str, relation: LowRank, effects: str, defaults: _Defaults) -> list[str]:
    return [
        f"{symbol} ~ Normal(mean{effects} + sum_h a_th b_h, psi D), b_h ~ Normal(0, D)   [LowRank]",
        *_loading_lines("a_th", "psi"),
        *_learned_lines(relation.population(), relation, effects, defaults),
    ]


def _learned_lines(
    plain: Exchangeable, relation: Any, effects: str, defaults: _Defaults
) -> list[str]:
    """Means, scales and effects of the population ``plain`` of a relation."""
    joint = plain.mean is None and plain.scale is None and plain.feature_covariance == "diagonal"
    lines = _joint_lines(plain, defaults) if joint else _population_lines(plain, defaults)
    return lines + _effect_lines(relation, effects, defaults, joint=joint)


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


def _population_lines(relation: Exchangeable, defaults: _Defaults) -> list[str]:
    lines = [f"    mean ~ {describe(relation.mean, defaults.mean)}"]
    if relation.feature_covariance == "full" and relation.scale is None:
        return [
            *lines,
            f"    D ~ Huang-Wand: sds half-t(2) of scale {defaults.unit}, uniform correlations",
        ]
    full = relation.feature_covariance == "full"
    lines.append("    D = diag(scale) R diag(scale)" if full else "    D = diag(scale)^2")
    lines.append(f"    scale ~ {describe(relation.scale, f'HalfNormal({defaults.unit})')}")
    if full:
        lines.append(f"    R ~ {describe(relation.correlation, 'LKJ(1)')}")
    return lines


def _selection_lines(relation: Exchangeable, defaults: _Defaults) -> list[str]:
    chosen = relation.feature_selection
    number = "d / 2" if chosen is True else f"{chosen:g}"
    noise = f"noise^2 = {defaults.noise}" if defaults.noise else "noise = s_y"
    return [
        "    mean_j ~ Normal(0, m_j / s_xj), D = diag(scale)^2",
        "    m_j, s_xj scale_j ~ HalfCauchy(g), HalfCauchy(h), regularised by a slab c",
        f"    g sqrt(N), h sqrt(N / T) ~ HalfCauchy(noise p / (d - p)), p = {number} of d features "
        "expected to matter",
        f"    c^2 ~ InverseGamma(2, 8) in units of ({defaults.unit})^2; {noise}; N rows, T tasks",
    ]


def _joint_lines(relation: Exchangeable, defaults: _Defaults) -> list[str]:
    if relation.feature_selection:
        return _selection_lines(relation, defaults)
    lines = [
        f"    R2 ~ {describe(relation.r2, 'Beta(1, 1)')}, shared ~ "
        f"{describe(relation.shared, 'Beta(1, 1)')}",
        "    V = noise^2 R2 / (1 - R2), the signal variance",
        "    mean_j ~ Normal(0, sqrt(shared V / number of means) / s_xj)",
        "    D = diag(scale)^2, (s_x scale)^2 ~ (1 - shared) V Dirichlet(1, ..., 1)",
    ]
    if defaults.noise:
        lines.append(f"    noise^2 = {defaults.noise}: one over the information of an average row")
    return lines


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
