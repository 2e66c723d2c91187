"""Updates of the shares of the components of a tree, on the simplex under a Dirichlet prior.

One share at a time: ``share_k = s``, the others keep their proportions r and become ``(1 - s) r``.
Under ``Dirichlet(a)`` s is ``Beta(a_k, sum a - a_k)``, whatever r, so the slice on the logit of s
needs no further Jacobian.

`update_shares_collapsed` integrates the weights out (`prune`), and mixes however little the rows
say; the weights must be drawn anew after it. `update_shares_centred` conditions on the weights of
the tasks, and integrates the other nodes out: given the increments along the branches too, their
variances would hardly move where the branches are many. By Felsenstein's contrasts it costs
O(node d^2) an evaluation, and needs no likelihood. `update_shares_noncentred` holds the whitened
weights, and is for sites that are not exact.
"""

from __future__ import annotations

import math

import numpy as np

from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.logit import LOGIT_WIDTH, bounded, log_beta
from bayesmtl.numerics.matrices import cholesky, invert_lower
from bayesmtl.numerics.slicing import slice_sampler
from bayesmtl.relations.graph.components import branch_variances
from bayesmtl.relations.graph.pruning import prune_into

__all__ = [
    "log_contrasts",
    "update_shares_centred",
    "update_shares_collapsed",
    "update_shares_noncentred",
]


@kernel
def log_contrasts(tree, variance, deviation, feature_precision, d, mean, spread):
    """Log-density of the tasks' deviations from the root as a function of b, up to a constant.

    Each node is known from the leaves below it as ``Normal(mean, spread Sigma)``; independent
    estimates of one value differ by a contrast with the sum of their variances (Felsenstein 1973,
    Am. J. Hum. Genet. 25, eqs 9-12).

    Parameters
    ----------
    tree : TaskTree
    variance : (node,)
        b, positive above each leaf.
    deviation : (task, d)
    feature_precision : (d, d)
        ``Sigma^-1``; zero rows and columns for features that say nothing.
    d : int
        Number of features that say something.
    mean : (node, d)
    spread : (node,)
        Work space; -1 marks nodes of which nothing is known yet.
    """
    total = 0.0
    spread[:] = -1.0
    gap = np.empty(deviation.shape[1])
    for v in range(spread.shape[0] - 1, -1, -1):
        if tree.task[v] >= 0:
            mean[v] = deviation[tree.task[v]]
            spread[v] = 0.0
        own = spread[v] + variance[v]
        parent = tree.parents[v]
        if v > 0 and spread[parent] < 0.0:
            mean[parent] = mean[v]
            spread[parent] = own
            continue
        # The root's deviation from itself is known to be zero.
        other = spread[parent] if v > 0 else 0.0
        both = own + other
        square = 0.0
        for i in range(gap.shape[0]):
            gap[i] = mean[v, i] - (mean[parent, i] if v > 0 else 0.0)
        for i in range(gap.shape[0]):
            for j in range(gap.shape[0]):
                square += gap[i] * feature_precision[i, j] * gap[j]
        total -= 0.5 * (d * math.log(both) + square / both)
        if v > 0:
            for i in range(gap.shape[0]):
                mean[parent, i] += gap[i] * other / both
            spread[parent] = own * other / both
    return total


@inner_kernel
def _place(x, k, rest, out):
    """Shares with that of component k at the logit x; ``rest`` sums to one without it."""
    for j in range(rest.shape[0]):
        out[j] = rest[j] / (1.0 + math.exp(x))
    out[k] = 1.0 / (1.0 + math.exp(-x))


@inner_kernel
def _log_prior(x, k, prior):
    """Log-density of the logit of share k, up to a constant; -inf out of bounds."""
    return log_beta(x, prior[k], prior.sum() - prior[k])


@inner_kernel
def _start(k, shares, rest):
    """Logit of share k; writes the proportions of the others."""
    others = 0.0
    for j in range(shares.shape[0]):
        if j != k:
            others += shares[j]
    for j in range(shares.shape[0]):
        rest[j] = 0.0 if j == k else shares[j] / others
    return bounded(math.log(shares[k] / others))


@kernel
def _centred_target(x, args):
    tree, k, rest, prior, deviation, feature_precision, d, mean, spread, shares = args
    total = _log_prior(x, k, prior)
    if total == -np.inf:
        return total
    _place(x, k, rest, shares)
    variance = branch_variances(tree, shares)
    return total + log_contrasts(tree, variance, deviation, feature_precision, d, mean, spread)


_slice_centred = slice_sampler(_centred_target)


@kernel
def update_shares_centred(tree, deviation, feature_precision, prior, shares, rng):
    """Slice updates of the shares given the deviations of the tasks from the root.

    Parameters
    ----------
    tree : TaskTree
    deviation : (task, d)
    feature_precision : (d, d)
        ``Sigma^-1``; zero rows and columns for features that say nothing.
    prior : (component,)
        Of shares ~ Dirichlet.
    shares : (component,)
        In place; positive, with the sum one.
    rng : numpy.random.Generator
    """
    n_nodes, n_features = tree.parents.shape[0], deviation.shape[1]
    d = 0
    for j in range(n_features):
        if feature_precision[j, j] > 0.0:
            d += 1
    mean, spread = np.empty((n_nodes, n_features)), np.empty(n_nodes)
    rest, work = np.empty_like(shares), np.empty_like(shares)
    if shares.shape[0] < 2:
        return
    for k in range(shares.shape[0]):
        x = _start(k, shares, rest)
        args = (tree, k, rest, prior, deviation, feature_precision, d, mean, spread, work)
        _place(_slice_centred(args, x, LOGIT_WIDTH, rng), k, rest, shares)


@kernel
def _collapsed_target(x, args):
    tree, k, rest, prior, gram, score, eye, node_gram, node_score, shares = args
    total = _log_prior(x, k, prior)
    if total == -np.inf:
        return total
    _place(x, k, rest, shares)
    variance = branch_variances(tree, shares)
    return total + prune_into(tree, variance, gram, score, eye, node_gram, node_score)


_slice_collapsed = slice_sampler(_collapsed_target)


@kernel
def update_shares_collapsed(tree, gram, score, feature_root, root_value, prior, shares, rng):
    """Slice updates of the shares with the values of all nodes but the root integrated out.

    Parameters
    ----------
    tree : TaskTree
    gram : (task, p, p)
    score : (task, p)
        The sites of the tasks, as in `prune`.
    feature_root : (p, p)
        R with ``Sigma = R R'``, possibly singular.
    root_value : (p,)
    prior : (component,)
        Of shares ~ Dirichlet.
    shares : (component,)
        In place; positive, with the sum one.
    rng : numpy.random.Generator
    """
    n_nodes, p = tree.parents.shape[0], score.shape[1]
    if shares.shape[0] < 2:
        return
    # Of z with ``x = root_value + R z``: the root's is zero, so the evidence is the constant alone.
    own_gram, own_score = np.empty_like(gram), np.empty_like(score)
    for t in range(gram.shape[0]):
        own_gram[t] = np.dot(feature_root.T, np.dot(gram[t], feature_root))
        own_score[t] = np.dot(feature_root.T, score[t] - np.dot(gram[t], root_value))
    eye = np.eye(p)
    node_gram, node_score = np.empty((n_nodes, p, p)), np.empty((n_nodes, p))
    rest, work = np.empty_like(shares), np.empty_like(shares)
    for k in range(shares.shape[0]):
        x = _start(k, shares, rest)
        args = (tree, k, rest, prior, own_gram, own_score, eye, node_gram, node_score, work)
        _place(_slice_collapsed(args, x, LOGIT_WIDTH, rng), k, rest, shares)


@inner_kernel
def _covariance(parts, share):
    """``sum_k share_k C_k``."""
    out = np.zeros(parts.shape[1:])
    for k in range(share.shape[0]):
        out += share[k] * parts[k]
    return out


@kernel
def _noncentred_target(x, args):
    """Log conditional of the logit x of share k, whitened deviations fixed."""
    parts, k, rest, prior, gram, score, white, share = args
    total = _log_prior(x, k, prior)
    if total == -np.inf:
        return total
    _place(x, k, rest, share)
    deviation = np.dot(cholesky(_covariance(parts, share)), white)
    for t in range(deviation.shape[0]):
        image = np.dot(gram[t], deviation[t])
        total += np.dot(score[t], deviation[t]) - 0.5 * np.dot(image, deviation[t])
    return total


_slice_noncentred = slice_sampler(_noncentred_target)


@kernel
def update_shares_noncentred(parts, gram, score, deviation, prior, share, rng):
    """Slice updates of the shares given whitened deviations, which take the deviations along.

    Cubic in the number of tasks, and reversible.

    Parameters
    ----------
    parts : (component, task, task)
    gram : (task, d, d)
    score : (task, d)
        The sites of the deviations.
    deviation : (task, d)
    prior : (component,)
        Of shares ~ Dirichlet.
    share : (component,)
    rng : numpy.random.Generator
    """
    n = share.shape[0]
    if n < 2:
        return
    rest = np.empty_like(share)
    white = np.dot(invert_lower(cholesky(_covariance(parts, share))), deviation)
    work = share.copy()
    for k in rng.permutation(n):
        x = _start(k, share, rest)
        args = (parts, k, rest, prior, gram, score, white, work)
        _place(_slice_noncentred(args, x, LOGIT_WIDTH, rng), k, rest, share)
    deviation[:] = np.dot(cholesky(_covariance(parts, share)), white)
