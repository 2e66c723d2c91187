"""One module per likelihood: its settings, and what it makes of rows."""

from typing import Any

from bayesmtl.likelihoods.bernoulli import Bernoulli
from bayesmtl.likelihoods.binomial import Binomial
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.likelihoods.levels import Levels
from bayesmtl.likelihoods.mixed import Mixed
from bayesmtl.likelihoods.negative_binomial import NegativeBinomial
from bayesmtl.likelihoods.ordinal import Ordinal
from bayesmtl.likelihoods.poisson import Poisson
from bayesmtl.likelihoods.student_t import StudentT

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "Binomial",
    "Gaussian",
    "Likelihood",
    "Mixed",
    "NegativeBinomial",
    "Ordinal",
    "Poisson",
    "StudentT",
    "resolve_likelihood",
    "response_levels",
]

Likelihood = Gaussian | Bernoulli | Binomial | Poisson | NegativeBinomial | Ordinal | StudentT
LIKELIHOODS = (Gaussian, Bernoulli, Binomial, Poisson, NegativeBinomial, Ordinal, StudentT)


def response_levels(likelihood: Likelihood | Mixed) -> Levels:
    """Labels of the response where it holds ordered levels; of each task of a mapping."""
    if not isinstance(likelihood, Mixed):
        return likelihood.levels if isinstance(likelihood, Ordinal) else None
    each = {x: one.levels if isinstance(one, Ordinal) else None for x, one in likelihood.tasks}
    return each if any(own is not None for own in each.values()) else None


def resolve_likelihood(likelihood: Likelihood, unit: float) -> Any:
    """With its default priors, for a response of scale ``unit``."""
    return likelihood.resolve(unit) if isinstance(likelihood, StudentT) else likelihood
