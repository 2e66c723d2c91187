"""Weights as standard normals q: ``w = center + scale (mean + L^-T q)`` given site and population.

Mean and factor L of the precision are those of a task's standardised deviation given its site, so a
change of the population at fixed q takes the weights along.
"""

from bayesmtl.numerics.jit import kernel
from bayesmtl.numerics.lanes import place_deviations, task_means, whiten_deviations
from bayesmtl.relations.exchangeable.collapsed import reversible_pass
from bayesmtl.relations.exchangeable.moves import (
    centred_means,
    centred_scales,
    clear_padding,
    draw_correlations,
    draw_huang_wand,
    set_weights,
    shared_given_scales,
)

__all__ = ["place", "population_given_weights", "propose_population", "whiten"]


@kernel
def place(sites, prior, state, whitened):
    """Weights of the current population and q."""
    state.deviation[:] = whitened
    task_means(state.means, prior.task_features, state.center)
    place_deviations(
        sites.gram,
        sites.moment,
        sites.precision,
        state.center,
        state.scale,
        state.precision,
        state.deviation,
    )
    clear_padding(prior, state)
    set_weights(prior, state)


@kernel
def whiten(sites, prior, state, whitened):
    """The q of the current weights."""
    task_means(state.means, prior.task_features, state.center)
    whiten_deviations(
        sites.gram,
        sites.moment,
        sites.precision,
        state.center,
        state.scale,
        state.precision,
        state.deviation,
        whitened,
    )


@kernel
def propose_population(sites, prior, state, whitened, noise_variance, pairs, rng):
    """Population by an update reversible under the sites' posterior, and the weights of q."""
    reversible_pass(sites, prior, state, noise_variance, pairs, rng)
    place(sites, prior, state, whitened)


@kernel
def population_given_weights(prior, state, noise_variance, rng):
    """The population given the weights."""
    centred_means(prior, state, rng)
    if prior.covariance == 1:
        draw_huang_wand(prior, state, rng)
    centred_scales(prior, state, rng)
    if prior.covariance == 2:
        draw_correlations(prior, state, rng)
    shared_given_scales(prior, state, noise_variance, rng)
