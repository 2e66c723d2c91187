"""Univariate slice sampling (Neal 2003, Ann. Statist. 31, stepping out and shrinkage)."""

import math
from collections.abc import Callable
from typing import Any

from bayesmtl.numerics.jit import kernel, named_after

__all__ = ["slice_sampler"]

_MAX_STEPS_OUT = 60
_MAX_SHRINK = 200


def slice_sampler(log_target: Callable[..., float]) -> Any:
    """A jitted update ``(args, x, width, rng) -> x`` that leaves a density invariant.

    A closure for each target rather than the target as an argument: numba can then cache the
    callers.

    Parameters
    ----------
    log_target : jitted function ``(x, args) -> float``
        Log-density up to a constant; ``-inf`` outside its support.

    Returns
    -------
    jitted function
        Its result is ``x`` itself where the density at ``x`` is not finite.
    """

    @kernel
    @named_after(log_target)
    def step(args, x, width, rng):
        start = log_target(x, args)
        if not math.isfinite(start):
            return x
        level = start + math.log1p(-rng.random())
        low = x - width * rng.random()
        high = low + width
        for _ in range(_MAX_STEPS_OUT):
            if not log_target(low, args) > level:
                break
            low -= width
        for _ in range(_MAX_STEPS_OUT):
            if not log_target(high, args) > level:
                break
            high += width
        for _ in range(_MAX_SHRINK):
            proposal = low + (high - low) * rng.random()
            if log_target(proposal, args) > level:
                return proposal
            if proposal < x:
                low = proposal
            else:
                high = proposal
        return x

    return step
