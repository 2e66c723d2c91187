"""One module per likelihood: its settings, and what it makes of rows."""

from typing import Any

from bayesmtl.likelihoods.bernoulli import Bernoulli
from bayesmtl.likelihoods.binomial import Binomial
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.likelihoods.negative_binomial import NegativeBinomial
from bayesmtl.likelihoods.ordinal import Ordinal
from bayesmtl.likelihoods.poisson import Poisson

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "Binomial",
    "Gaussian",
    "Likelihood",
    "NegativeBinomial",
    "Ordinal",
    "Poisson",
    "response_levels",
]

Likelihood = Gaussian | Bernoulli | Binomial | Poisson | NegativeBinomial | Ordinal
LIKELIHOODS = (Gaussian, Bernoulli, Binomial, Poisson, NegativeBinomial, Ordinal)


def response_levels(likelihood: Likelihood) -> tuple[Any, ...] | None:
    """Labels of the response where it holds ordered levels."""
    return likelihood.levels if isinstance(likelihood, Ordinal) else None
