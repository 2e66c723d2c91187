"""Means, scales and correlations with the task weights integrated out.

Centred and non-centred updates both stall where the data neither determine the weights nor leave
them alone; these do not, but cost about p times as much, so a sweep adds them where p is small.
"""

import math

import numpy as np

from bayesmtl.numerics.collapsed_lanes import (
    apply_rank_two,
    collapse_lanes,
    collapsed_mean_moments,
    collapsed_scores,
)
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.lanes import multiply_lanes, task_means
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.exchangeable.population import (
    joint_sums,
    joint_term,
    learns_scale,
    normal_means,
    set_scale,
    update_means_of,
)
from bayesmtl.relations.exchangeable.updates import (
    HUANG_WAND_DOF,
    expansion_target,
    mean_variance,
    scale_target,
    shared_target,
)

__all__ = [
    "apply_scaling",
    "collapsed_pass",
    "reversible_pass",
    "scaling_evidence",
    "scaling_products",
    "scaling_work",
    "shared_with_means",
]


@inner_kernel
def scaling_evidence(change, diagonal, products):
    """Change of the log evidence when row and column j of D are multiplied by ``1 + change``.

    ``products`` holds, task by task, e'Se, e'Sd, d'Sd, e'r and d'r for e the j-th unit vector and d
    = D e; ``D' - D = change (e d' + d e') + change^2 D_jj e e'``.
    """
    n_lanes = products.shape[2]
    beta = change * change * diagonal
    total = 0.0
    for k in range(products.shape[1]):
        for v in range(n_lanes):
            x, y, z = products[0, k, v], products[1, k, v], products[2, k, v]
            u, w = products[3, k, v], products[4, k, v]
            m11, m12 = 1.0 + beta * x + change * y, beta * y + change * z
            m21, m22 = change * x, 1.0 + change * y
            det = m11 * m22 - m12 * m21
            if not det > 0.0:
                return -np.inf
            quadratic = (
                (m22 * beta - m12 * change) * u * u
                + 2.0 * m22 * change * u * w
                - m21 * change * w * w
            )
            total += 0.5 * (quadratic / det - math.log(det))
    return total


@inner_kernel
def _scale_target(x, args):
    start, diagonal, products, prior_args = args
    evidence = scaling_evidence(math.exp(x - start) - 1.0, diagonal, products)
    return evidence + scale_target(x, prior_args)


@inner_kernel
def _expansion_target(x, args):
    diagonal, products, prior_args = args
    evidence = scaling_evidence(math.exp(x) - 1.0, diagonal, products)
    return evidence + expansion_target(x, prior_args)


@inner_kernel
def _pair_target(delta, args):
    """Log conditional of one element C_jk of the covariance moved by ``delta``."""
    j, k, both, precision, kind, shape, half_t, products = args
    n_lanes = products.shape[2]
    d = precision.shape[0]
    p_jj, p_kk, p_jk = precision[j, j], precision[k, k], precision[j, k]
    cross = 1.0 + delta * p_jk
    det = cross * cross - delta * delta * p_jj * p_kk
    if not (det > 0.0 and cross > 0.0):
        return -np.inf
    if kind == 2:
        value = (shape - 1.0) * math.log(det)
    else:
        value = -0.5 * (HUANG_WAND_DOF + 2.0 * d) * math.log(det)
        for i in range(d):
            a, b = precision[i, j], precision[i, k]
            change = delta * delta * (p_kk * a * a + p_jj * b * b) - 2.0 * delta * cross * a * b
            inverse = precision[i, i] + change / det
            rate = HUANG_WAND_DOF * inverse + 1.0 / half_t[i] ** 2
            if not rate > 0.0:
                return -np.inf
            value -= 0.5 * (HUANG_WAND_DOF + d) * math.log(rate)
    c = delta * both
    for block in range(products.shape[1]):
        for v in range(n_lanes):
            x, y, z = products[0, block, v], products[1, block, v], products[2, block, v]
            u, w = products[3, block, v], products[4, block, v]
            mixed = 1.0 + c * y
            own = mixed * mixed - c * c * x * z
            if not own > 0.0:
                return -np.inf
            quadratic = c * c * (z * u * u + x * w * w) - 2.0 * c * mixed * u * w
            value -= 0.5 * (math.log(own) + quadratic / own)
    return value


_slice_scale = slice_sampler(_scale_target)
_slice_expansion = slice_sampler(_expansion_target)
_slice_pair = slice_sampler(_pair_target)


@inner_kernel
def _column(gram, j, out):
    n_lanes = gram.shape[2]
    for k in range(gram.shape[0]):
        for i in range(out.shape[1]):
            e = i * (i + 1) // 2 + j if i >= j else j * (j + 1) // 2 + i
            for v in range(n_lanes):
                out[k, i, v] = gram[k, e, v]


@inner_kernel
def scaling_products(gram, score, d, j, work):
    """Fill in what row and column j of D times a factor changes; ``d`` (p, lane) is column j."""
    first, second, products, _ = work
    _column(gram, j, first)
    n_lanes = gram.shape[2]
    for k in range(gram.shape[0]):
        multiply_lanes(gram, k, d, second[k])
        for v in range(n_lanes):
            products[0, k, v] = first[k, j, v]
            products[1, k, v] = second[k, j, v]
            products[3, k, v] = score[k, j, v]
            products[2, k, v] = 0.0
            products[4, k, v] = 0.0
        for i in range(d.shape[0]):
            for v in range(n_lanes):
                products[2, k, v] += d[i, v] * second[k, i, v]
                products[4, k, v] += d[i, v] * score[k, i, v]


@inner_kernel
def apply_scaling(gram, score, change, diagonal, work):
    """Collapsed sites after row and column j of D were multiplied by ``1 + change``."""
    first, second, products, weights = work
    beta = change * change * diagonal
    for k in range(gram.shape[0]):
        for v in range(gram.shape[2]):
            x, y, z = products[0, k, v], products[1, k, v], products[2, k, v]
            m11, m12 = 1.0 + beta * x + change * y, beta * y + change * z
            m21, m22 = change * x, 1.0 + change * y
            det = m11 * m22 - m12 * m21
            weights[0, k, v] = (m22 * beta - m12 * change) / det
            weights[1, k, v] = m22 * change / det
            weights[2, k, v] = -m21 * change / det
            weights[3, k, v] = products[3, k, v]
            weights[4, k, v] = products[4, k, v]
    apply_rank_two(gram, score, first, second, weights)


@inner_kernel
def scaling_work(score):
    """Room for one scale after the other."""
    n_blocks, _, n_lanes = score.shape
    return (
        np.empty(score.shape),
        np.empty(score.shape),
        np.empty((5, n_blocks, n_lanes)),
        np.empty((5, n_blocks, n_lanes)),
    )


@inner_kernel
def _update_scale(prior, state, gram, score, j, work, rng):
    """One scale, or the expansion of one feature of a Huang-Wand covariance."""
    products = work[2]
    p = state.scale.shape[0]
    d = np.empty((p, gram.shape[2]))
    for i in range(p):
        d[i] = state.scale[i] * state.covariance[i, j] * state.scale[j]
    diagonal = d[j, 0]
    scaling_products(gram, score, d, j, work)
    if prior.covariance == 1 and j >= prior.block:
        dimension = float(p - prior.block)
        half_t = 1.0 / prior.half_t_scale[j] ** 2
        expansion = (dimension, state.precision[j, j], half_t, 0.0, 0.0)
        factor = math.exp(_slice_expansion((diagonal, products, expansion), 0.0, 0.5, rng))
        for i in range(prior.block, p):
            state.covariance[i, j] *= factor
            state.covariance[j, i] *= factor
            state.precision[i, j] /= factor
            state.precision[j, i] /= factor
    else:
        joint = joint_term(prior, state, j)
        row, unit = prior.scale_prior[j], prior.scale_unit[j]
        start = math.log(state.scale[j])
        args = (start, diagonal, products, (0.0, 0.0, 0.0, 0.0, 0.0, unit, row, joint))
        factor = math.exp(_slice_scale(args, start, 1.0, rng) - start)
        set_scale(prior, state, j, state.scale[j] * factor)
    apply_scaling(gram, score, factor - 1.0, diagonal, work)


@inner_kernel
def _update_pair(prior, state, gram, score, j, k, work, rng):
    """One off-diagonal element of the correlation (or Huang-Wand covariance) matrix."""
    n_lanes = gram.shape[2]
    first, second, products, weights = work
    b = prior.block
    both = state.scale[j] * state.scale[k]
    _column(gram, j, first)
    _column(gram, k, second)
    for block in range(gram.shape[0]):
        for v in range(n_lanes):
            products[0, block, v] = first[block, j, v]
            products[1, block, v] = first[block, k, v]
            products[2, block, v] = second[block, k, v]
            products[3, block, v] = score[block, j, v]
            products[4, block, v] = score[block, k, v]
    precision = state.precision[b:, b:]
    args = (
        j - b,
        k - b,
        both,
        precision,
        prior.covariance,
        prior.correlation_shape,
        prior.half_t_scale[b:],
        products,
    )
    width = 0.5 * math.sqrt(state.covariance[j, j] * state.covariance[k, k])
    delta = _slice_pair(args, 0.0, width, rng)
    p_jj, p_kk, p_jk = state.precision[j, j], state.precision[k, k], state.precision[j, k]
    cross = 1.0 + delta * p_jk
    det = cross * cross - delta * delta * p_jj * p_kk
    left, right = state.precision[j].copy(), state.precision[k].copy()
    for i in range(b, left.shape[0]):
        for m in range(b, left.shape[0]):
            state.precision[i, m] += (
                delta * delta * (p_kk * left[i] * left[m] + p_jj * right[i] * right[m])
                - delta * cross * (left[i] * right[m] + right[i] * left[m])
            ) / det
    state.covariance[j, k] += delta
    state.covariance[k, j] = state.covariance[j, k]
    c = delta * both
    for block in range(gram.shape[0]):
        for v in range(n_lanes):
            x, y, z = products[0, block, v], products[1, block, v], products[2, block, v]
            own = (1.0 + c * y) ** 2 - c * c * x * z
            weights[0, block, v] = -c * c * z / own
            weights[1, block, v] = c * (1.0 + c * y) / own
            weights[2, block, v] = -c * c * x / own
            weights[3, block, v] = products[3, block, v]
            weights[4, block, v] = products[4, block, v]
    apply_rank_two(gram, score, first, second, weights)


@inner_kernel
def _scales_pass(prior, state, gram, score, pairs, rng):
    """Scales and correlations one by one, in random order and so reversibly."""
    p = state.scale.shape[0]
    d = p - prior.block
    work = scaling_work(score)
    n_pairs = d * (d - 1) // 2 if pairs and prior.covariance != 0 else 0
    for step in rng.permutation(p + n_pairs):
        if step < p:
            if (prior.covariance == 1 and step >= prior.block) or learns_scale(prior, step):
                _update_scale(prior, state, gram, score, step, work, rng)
            continue
        # Pair (j, k) stands at j (j - 1) / 2 + k of the lower triangle.
        j = 1
        while j * (j + 1) // 2 <= step - p:
            j += 1
        k = step - p - j * (j - 1) // 2 + prior.block
        j += prior.block
        if state.scale[j] > 0.0 and state.scale[k] > 0.0:
            _update_pair(prior, state, gram, score, j, k, work, rng)


@inner_kernel
def _shared_target(x, args):
    """Logit of the shared fraction given the scales, weights and means integrated out."""
    shared_args, precision, right, in_joint = args
    value = shared_target(x, shared_args)
    if value == -np.inf:
        return value
    deviation_variance, n_means, _, _, _, _ = shared_args
    # The log normalising constant of the means' prior is one of those that `shared_target` counts.
    weight = 1.0 / mean_variance(deviation_variance, 1.0 / (1.0 + math.exp(-x)), n_means)
    lower = precision.copy()
    for i in range(right.shape[0]):
        if in_joint[i]:
            lower[i, i] += weight
    half = right.copy()
    for i in range(right.shape[0]):
        for j in range(i + 1):
            for m in range(j):
                lower[i, j] -= lower[i, m] * lower[j, m]
            if j < i:
                lower[i, j] /= lower[j, j]
                half[i] -= lower[i, j] * half[j]
        if not lower[i, i] > 0.0:
            return -np.inf
        lower[i, i] = math.sqrt(lower[i, i])
        half[i] /= lower[i, i]
        value += 0.5 * half[i] * half[i] - math.log(lower[i, i])
    return value


_slice_shared = slice_sampler(_shared_target)


@inner_kernel
def shared_with_means(prior, state, precision, linear, noise_variance, rng):
    """Shared fraction of the joint prior, its means integrated out; these are then stale."""
    total, n_means, count, _ = joint_sums(prior, state)
    if count == 0.0:
        return
    block, right, in_joint = normal_means(prior, state, precision, linear)
    args = (total, n_means, 0.0, noise_variance, prior.r2_prior, prior.shared_prior)
    start = math.log(state.shared[0] / (1.0 - state.shared[0]))
    x = _slice_shared((args, block, right, in_joint), start, 2.0, rng)
    state.shared[0] = 1.0 / (1.0 + math.exp(-x))


@inner_kernel
def _means_pass(sites, prior, state, noise_variance, rng):
    """Shared fraction with the normal means, and the other means one by one, in random order.

    Returns the collapsed gram and score at the new means.
    """
    gram, score, _ = collapse_lanes(
        sites.gram, sites.moment, sites.precision, state.scale, state.precision
    )
    precision, linear = collapsed_mean_moments(gram, score, prior.task_features)
    n_means = state.means.size
    for i in rng.permutation(n_means + 1):
        if i == n_means:
            shared_with_means(prior, state, precision, linear, noise_variance, rng)
            active = prior.mean_kind != 2
            update_means_of(prior, state, precision, linear, active, rng)
        elif prior.mean_kind[i] == 2:
            active = np.zeros(n_means, dtype=np.bool_)
            active[i] = True
            update_means_of(prior, state, precision, linear, active, rng)
    task_means(state.means, prior.task_features, state.center)
    collapsed_scores(gram, score, state.center)
    return gram, score


@kernel
def collapsed_pass(sites, prior, state, noise_variance, pairs, rng):
    """Update means, scales and correlations given the noise alone; weights are left stale.

    Parameters
    ----------
    sites : Sites
    prior : PopulationPrior
    state : PopulationState
    noise_variance : float
        The noise variance that the joint R-squared prior refers to.
    pairs : bool
        Whether to update the correlations too.
    rng : numpy.random.Generator
    """
    gram, score = _means_pass(sites, prior, state, noise_variance, rng)
    _scales_pass(prior, state, gram, score, pairs, rng)


@kernel
def reversible_pass(sites, prior, state, noise_variance, pairs, rng):
    """As `collapsed_pass`, means first or last by a toss: reversible, so a proposal."""
    if rng.random() < 0.5:
        collapsed_pass(sites, prior, state, noise_variance, pairs, rng)
        return
    gram, score, _ = collapse_lanes(
        sites.gram, sites.moment, sites.precision, state.scale, state.precision
    )
    task_means(state.means, prior.task_features, state.center)
    collapsed_scores(gram, score, state.center)
    _scales_pass(prior, state, gram, score, pairs, rng)
    _means_pass(sites, prior, state, noise_variance, rng)
