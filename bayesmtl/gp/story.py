"""The generative story of functions, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesmtl.formulas.parsing import parse_formula
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.likelihoods.student_t import StudentT
from bayesmtl.priors import Prior
from bayesmtl.relations.settings import describe

if TYPE_CHECKING:
    from bayesmtl.gp.model import MultiTaskGP

__all__ = ["function_story"]

_LENGTH = "LogNormal, median 0.3 sqrt(inputs) ranges of the input, log sd 1"


def function_story(model: MultiTaskGP) -> str:
    """Lines of the story, the response first."""
    parsed = parse_formula(model.formula)
    gaussian = isinstance(model.likelihood, Gaussian)
    level = "a_t + " if parsed.intercept else ""
    predictor = f"{level}f_t(x_i)"
    noise = "noise" if model.noise == "shared" else "noise_t"
    row = f"y_i ~ Normal({predictor}, {noise})" if gaussian else model.likelihood.story(predictor)
    lines = [f"{row}, row i of task t", ""]
    if model.n_components == 1:
        lines.append(f"cov(f_t(x), f_s(x')) = B_ts k(x, x'), k = {model.kernel} of variance 1")
    else:
        several = f"{model.n_components} kernels {model.kernel} of variance 1"
        lines.append(f"cov(f_t(x), f_s(x')) = sum_q B_qts k_q(x, x'), {several}, B = sum_q B_q")
    lines += [
        f"    {_covariance(model)}",
        f"    length-scales ~ {describe(model.lengthscale, _LENGTH)}",
    ]
    if parsed.intercept:
        lines.append(f"a_t ~ {_intercept(model, gaussian)}")
    if gaussian:
        default = "LogNormal(log(0.3 u_t), 1.5)"
        lines.append(f"{noise} ~ {describe(model.noise_sd, default)}")
    else:
        lines += [f"    {line}" for line in model.likelihood.parameter_lines()]
    return "\n".join([*lines, "", _unit(model, gaussian)])


def _covariance(model: MultiTaskGP) -> str:
    symbol = "B" if model.n_components == 1 else "B_q"
    if model.task_covariance is not None:
        return f"B = {model.task_covariance}"
    factors = f"{symbol}: up to {model.rank or 3} factors and a part of each task's own"
    if model.n_components > 1:
        factors = f"{symbol}: {model.rank or 3} factors and a part of each task's own"
    if model.rank is not None:
        return factors
    full = f"{symbol}: sds half-t(2) of scale u_t, uniform correlations (Huang-Wand)"
    return f"{full}; of more than 12 tasks {factors.partition(': ')[2]}"


def _intercept(model: MultiTaskGP, gaussian: bool) -> str:
    if model.intercept is not None:
        return describe(model.intercept, "")
    if model.task_covariance is not None:
        return "0, as B is given"
    if gaussian or isinstance(model.likelihood, StudentT):
        return "Normal(mean of the task's response, u_t)" if gaussian else "Normal(median(y), u_t)"
    return f"Normal({model.likelihood.reference_story[0]}, 2.5)"


def _unit(model: MultiTaskGP, gaussian: bool) -> str:
    if not gaussian and not isinstance(model.likelihood, StudentT):
        return "u_t = 1, functions are of the predictor"
    if gaussian and model.noise == "task" and not isinstance(model.intercept, Prior):
        return "u_t: sd of the task's response, that of few rows drawn to the typical one"
    return "u_t: sd of the response within tasks"
