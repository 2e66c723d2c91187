"""Slices of a probability on its logit, within bounds."""

import math

import numpy as np

from bayesmtl.numerics.jit import inner_kernel

__all__ = ["LOGIT_BOUND", "LOGIT_WIDTH", "bounded", "log_beta"]

# Beyond, a probability and its complement are not both kept to eight digits.
LOGIT_BOUND = 18.0
LOGIT_WIDTH = 2.0


@inner_kernel
def log_beta(x, first, second):
    """Log density of the logit x of a Beta(first, second), up to a constant; -inf out of bounds."""
    if abs(x) > LOGIT_BOUND:
        return -np.inf
    return -first * math.log1p(math.exp(-x)) - second * math.log1p(math.exp(x))


@inner_kernel
def bounded(x):
    """A logit, moved within the bounds."""
    return min(max(x, -LOGIT_BOUND), LOGIT_BOUND)
