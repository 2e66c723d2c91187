"""The log joint density against the factors written down one by one."""

import numpy as np
import pytest
from scipy.stats import expon, gamma, halfcauchy, multivariate_normal, norm

from bayesmtl.graphical.density import log_joint
from bayesmtl.graphical.field import log_patterns, propensity_nodes
from bayesmtl.graphical.state import GraphPrior, GraphProblem, GraphState, initial_state
from tests.oracles.graphs import graph_prior

RNG = np.random.default_rng(4)
TASK = np.array([0, 0, 0, 1, 1])


def random_state(prior: GraphPrior, rng: np.random.Generator) -> tuple[GraphProblem, GraphState]:
    values = rng.normal(size=(5, 3))
    problem = GraphProblem(values, TASK, np.zeros(3), np.ones(3), prior)
    state = initial_state(problem, rng)
    for b in range(prior.n_blocks):
        off = 0.1 * rng.normal(size=(3, 3))
        state.precision[b] += np.tril(off, -1) + np.tril(off, -1).T
    local = np.tril(rng.gamma(2.0, 1.0, (3, 3)), -1)
    state.local[0] = local + local.T + np.eye(3)
    state.scale[:, 0] = rng.gamma(2.0, 0.1, prior.n_blocks)
    state.theta[0, 1] = state.theta[1, 0] = rng.gamma(2.0, 0.3)
    return problem, state


def direct(problem: GraphProblem, state: GraphState) -> float:
    prior = problem.prior
    out = norm(0, prior.mean_sd).logpdf(state.mean).sum()
    below = np.tril_indices(3, -1)
    for b in range(2):
        covariance = np.linalg.inv(state.precision[b])
        own = multivariate_normal(state.mean[b], covariance)
        out += own.logpdf(problem.values[b == TASK]).sum()
        diagonal = np.diag(state.precision[b])
        out += expon(scale=2.0 / prior.diagonal_rate).logpdf(diagonal).sum()
        sd = np.sqrt(state.scale[b, 0] * state.local[0][below])
        if prior.kind == "spike_slab":
            sd = np.where(state.edge[b][below], prior.slab, prior.spike)
        else:
            tau = np.sqrt(state.scale[b, 0])
            # Densities of the variances, whose sds are half-Cauchy.
            out += halfcauchy(scale=prior.global_scale).logpdf(tau) - np.log(2 * tau)
        out += norm(0, sd).logpdf(state.precision[b][below]).sum()
    if prior.kind == "horseshoe":
        sd = np.sqrt(state.local[0][below])
        return float(out + (halfcauchy().logpdf(sd) - np.log(2 * sd)).sum())
    table = log_patterns(state.theta, *propensity_nodes(prior.edge_shape, 2))
    codes = state.edge[0][below] + 2 * state.edge[1][below]
    theta, (shape, rate, chance) = state.theta[0, 1], prior.relatedness
    out += table[codes].sum() + gamma(shape, scale=1 / rate).logpdf(theta)
    return float(out + np.log(chance))


@pytest.mark.parametrize("kind", ["horseshoe", "spike_slab"])
def test_log_joint_up_to_a_constant(kind: str) -> None:
    prior = graph_prior(kind, 2, 3)
    gaps = []
    for seed in range(4):
        problem, state = random_state(prior, np.random.default_rng(seed))
        gaps.append(log_joint(problem, state) - direct(problem, state))
    np.testing.assert_allclose(gaps, gaps[0], atol=1e-9)
