"""Draws of one of several values whose log weights are known, in kernels."""

import math

import numpy as np

from bayesmtl.numerics.jit import inner_kernel

__all__ = ["log_sum", "pick"]


@inner_kernel
def log_sum(log_weights, n):
    """Log of the sum of the first n weights."""
    largest = log_weights[0]
    for k in range(1, n):
        largest = max(largest, log_weights[k])
    total = 0.0
    for k in range(n):
        total += math.exp(log_weights[k] - largest)
    return largest + math.log(total)


@inner_kernel
def pick(log_weights, n, rng):
    """Index below n with probability proportional to the exponential of its log weight."""
    largest = log_weights[0]
    for k in range(1, n):
        largest = max(largest, log_weights[k])
    total = 0.0
    for k in range(n):
        total += math.exp(log_weights[k] - largest)
    level = total * rng.random()
    for k in range(n):
        level -= math.exp(log_weights[k] - largest)
        if level < 0.0:
            return k
    return np.argmax(log_weights[:n])
