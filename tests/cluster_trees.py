"""What a relation with clusters adds to a fit, made by hand."""

import numpy as np
import xarray as xr

from bayesmtl.posterior.clusters import cluster_relations

__all__ = ["draw_partitions", "with_clusters"]


def draw_partitions(center: np.ndarray, moved: np.ndarray, samples: tuple[int, int]) -> np.ndarray:
    """Canonical labels (chain, draw, task): a task leaves the center at its own rate ``moved``."""
    rng = np.random.default_rng(5)
    n_blocks = int(center.max()) + 1
    elsewhere = rng.integers(0, n_blocks + 1, (*samples, len(center)))
    draws = np.where(rng.random(elsewhere.shape) < moved, elsewhere, center)
    flat = draws.reshape(-1, len(center))
    for m, draw in enumerate(flat):
        _, first, label = np.unique(draw, return_index=True, return_inverse=True)
        flat[m] = np.argsort(np.argsort(first))[label]
    return flat.reshape(draws.shape).astype(np.int32)


def with_clusters(tree: xr.DataTree, center: np.ndarray, moved: np.ndarray) -> xr.DataTree:
    """Add the group ``clusters`` and the summaries to a fit whose posterior has weights."""
    posterior = tree["posterior"].to_dataset()
    weights = posterior["weights"].transpose("chain", "draw", "task", "feature").to_numpy()
    assignment = draw_partitions(center, moved, weights.shape[:2])
    n_clusters = assignment.max(axis=-1) + 1
    mean = np.full((*weights.shape[:2], int(n_clusters.max()), weights.shape[-1]), np.nan)
    probability = np.full(mean.shape[:3], np.nan)
    for index in np.ndindex(*n_clusters.shape):
        for k in range(n_clusters[index]):
            inside = assignment[index] == k
            mean[(*index, k)] = weights[index][inside].mean(axis=0)
            probability[(*index, k)] = inside.sum() / (len(inside) + 1)
    sample = ("chain", "draw")
    tree["clusters"] = xr.DataTree(
        xr.Dataset(
            {
                "assignment": ((*sample, "task"), assignment),
                "cluster_mean": ((*sample, "cluster", "feature"), mean),
                "probability": ((*sample, "cluster"), probability),
            },
            {"task": posterior["task"].to_numpy(), "feature": posterior["feature"].to_numpy()},
        )
    )
    tree["posterior"] = xr.DataTree(posterior.assign(n_clusters=(sample, n_clusters)))
    prior = 0.6 ** np.arange(1, len(center) + 1)
    added = cluster_relations(assignment, posterior["task"].to_numpy(), prior / prior.sum())
    relations = tree["task_relations"].to_dataset()
    # A fit by hand may have fewer statistics than a real one.
    tree["task_relations"] = xr.DataTree(
        xr.merge([relations, added], join="inner", combine_attrs="no_conflicts")
    )
    return tree
