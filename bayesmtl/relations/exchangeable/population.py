"""Pieces of the population's conditionals that centred, non-centred and collapsed updates share."""

import numpy as np

from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.relations.exchangeable.updates import SMALLEST_SHARE, mean_variance, update_means

__all__ = [
    "joint_sums",
    "joint_term",
    "learns_scale",
    "normal_means",
    "set_scale",
    "signal_variance",
    "update_means_of",
    "varying_features",
]


@inner_kernel
def learns_scale(prior, j):
    """Whether scale j is learned, under a prior of its own or the joint one."""
    return prior.joint[j] or prior.scale_prior[j, 0] != 0.0


@inner_kernel
def varying_features(prior, state):
    """Places (d,) of the features whose scale is not zero."""
    p = state.scale.shape[0]
    members = np.empty(p, dtype=np.int64)
    d = 0
    for i in range(prior.block, p):
        if state.scale[i] > 0.0:
            members[d] = i
            d += 1
    return members[:d]


@inner_kernel
def joint_sums(prior, state):
    """Of the joint prior: sum of squared scales, numbers of means and scales, squared means."""
    total, n_means, n_scales, square = 0.0, 0.0, 0.0, 0.0
    p, q = state.means.shape
    for i in range(p):
        if prior.joint[i]:
            total += state.scale[i] ** 2
            n_scales += 1.0
        for a in range(q):
            if prior.mean_kind[i * q + a] == 3:
                n_means += 1.0
                square += state.means[i, a] ** 2
    return total, n_means, n_scales, square


@inner_kernel
def joint_term(prior, state, j):
    """What the joint prior contributes to the conditional of scale j; see `update_scale`."""
    total, n_means, n_scales, mean_square = joint_sums(prior, state)
    return (
        prior.joint[j],
        total - state.scale[j] ** 2,
        total / (1.0 - state.shared[0]),
        n_means,
        n_scales,
        mean_square,
        prior.shared_prior,
    )


@inner_kernel
def set_scale(prior, state, j, scale):
    """Set scale j; under the joint prior the shared fraction follows, the signal stays."""
    if prior.joint[j]:
        total, _, _, _ = joint_sums(prior, state)
        signal = total / (1.0 - state.shared[0])
        shared = 1.0 - (total - state.scale[j] ** 2 + scale**2) / signal
        # Well inside the support: from its edge a slice finds no way back.
        state.shared[0] = min(max(shared, 10.0 * SMALLEST_SHARE), 1.0 - 10.0 * SMALLEST_SHARE)
    state.scale[j] = scale


@kernel
def signal_variance(prior, state):
    """Signal variance V of the joint prior; 0 where no feature follows it."""
    total, _, count, _ = joint_sums(prior, state)
    return total / (1.0 - state.shared[0]) if count > 0.0 else 0.0


@inner_kernel
def normal_means(prior, state, precision, linear):
    """Conditional of the means with a normal prior, those of the joint prior without theirs.

    Of the likelihood ``-x'K x / 2 + k'x`` of all means and the priors of the NORMAL ones.

    Returns
    -------
    precision : (m, m)
    linear : (m,)
    in_joint : (m,) bool
    """
    kind, means = prior.mean_kind, state.means.reshape(-1)
    free = np.flatnonzero((kind == 1) | (kind == 3))
    block, right = np.empty((free.size, free.size)), np.empty(free.size)
    rows = prior.mean_prior.reshape(-1, prior.mean_prior.shape[2])
    location, unit = prior.mean_location.reshape(-1), prior.mean_unit.reshape(-1)
    for a in range(free.size):
        i = free[a]
        right[a] = linear[i]
        for j in range(means.size):
            if kind[j] != 1 and kind[j] != 3:
                right[a] -= precision[i, j] * means[j]
        for b in range(free.size):
            block[a, b] = precision[i, free[b]]
        if kind[i] == 1:
            weight = (unit[i] / rows[i, 2]) ** 2
            block[a, a] += weight
            right[a] += weight * (rows[i, 1] - location[i]) / unit[i]
    return block, right, kind[free] == 3


@inner_kernel
def update_means_of(prior, state, precision, linear, active, rng):
    """Draw the active means from the likelihood ``-x'K x / 2 + k'x`` times their priors."""
    total, n_means, _, _ = joint_sums(prior, state)
    variance = mean_variance(total, state.shared[0], n_means) if n_means > 0.0 else 1.0
    update_means(
        precision,
        linear,
        prior.mean_kind,
        active,
        prior.mean_prior.reshape(-1, prior.mean_prior.shape[2]),
        prior.mean_location.reshape(-1),
        prior.mean_unit.reshape(-1),
        variance,
        state.means.reshape(-1),
        rng,
    )
