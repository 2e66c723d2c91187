"""Plots of a fit: each takes the DataTree of `model.fit` and returns a matplotlib figure."""

from bayesmtl.plots.clusters import plot_clusters
from bayesmtl.plots.functions import plot_functions
from bayesmtl.plots.graph import plot_graph
from bayesmtl.plots.inclusion import plot_inclusion
from bayesmtl.plots.sharing import plot_sharing
from bayesmtl.plots.task_relations import plot_task_relations
from bayesmtl.plots.weights import plot_weights

__all__ = [
    "plot_clusters",
    "plot_functions",
    "plot_graph",
    "plot_inclusion",
    "plot_sharing",
    "plot_task_relations",
    "plot_weights",
]
