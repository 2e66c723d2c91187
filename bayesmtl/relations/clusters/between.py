"""The share of the variance between clusters: its prior, in logits, and what moves with it."""

import math

import numpy as np

from bayesmtl.numerics.densities import log_density
from bayesmtl.numerics.jit import inner_kernel
from bayesmtl.relations.exchangeable.population import learns_scale

__all__ = ["TINY", "between_prior", "count_learned_scales", "expit", "logit", "rescale"]

# A share of the variance within clusters below it counts as none.
TINY = 1e-10


@inner_kernel
def expit(x):
    """Share between clusters of the log odds x."""
    return 1.0 / (1.0 + math.exp(-x))


@inner_kernel
def between_prior(x, row):
    """Log density of the logit x of the share between clusters."""
    share = expit(x)
    if not 0.0 < share < 1.0:
        return -np.inf
    return log_density(row, share) + math.log(share) + math.log1p(-share)


@inner_kernel
def count_learned_scales(prior):
    """How many scales of features are learned."""
    count = 0.0
    for j in range(prior.block, prior.scale_unit.shape[0]):
        if learns_scale(prior, j):
            count += 1.0
    return count


@inner_kernel
def rescale(prior, state, factor):
    """Multiply the learned scales of the features."""
    for j in range(prior.block, state.scale.shape[0]):
        if learns_scale(prior, j):
            state.scale[j] *= factor


@inner_kernel
def logit(share):
    """Log odds of the share between clusters."""
    # A share that rounds to 0 or 1 starts from the nearest value with a finite logit.
    share = min(max(share, 1e-12), 1.0 - 1e-12)
    return math.log(share / (1.0 - share))
