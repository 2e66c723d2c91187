"""Gibbs sweep of the clusters: partition with weights and cluster means integrated out, then both.

The population of `bayesmtl.relations.exchangeable` carries the weights as standardised deviations
``u_t = (w_t - center_t) / scale``. Here they are ``sqrt(between) b_c(t) + sqrt(1 - between) z_t``
for the features; the non-centred updates of means and scales do not change, the centred ones
integrate b out.
"""

from __future__ import annotations

import math

import numpy as np

from bayesmtl.likelihoods.gaussian import Sites
from bayesmtl.numerics.collapsed_lanes import collapse_lanes, collapsed_scores
from bayesmtl.numerics.densities import log_density
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.lanes import draw_deviations, multiply_lanes, task_means
from bayesmtl.numerics.matrices import draw_gaussian
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.clusters.partition import (
    cluster_sums,
    log_evidences,
    scan_labels,
    split_or_merge,
    update_partition_prior,
)
from bayesmtl.relations.clusters.state import PartitionPrior, PartitionState
from bayesmtl.relations.exchangeable.collapsed import (
    apply_scaling,
    scaling_evidence,
    scaling_products,
    scaling_work,
)
from bayesmtl.relations.exchangeable.density import log_structure
from bayesmtl.relations.exchangeable.moves import (
    clear_padding,
    noncentred_means,
    noncentred_scales,
    set_weights,
    standardise,
    update_joint,
)
from bayesmtl.relations.exchangeable.population import (
    joint_sums,
    joint_term,
    set_scale,
    update_means_of,
)
from bayesmtl.relations.exchangeable.state import (
    JOINT,
    NORMAL,
    PopulationPrior,
    PopulationState,
)
from bayesmtl.relations.exchangeable.updates import mean_variance, scale_target, shared_target

__all__ = ["sweep", "weight_prior"]

# Splits or merges proposed after each scan of the labels.
_PROPOSALS = 3
# Where they are cheap: rounds of a sweep with weights and cluster means integrated out, and scans
# of the labels a round.
_REPEATS = 2
# Operations of an update with everything but the partition integrated out.
_CHEAP, _AFFORDABLE = 200_000, 200_000_000
# A share of the variance within clusters below it counts as none.
_TINY = 1e-10


@kernel
def weight_prior(prior, state, partition, center, scale):
    """Mean (block, p, lane) and sd (p,) of the weights given partition and cluster means."""
    within = math.sqrt(1.0 - partition.between[0])
    between = math.sqrt(partition.between[0])
    task_means(state.means, prior.task_features, center)
    n_lanes = center.shape[2]
    for i in range(scale.shape[0]):
        if i < prior.block:
            scale[i] = state.scale[i]
            continue
        scale[i] = state.scale[i] * within
        for t in range(prior.n_tasks):
            b = partition.center[partition.labels[t], i - prior.block]
            center[t // n_lanes, i, t % n_lanes] += state.scale[i] * between * b


@inner_kernel
def _collapsed_sites(sites, prior, state, between):
    """As `cluster_sites`, and the log evidence of all tasks with all cluster means at zero."""
    first, p = prior.block, state.scale.shape[0]
    task_means(state.means, prior.task_features, state.center)
    moment = sites.moment.copy()
    collapsed_scores(sites.gram, moment, state.center)
    scale = state.scale.copy()
    scale[first:] *= math.sqrt(1.0 - between)
    gram, score, evidence = collapse_lanes(sites.gram, moment, sites.precision, scale, np.eye(p))
    d, n_lanes = p - first, gram.shape[2]
    scale = state.scale[first:] * math.sqrt(between)
    a, g = np.empty((prior.n_tasks, d * (d + 1) // 2)), np.empty((prior.n_tasks, d))
    for t in range(prior.n_tasks):
        k, v = t // n_lanes, t % n_lanes
        for i in range(d):
            row = (first + i) * (first + i + 1) // 2 + first
            g[t, i] = score[k, first + i, v] * scale[i]
            for j in range(i + 1):
                a[t, i * (i + 1) // 2 + j] = gram[k, row + j, v] * scale[i] * scale[j]
    return a, g, evidence.sum()


@kernel
def cluster_sites(sites, prior, state, between):
    """What each task says of the standardised mean of its cluster, ``g'b - b'A b / 2``.

    The deviations within clusters and those of the intercept are integrated out.

    Returns
    -------
    a : (task, d (d + 1) / 2)
        Packed.
    g : (task, d)
    """
    a, g, _ = _collapsed_sites(sites, prior, state, between)
    return a, g


@kernel
def _draw_centers(partition, a, g, rng):
    """Cluster means given the partition, weights integrated out."""
    n_clusters, d = partition.n_clusters[0], g.shape[1]
    sums_a, sums_g = cluster_sums(a, g, partition.labels, n_clusters, 0)
    precision = np.empty((d, d))
    for k in range(n_clusters):
        for i in range(d):
            for j in range(i + 1):
                precision[i, j] = precision[j, i] = sums_a[i * (i + 1) // 2 + j, k]
            precision[i, i] += 1.0
        partition.center[k] = draw_gaussian(precision, sums_g[:, k].copy(), rng)


@kernel
def _draw_weights(sites, prior, state, partition, rng):
    """Weights given cluster means and population."""
    center, scale = np.empty_like(state.center), np.empty_like(state.scale)
    weight_prior(prior, state, partition, center, scale)
    p = scale.shape[0]
    draw_deviations(
        sites.gram, sites.moment, sites.precision, center, scale, np.eye(p), rng, state.deviation
    )
    clear_padding(prior, state)
    between = math.sqrt(partition.between[0])
    within = math.sqrt(1.0 - partition.between[0])
    n_lanes = center.shape[2]
    for t in range(prior.n_tasks):
        k, v = t // n_lanes, t % n_lanes
        for i in range(prior.block, p):
            b = partition.center[partition.labels[t], i - prior.block]
            state.deviation[k, i, v] = between * b + within * state.deviation[k, i, v]
    set_weights(prior, state)


@inner_kernel
def _sums_by_cluster(values, prior, partition):
    """Sums (cluster, row) over the tasks of each cluster of lanes (block, row, lane)."""
    n_lanes, rows = values.shape[2], values.shape[1]
    out = np.zeros((partition.n_clusters[0], rows))
    for t in range(prior.n_tasks):
        for i in range(rows):
            out[partition.labels[t], i] += values[t // n_lanes, i, t % n_lanes]
    return out


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
def _centred_means(prior, state, partition, rng):
    """Means given the weights, cluster means integrated out."""
    p, q = state.means.shape
    between = partition.between[0]
    sums_w = _sums_by_cluster(state.weights, prior, partition)
    sums_z = _sums_by_cluster(prior.task_features, prior, partition)
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
        if 1.0 - share < _TINY:
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
def _squares(prior, state, i):
    total = 0.0
    for k in range(state.deviation.shape[0]):
        for v in range(state.deviation.shape[2]):
            total += state.deviation[k, i, v] ** 2
    return total


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
def _quadratic(prior, state, partition, i, share, column):
    """Terms of coefficient i in the density of the weights, cluster means integrated out.

    Returns
    -------
    count, square, linear, weight : float
        Log density ``-count log s - (square - 2 linear m + weight m^2) / (2 s^2)`` in the scale s
        and, from the residuals without it, the mean m; see ``column``.
    column : float
        1 to leave the constant mean out of the residuals, 0 to keep it in, so that m is a shift.
    """
    n_lanes, n_clusters = state.weights.shape[2], partition.n_clusters[0]
    sums, total = np.zeros(n_clusters), 0.0
    for t in range(prior.n_tasks):
        k, v = t // n_lanes, t % n_lanes
        residual = state.weights[k, i, v] - state.center[k, i, v] + column * state.means[i, 0]
        sums[partition.labels[t]] += residual
        total += residual * residual
    rest = 1.0 - share
    square, linear, weight = 0.0, 0.0, 0.0
    if rest < _TINY:
        for k in range(n_clusters):
            mean = sums[k] / partition.sizes[k]
            square += mean * mean
            linear += mean
        return float(n_clusters), square, linear, float(n_clusters)
    for k in range(n_clusters):
        whole = rest + partition.sizes[k] * share
        total -= share / whole * sums[k] ** 2
        linear += sums[k] / whole
        weight += partition.sizes[k] / whole
    return float(prior.n_tasks), total / rest, linear, weight


@kernel
def _centred_scales(prior, state, partition, rng):
    """Scales, each with its mean, given the weights; cluster means integrated out.

    With few clusters a mean far from theirs goes with a large scale, so both move at once.
    """
    p, q = state.means.shape
    task_means(state.means, prior.task_features, state.center)
    for i in range(p):
        if prior.scale_prior[i, 0] == 0.0 and not prior.joint[i]:
            continue
        share = partition.between[0] if i >= prior.block else 0.0
        kind = prior.mean_kind[i * q]
        pair = kind in (NORMAL, JOINT)
        count, square, linear, weight = _quadratic(
            prior, state, partition, i, share, 1.0 if pair else 0.0
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
            joint = (
                joint[0],
                joint[1],
                joint[2],
                joint[3],
                joint[4],
                joint[5] - state.means[i, 0] ** 2,
                joint[6],
            )
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
    variance = mean_variance(deviation_variance, 1.0 / (1.0 + math.exp(-x)), n_means)
    for j in range(linear.shape[0]):
        # The log normalising constant of the prior is one of those that `shared_target` counts.
        total = precision[j] + 1.0 / variance
        value += 0.5 * linear[j] ** 2 / total - 0.5 * math.log(total)
    return value


_slice_shared = slice_sampler(_shared_given_weights_target)


@kernel
def _shared_with_means(prior, state, partition, noise_variance, rng):
    """Shared fraction and with it all means of the joint prior, given the weights.

    With few clusters their means can lie near the common one or far from it, and the fraction that
    is shared says which; given the means it hardly moves.
    """
    p, q = state.means.shape
    total, n_means, count, mean_square = joint_sums(prior, state)
    if count == 0.0:
        return
    task_means(state.means, prior.task_features, state.center)
    members = np.flatnonzero(prior.mean_kind.reshape(p, q)[:, 0] == JOINT)
    linear, precision = np.empty(members.size), np.empty(members.size)
    for j in range(members.size):
        i = members[j]
        share = partition.between[0] if i >= prior.block else 0.0
        _, _, right, weight = _quadratic(prior, state, partition, i, share, 1.0)
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
    state.shared[0] = _expit(_slice_shared(args, _logit(state.shared[0]), 2.0, rng))
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
    value = _between_prior(x, row)
    if value == -np.inf:
        return value
    share, rest = 1.0 / (1.0 + math.exp(-x)), 1.0 / (1.0 + math.exp(x))
    factor = math.sqrt((1.0 - partition.between[0]) / rest)
    _rescale(prior, state, factor)
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
    _rescale(prior, state, 1.0 / factor)
    return value


_slice_centred_exchange = slice_sampler(_centred_exchange_target)


@kernel
def _centred_exchange(prior, state, partition, partition_prior, noise_variance, rng):
    """As `_collapsed_exchange`, given the weights; cluster means integrated out."""
    before = partition.between[0]
    n_scales = _learned_scales(prior)
    if n_scales == 0.0 or 1.0 - before < _TINY:
        return
    sums = _sums_by_cluster(state.deviation, prior, partition)
    squares = np.zeros(state.scale.shape[0])
    for i in range(prior.block, squares.size):
        sums[:, i] *= state.scale[i]
        squares[i] = _squares(prior, state, i) * state.scale[i] ** 2
    row = partition_prior.between
    args = (prior, state, partition, sums, squares, row, noise_variance, n_scales)
    share = _expit(_slice_centred_exchange(args, _logit(before), 2.0, rng))
    _rescale(prior, state, math.sqrt((1.0 - before) / (1.0 - share)))
    partition.between[0] = share
    standardise(prior, state)


@inner_kernel
def _between_prior(x, row):
    """Log density of the logit x of the share between clusters."""
    share = 1.0 / (1.0 + math.exp(-x))
    if not 0.0 < share < 1.0:
        return -np.inf
    return log_density(row, share) + math.log(share) + math.log1p(-share)


@inner_kernel
def _centred_between_target(x, args):
    """Given the standardised deviations, cluster means integrated out."""
    sizes, squares, total, d, row = args
    value = _between_prior(x, row)
    if value == -np.inf:
        return value
    share = 1.0 / (1.0 + math.exp(-x))
    rest = 1.0 / (1.0 + math.exp(x))
    quadratic = total
    for k in range(sizes.shape[0]):
        whole = rest + sizes[k] * share
        value -= 0.5 * d * ((sizes[k] - 1) * math.log(rest) + math.log(whole))
        quadratic -= share / whole * squares[k]
    return value - 0.5 * quadratic / rest


@inner_kernel
def _noncentred_between_target(x, args):
    """Given standardised cluster means and deviations within clusters."""
    bb, bz, zz, b_linear, z_linear, row = args
    value = _between_prior(x, row)
    if value == -np.inf:
        return value
    b = math.sqrt(1.0 / (1.0 + math.exp(-x)))
    z = math.sqrt(1.0 / (1.0 + math.exp(x)))
    quadratic = b * b * bb + 2.0 * b * z * bz + z * z * zz
    return value + b * b_linear + z * z_linear - 0.5 * quadratic


@inner_kernel
def _collapsed_between_target(x, args):
    """Given the partition alone: cluster means and weights integrated out."""
    sites, prior, state, partition, row = args
    value = _between_prior(x, row)
    if value == -np.inf:
        return value
    return value + log_likelihood(sites, prior, state, partition, 1.0 / (1.0 + math.exp(-x)))


@kernel
def log_likelihood(sites, prior, state, partition, between):
    """Log evidence of partition and share, up to terms in which neither occurs.

    Parameters
    ----------
    sites : Sites
    prior : PopulationPrior
    state : PopulationState
        Means and scales.
    partition : PartitionState
    between : float
    """
    a, g, evidence = _collapsed_sites(sites, prior, state, between)
    sums_a, sums_g = cluster_sums(a, g, partition.labels, partition.n_clusters[0], 0)
    out = np.empty(sums_a.shape[1])
    log_evidences(sums_a, sums_g, out)
    return out.sum() + evidence


@inner_kernel
def _collapsed_scale_target(x, args):
    """Log of scale j given the partition alone."""
    sites, prior, state, partition, j, prior_args = args
    value = scale_target(x, prior_args)
    if value == -np.inf:
        return value
    before = state.scale[j]
    state.scale[j] = math.exp(x)
    value += log_likelihood(sites, prior, state, partition, partition.between[0])
    state.scale[j] = before
    return value


@inner_kernel
def _learned_scales(prior):
    """How many scales of features are learned."""
    count = 0.0
    for j in range(prior.block, prior.scale_unit.shape[0]):
        if prior.scale_prior[j, 0] != 0.0 or prior.joint[j]:
            count += 1.0
    return count


@inner_kernel
def _rescale(prior, state, factor):
    """Multiply the learned scales of the features."""
    for j in range(prior.block, state.scale.shape[0]):
        if prior.scale_prior[j, 0] != 0.0 or prior.joint[j]:
            state.scale[j] *= factor


@inner_kernel
def _collapsed_exchange_target(x, args):
    """Share between clusters with the variance within them held fixed, given the partition."""
    sites, prior, state, partition, row, noise_variance, n_scales = args
    value = _between_prior(x, row)
    if value == -np.inf:
        return value
    share = 1.0 / (1.0 + math.exp(-x))
    factor = math.sqrt((1.0 - partition.between[0]) / (1.0 - share))
    _rescale(prior, state, factor)
    value += log_structure(prior, state, noise_variance) + n_scales * math.log(factor)
    value += log_likelihood(sites, prior, state, partition, share)
    _rescale(prior, state, 1.0 / factor)
    return value


@inner_kernel
def _scale_given_centers_target(x, args):
    """Log of one scale given the cluster means, weights integrated out."""
    start, diagonal, products, scale_args = args
    value = scale_target(x, scale_args)
    if value == -np.inf:
        return value
    return value + scaling_evidence(math.exp(x - start) - 1.0, diagonal, products)


_slice_scale_given_centers = slice_sampler(_scale_given_centers_target)
_slice_exchange = slice_sampler(_collapsed_exchange_target)
_slice_scale = slice_sampler(_collapsed_scale_target)
_slice_centred = slice_sampler(_centred_between_target)
_slice_noncentred = slice_sampler(_noncentred_between_target)
_slice_collapsed = slice_sampler(_collapsed_between_target)


@inner_kernel
def _logit(share):
    # A share that rounds to 0 or 1 starts from the nearest value with a finite logit.
    share = min(max(share, 1e-12), 1.0 - 1e-12)
    return math.log(share / (1.0 - share))


@inner_kernel
def _expit(x):
    return 1.0 / (1.0 + math.exp(-x))


@kernel
def _collapsed_between(sites, prior, state, partition, partition_prior, rng):
    args = (sites, prior, state, partition, partition_prior.between)
    partition.between[0] = _expit(_slice_collapsed(args, _logit(partition.between[0]), 1.5, rng))


@kernel
def _collapsed_exchange(sites, prior, state, partition, partition_prior, noise_variance, rng):
    """Trade variance between clusters for none: the data say little of it where these are few.

    The logs of the scales are shifted by a function of the share, so the Jacobian is that of the
    logs alone.
    """
    before = partition.between[0]
    n_scales = _learned_scales(prior)
    if n_scales == 0.0 or 1.0 - before < _TINY:
        return
    row = partition_prior.between
    args = (sites, prior, state, partition, row, noise_variance, n_scales)
    share = _expit(_slice_exchange(args, _logit(before), 1.5, rng))
    _rescale(prior, state, math.sqrt((1.0 - before) / (1.0 - share)))
    partition.between[0] = share


@kernel
def _collapsed_scales(sites, prior, state, partition, rng):
    """Scales given the partition, cluster means and weights integrated out."""
    for j in range(state.scale.shape[0]):
        if prior.scale_prior[j, 0] == 0.0 and not prior.joint[j]:
            continue
        row, unit = prior.scale_prior[j], prior.scale_unit[j]
        prior_args = (0.0, 0.0, 0.0, 0.0, 0.0, unit, row, joint_term(prior, state, j))
        args = (sites, prior, state, partition, j, prior_args)
        scale = math.exp(_slice_scale(args, math.log(state.scale[j]), 1.0, rng))
        set_scale(prior, state, j, scale)


@kernel
def _scales_given_centers(sites, prior, state, partition, rng):
    """Scales given partition and cluster means, weights integrated out.

    Cheaper than `_collapsed_scales` by a factor of about p. The means of the clusters stay where
    they are, so their standardised values change.
    """
    first, p = prior.block, state.scale.shape[0]
    center, within = np.empty_like(state.center), np.empty_like(state.scale)
    weight_prior(prior, state, partition, center, within)
    gram, score, _ = collapse_lanes(sites.gram, sites.moment, sites.precision, within, np.eye(p))
    collapsed_scores(gram, score, center)
    work = scaling_work(score)
    n_clusters = partition.n_clusters[0]
    for j in range(p):
        learned = prior.scale_prior[j, 0] != 0.0 or prior.joint[j]
        if not learned or not within[j] > 0.0:
            continue
        d = np.zeros((p, gram.shape[2]))
        d[j] = within[j] ** 2
        scaling_products(gram, score, d, j, work)
        count, square, start = 0.0, 0.0, state.scale[j]
        if j >= first and partition.between[0] > 0.0:
            count = float(n_clusters)
            for k in range(n_clusters):
                square += (start * partition.center[k, j - first]) ** 2
        row, unit = prior.scale_prior[j], prior.scale_unit[j]
        scale_args = (count, square, 0.0, 0.0, 0.0, unit, row, joint_term(prior, state, j))
        args = (math.log(start), within[j] ** 2, work[2], scale_args)
        scale = math.exp(_slice_scale_given_centers(args, math.log(start), 1.0, rng))
        set_scale(prior, state, j, scale)
        apply_scaling(gram, score, scale / start - 1.0, within[j] ** 2, work)
        within[j] *= scale / start
        if j >= first:
            for k in range(n_clusters):
                partition.center[k, j - first] *= start / scale


@kernel
def _centred_between(prior, state, partition, partition_prior, rng):
    """Share between clusters given the deviations, then the cluster means given both."""
    first, p = prior.block, state.scale.shape[0]
    sums = _sums_by_cluster(state.deviation, prior, partition)[:, first:].copy()
    n_clusters, d = sums.shape
    sizes = partition.sizes[:n_clusters]
    if partition_prior.between[0] != 0.0:
        squares, total = np.zeros(n_clusters), 0.0
        for i in range(first, p):
            total += _squares(prior, state, i)
        for k in range(n_clusters):
            squares[k] = (sums[k] ** 2).sum()
        args = (sizes, squares, total, float(d), partition_prior.between)
        partition.between[0] = _expit(_slice_centred(args, _logit(partition.between[0]), 1.5, rng))
    share = partition.between[0]
    for k in range(n_clusters):
        whole = 1.0 - share + sizes[k] * share
        for i in range(d):
            noise = math.sqrt((1.0 - share) / whole) * rng.standard_normal()
            partition.center[k, i] = math.sqrt(share) / whole * sums[k, i] + noise


@kernel
def _noncentred_between(sites, prior, state, partition, partition_prior, rng):
    """Share between clusters given standardised cluster means and deviations within them."""
    share, first = partition.between[0], prior.block
    if 1.0 - share < _TINY:
        return
    n_blocks, p, n_lanes = state.deviation.shape
    b, z = np.zeros((n_blocks, p, n_lanes)), np.zeros((n_blocks, p, n_lanes))
    root, rest = math.sqrt(share), math.sqrt(1.0 - share)
    for t in range(prior.n_tasks):
        k, v = t // n_lanes, t % n_lanes
        for i in range(first, p):
            b[k, i, v] = partition.center[partition.labels[t], i - first]
            z[k, i, v] = (state.deviation[k, i, v] - root * b[k, i, v]) / rest
    moments = _between_moments(sites, prior, state, b, z)
    args = (*moments, partition_prior.between)
    share = _expit(_slice_noncentred(args, _logit(share), 1.5, rng))
    partition.between[0] = share
    root, rest = math.sqrt(share), math.sqrt(1.0 - share)
    for k in range(n_blocks):
        for i in range(first, p):
            for v in range(n_lanes):
                state.deviation[k, i, v] = root * b[k, i, v] + rest * z[k, i, v]
    set_weights(prior, state)


@inner_kernel
def _between_moments(sites, prior, state, b, z):
    """Quadratic and linear terms of the log-likelihood of ``center + scale (x b + y z)``."""
    n_blocks, p, n_lanes = b.shape
    scaled_b, scaled_z = np.zeros((p, n_lanes)), np.zeros((p, n_lanes))
    x, y, base = np.empty((p, n_lanes)), np.empty((p, n_lanes)), np.empty((p, n_lanes))
    bb, bz, zz, b_linear, z_linear = 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(n_blocks):
        for i in range(p):
            for v in range(n_lanes):
                scaled_b[i, v] = state.scale[i] * b[k, i, v]
                scaled_z[i, v] = state.scale[i] * z[k, i, v]
                base[i, v] = state.weights[k, i, v] if i < prior.block else state.center[k, i, v]
        multiply_lanes(sites.gram, k, base, x)
        for i in range(p):
            for v in range(n_lanes):
                score = (sites.moment[k, i, v] - x[i, v]) * sites.precision[k, v]
                b_linear += score * scaled_b[i, v]
                z_linear += score * scaled_z[i, v]
        multiply_lanes(sites.gram, k, scaled_b, x)
        multiply_lanes(sites.gram, k, scaled_z, y)
        for i in range(p):
            for v in range(n_lanes):
                bb += scaled_b[i, v] * x[i, v] * sites.precision[k, v]
                bz += scaled_z[i, v] * x[i, v] * sites.precision[k, v]
                zz += scaled_z[i, v] * y[i, v] * sites.precision[k, v]
    return bb, bz, zz, b_linear, z_linear


def sweep(
    sites: Sites,
    prior: PopulationPrior,
    state: PopulationState,
    partition: PartitionState,
    partition_prior: PartitionPrior,
    noise_variance: float,
    rng: np.random.Generator,
) -> None:
    """One Gibbs sweep over partition, weights and population, in place.

    Parameters
    ----------
    sites : Sites
    prior : PopulationPrior
        With a diagonal covariance.
    state : PopulationState
    partition : PartitionState
    partition_prior : PartitionPrior
    noise_variance : float
        The noise variance that the joint R-squared prior refers to.
    rng : numpy.random.Generator
    """
    p = prior.scale_unit.size
    work = prior.n_tasks * p**3
    cheap, cheap_scales = work <= _CHEAP, work * p <= _CHEAP
    affordable = not cheap_scales and work * p <= _AFFORDABLE
    flags = (cheap, cheap_scales, affordable)
    _sweep(sites, prior, state, partition, partition_prior, noise_variance, flags, rng)


@kernel
def _sweep(sites, prior, state, partition, partition_prior, noise_variance, flags, rng):
    """All updates in one call: each would take the interpreter lock, and chains share it."""
    cheap, cheap_scales, affordable = flags
    learn_between = partition_prior.between[0] != 0.0
    repeats = _REPEATS if cheap else 1
    for _ in range(repeats):
        if learn_between and cheap:
            _collapsed_between(sites, prior, state, partition, partition_prior, rng)
            _collapsed_exchange(
                sites, prior, state, partition, partition_prior, noise_variance, rng
            )
        if cheap_scales:
            _collapsed_scales(sites, prior, state, partition, rng)
        a, g = cluster_sites(sites, prior, state, partition.between[0])
        for _ in range(repeats):
            scan_labels(partition, a, g, rng)
            for _ in range(_PROPOSALS):
                split_or_merge(partition, a, g, rng)
            update_partition_prior(partition, partition_prior, rng)
    _draw_centers(partition, a, g, rng)
    if affordable:
        _scales_given_centers(sites, prior, state, partition, rng)
    _draw_weights(sites, prior, state, partition, rng)
    _centred_means(prior, state, partition, rng)
    _centred_scales(prior, state, partition, rng)
    if prior.joint.any():
        _shared_with_means(prior, state, partition, noise_variance, rng)
    if learn_between:
        _centred_exchange(prior, state, partition, partition_prior, noise_variance, rng)
    _centred_between(prior, state, partition, partition_prior, rng)
    if learn_between:
        _noncentred_between(sites, prior, state, partition, partition_prior, rng)
    noncentred_means(sites, prior, state, rng)
    noncentred_scales(sites, prior, state, rng)
    if prior.joint.any():
        update_joint(sites, prior, state, noise_variance, rng)
