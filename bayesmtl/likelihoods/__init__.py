"""One module per likelihood: its settings, and what it makes of rows."""

from bayesmtl.likelihoods.bernoulli import Bernoulli
from bayesmtl.likelihoods.binomial import Binomial
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.likelihoods.negative_binomial import NegativeBinomial
from bayesmtl.likelihoods.poisson import Poisson

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "Binomial",
    "Gaussian",
    "Likelihood",
    "NegativeBinomial",
    "Poisson",
]

Likelihood = Gaussian | Bernoulli | Binomial | Poisson | NegativeBinomial
LIKELIHOODS = (Gaussian, Bernoulli, Binomial, Poisson, NegativeBinomial)
