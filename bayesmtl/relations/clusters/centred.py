"""Means, scales and share between clusters given the weights, cluster means integrated out."""

import math

import numpy as np

from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.clusters.between import (
    TINY,
    between_prior,
    count_learned_scales,
    expit,
    logit,
    rescale,
)
from bayesmtl.relations.exchangeable.density import log_structure
from bayesmtl.relations.exchangeable.moves import standardise
from bayesmtl.relations.exchangeable.population import (
    joint_sums,
    joint_term,
    learns_scale,
    set_scale,
    update_means_of,
)
from bayesmtl.relations.exchangeable.state import JOINT, NORMAL
from bayesmtl.relations.exchangeable.updates import mean_variance, scale_target, shared_target

__all__ = [
    "centred_between",
    "centred_exchange",
    "centred_means",
    "centred_scales",
    "shared_with_means",
]


@inner_kernel
def sums_by_cluster(values, prior, partition):
    """Sums (cluster, row) over the tasks of each cluster of lanes (block, row, lane)."""
    n_lanes, rows = values.shape[2], values.shape[1]
    out = np.zeros((partition.n_clusters[0], rows))
    for t in range(prior.n_tasks):
        for i in range(rows):
            out[partition.labels[t], i] += values[t // n_lanes, i, t % n_lanes]
    return out


@inner_kernel
def _squares(prior, state, i):
    total = 0.0
    for k in range(state.deviation.shape[0]):
        for v in range(state.deviation.shape[2]):
            total += state.deviation[k, i, v] ** 2
    return total


@inner_kernel
def _means_of_clusters(prior, state, partition, sums_w, sums_z, i, precision, linear, active):
    """The term of feature i in the conditional of the means where a cluster has equal weights."""
    q = sums_z.shape[1]
    active[i * q] = True
    for k in range(partition.n_clusters[0]):
        n = partition.sizes[k]
        linear[i * q] += sums_w[k, i] / n / state.scale[i] ** 2
        for b in range(q):
            precision[i * q, i * q + b] += sums_z[k, b] / n / state.scale[i] ** 2


@kernel
def centred_means(prior, state, partition, rng):
    """Means given the weights, cluster means integrated out."""
    p, q = state.means.shape
    between = partition.between[0]
    sums_w = sums_by_cluster(state.weights, prior, partition)
    sums_z = sums_by_cluster(prior.task_features, prior, partition)
    active = np.zeros(p * q, dtype=np.bool_)
    precision, linear = np.zeros((p * q, p * q)), np.zeros(p * q)
    moments = np.zeros((p, q))
    for k in range(state.weights.shape[0]):
        for i in range(p):
            for a in range(q):
                for v in range(state.weights.shape[2]):
                    moments[i, a] += state.weights[k, i, v] * prior.task_features[k, a, v]
    for i in range(p):
        if not state.scale[i] > 0.0:
            continue
        share = between if i >= prior.block else 0.0
        if 1.0 - share < TINY:
            _means_of_clusters(
                prior, state, partition, sums_w, sums_z, i, precision, linear, active
            )
            continue
        weight = 1.0 / ((1.0 - share) * state.scale[i] ** 2)
        for a in range(q):
            active[i * q + a] = True
            linear[i * q + a] = weight * moments[i, a]
            for b in range(q):
                precision[i * q + a, i * q + b] = weight * prior.task_cross[a, b]
            for k in range(partition.n_clusters[0]):
                common = share / (1.0 - share + partition.sizes[k] * share)
                linear[i * q + a] -= weight * common * sums_z[k, a] * sums_w[k, i]
                for b in range(q):
                    precision[i * q + a, i * q + b] -= weight * common * sums_z[k, a] * sums_z[k, b]
    update_means_of(prior, state, precision, linear, active, rng)
    standardise(prior, state)


@inner_kernel
def _pair_target(x, args):
    """Log of one scale given the weights, cluster means and its mean integrated out.

    The weights enter as ``s^-count exp(-(square - 2 linear m + weight m^2) / (2 s^2))`` of the mean
    m; its prior is Normal(location, variance), or that of the joint prior.
    """
    linear, weight, joint_mean, location, variance, scale_args = args
    value = scale_target(x, scale_args)
    if value == -np.inf:
        return value
    precision = math.exp(-2.0 * x)
    if joint_mean:
        _, others, signal, n_means, _, _, _ = scale_args[7]
        # Its log normalising constant is one of those that `scale_target` counts.
        variance = (signal - others - math.exp(2.0 * x)) / n_means
    total = weight * precision + 1.0 / variance
    right = linear * precision + location / variance
    return value - 0.5 * math.log(total) + 0.5 * right * right / total


_slice_pair = slice_sampler(_pair_target)
_slice_plain_scale = slice_sampler(scale_target)


@inner_kernel
def _quadratic(prior, state, partition, i, share, mean):
    """Terms of coefficient i in the density of the weights, cluster means integrated out.

    Of the residuals from the centre of the current means, to which ``mean`` is added back.

    Returns
    -------
    count, square, linear, weight : float
        Log density ``-count log s - (square - 2 linear m + weight m^2) / (2 s^2)`` in the scale s
        and a shift m of the residuals.
    """
    n_lanes, n_clusters = state.weights.shape[2], partition.n_clusters[0]
    sums, total = np.zeros(n_clusters), 0.0
    for t in range(prior.n_tasks):
        k, v = t // n_lanes, t % n_lanes
        residual = state.weights[k, i, v] - state.center[k, i, v] + mean
        sums[partition.labels[t]] += residual
        total += residual * residual
    rest = 1.0 - share
    square, linear, weight = 0.0, 0.0, 0.0
    if rest < TINY:
        for k in range(n_clusters):
            average = sums[k] / partition.sizes[k]
            square += average * average
            linear += average
        return float(n_clusters), square, linear, float(n_clusters)
    for k in range(n_clusters):
        whole = rest + partition.sizes[k] * share
        total -= share / whole * sums[k] ** 2
        linear += sums[k] / whole
        weight += partition.sizes[k] / whole
    return float(prior.n_tasks), total / rest, linear, weight


@kernel
def centred_scales(prior, state, partition, rng):
    """Scales, each with its mean, given the weights; cluster means integrated out.

    With few clusters a mean far from theirs goes with a large scale, so both move at once.
    """
    p, q = state.means.shape
    for i in range(p):
        if not learns_scale(prior, i):
            continue
        share = partition.between[0] if i >= prior.block else 0.0
        kind = prior.mean_kind[i * q]
        pair = kind in (NORMAL, JOINT)
        count, square, linear, weight = _quadratic(
            prior, state, partition, i, share, state.means[i, 0] if pair else 0.0
        )
        joint = joint_term(prior, state, i)
        row, unit = prior.scale_prior[i], prior.scale_unit[i]
        if not pair:
            plain_args = (count, square, 0.0, 0.0, 0.0, unit, row, joint)
            log_scale = _slice_plain_scale(plain_args, math.log(state.scale[i]), 1.0, rng)
            set_scale(prior, state, i, math.exp(log_scale))
            continue
        location, variance = 0.0, 1.0
        if kind == NORMAL:
            mean_unit = prior.mean_unit[i, 0]
            location = (prior.mean_prior[i, 0, 1] - prior.mean_location[i, 0]) / mean_unit
            variance = (prior.mean_prior[i, 0, 2] / mean_unit) ** 2
        else:
            joint = joint[:5] + (joint[5] - state.means[i, 0] ** 2, joint[6])  # noqa: RUF005
        scale_args = (count, square, 0.0, 0.0, 0.0, unit, row, joint)
        args = (linear, weight, kind == JOINT, location, variance, scale_args)
        scale = math.exp(_slice_pair(args, math.log(state.scale[i]), 1.0, rng))
        set_scale(prior, state, i, scale)
        if kind == JOINT:
            total, n_means, _, _ = joint_sums(prior, state)
            variance = mean_variance(total, state.shared[0], n_means)
        precision = weight / scale**2 + 1.0 / variance
        right = linear / scale**2 + location / variance
        noise = rng.standard_normal() / math.sqrt(precision)
        state.means[i, 0] = right / precision + noise
    standardise(prior, state)


@inner_kernel
def _shared_given_weights_target(x, args):
    """Logit of the shared fraction given the weights; means and cluster means integrated out."""
    shared_args, linear, precision = args
    value = shared_target(x, shared_args)
    if value == -np.inf:
        return value
    deviation_variance, n_means, _, _, _, _ = shared_args
    variance = mean_variance(deviation_variance, expit(x), n_means)
    for j in range(linear.shape[0]):
        # The log normalising constant of the prior is one of those that `shared_target` counts.
        total = precision[j] + 1.0 / variance
        value += 0.5 * linear[j] ** 2 / total - 0.5 * math.log(total)
    return value


_slice_shared = slice_sampler(_shared_given_weights_target)


@kernel
def shared_with_means(prior, state, partition, noise_variance, rng):
    """Shared fraction and with it all means of the joint prior, given the weights.

    With few clusters their means can lie near the common one or far from it, and the fraction that
    is shared says which; given the means it hardly moves.
    """
    p, q = state.means.shape
    total, n_means, count, mean_square = joint_sums(prior, state)
    if count == 0.0:
        return
    members = np.flatnonzero(prior.mean_kind.reshape(p, q)[:, 0] == JOINT)
    linear, precision = np.empty(members.size), np.empty(members.size)
    for j in range(members.size):
        i = members[j]
        share = partition.between[0] if i >= prior.block else 0.0
        _, _, right, weight = _quadratic(prior, state, partition, i, share, state.means[i, 0])
        linear[j] = right / state.scale[i] ** 2
        precision[j] = weight / state.scale[i] ** 2
        mean_square -= state.means[i, 0] ** 2
    shared_args = (
        total,
        n_means,
        max(mean_square, 0.0),
        noise_variance,
        prior.r2_prior,
        prior.shared_prior,
    )
    args = (shared_args, linear, precision)
    state.shared[0] = expit(_slice_shared(args, logit(state.shared[0]), 2.0, rng))
    variance = mean_variance(total, state.shared[0], n_means)
    for j in range(members.size):
        whole = precision[j] + 1.0 / variance
        noise = rng.standard_normal() / math.sqrt(whole)
        state.means[members[j], 0] = linear[j] / whole + noise
    standardise(prior, state)


@inner_kernel
def _centred_exchange_target(x, args):
    """Share between clusters with the variances within them held fixed, given the weights."""
    prior, state, partition, sums, squares, row, noise_variance, n_scales = args
    value = between_prior(x, row)
    if value == -np.inf:
        return value
    share, rest = expit(x), expit(-x)
    factor = math.sqrt((1.0 - partition.between[0]) / rest)
    rescale(prior, state, factor)
    value += log_structure(prior, state, noise_variance) + n_scales * math.log(factor)
    n_clusters = partition.n_clusters[0]
    for i in range(prior.block, state.scale.shape[0]):
        if state.scale[i] > 0.0:
            total = squares[i]
            value -= prior.n_tasks * math.log(state.scale[i])
            for k in range(n_clusters):
                whole = rest + partition.sizes[k] * share
                total -= share / whole * sums[k, i] ** 2
                value -= 0.5 * ((partition.sizes[k] - 1) * math.log(rest) + math.log(whole))
            value -= 0.5 * total / (rest * state.scale[i] ** 2)
    rescale(prior, state, 1.0 / factor)
    return value


_slice_centred_exchange = slice_sampler(_centred_exchange_target)


@kernel
def centred_exchange(prior, state, partition, partition_prior, noise_variance, rng):
    """As `collapsed_exchange`, given the weights; cluster means integrated out."""
    before = partition.between[0]
    n_scales = count_learned_scales(prior)
    if n_scales == 0.0 or 1.0 - before < TINY:
        return
    sums = sums_by_cluster(state.deviation, prior, partition)
    squares = np.zeros(state.scale.shape[0])
    for i in range(prior.block, squares.size):
        sums[:, i] *= state.scale[i]
        squares[i] = _squares(prior, state, i) * state.scale[i] ** 2
    row = partition_prior.between
    args = (prior, state, partition, sums, squares, row, noise_variance, n_scales)
    share = expit(_slice_centred_exchange(args, logit(before), 2.0, rng))
    rescale(prior, state, math.sqrt((1.0 - before) / (1.0 - share)))
    partition.between[0] = share
    standardise(prior, state)


@inner_kernel
def _centred_between_target(x, args):
    """Given the standardised deviations, cluster means integrated out."""
    sizes, squares, total, d, row = args
    value = between_prior(x, row)
    if value == -np.inf:
        return value
    share = expit(x)
    rest = expit(-x)
    quadratic = total
    for k in range(sizes.shape[0]):
        whole = rest + sizes[k] * share
        value -= 0.5 * d * ((sizes[k] - 1) * math.log(rest) + math.log(whole))
        quadratic -= share / whole * squares[k]
    return value - 0.5 * quadratic / rest


_slice_centred = slice_sampler(_centred_between_target)


@kernel
def centred_between(prior, state, partition, partition_prior, rng):
    """Share between clusters given the deviations, then the cluster means given both."""
    first, p = prior.block, state.scale.shape[0]
    sums = sums_by_cluster(state.deviation, prior, partition)[:, first:].copy()
    n_clusters, d = sums.shape
    sizes = partition.sizes[:n_clusters]
    if partition_prior.between[0] != 0.0:
        squares, total = np.zeros(n_clusters), 0.0
        for i in range(first, p):
            total += _squares(prior, state, i)
        for k in range(n_clusters):
            squares[k] = (sums[k] ** 2).sum()
        args = (sizes, squares, total, float(d), partition_prior.between)
        partition.between[0] = expit(_slice_centred(args, logit(partition.between[0]), 1.5, rng))
    share = partition.between[0]
    for k in range(n_clusters):
        whole = 1.0 - share + sizes[k] * share
        for i in range(d):
            noise = math.sqrt((1.0 - share) / whole) * rng.standard_normal()
            partition.center[k, i] = math.sqrt(share) / whole * sums[k, i] + noise
