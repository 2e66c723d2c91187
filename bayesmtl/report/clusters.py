"""The clusters of a fit in a few lines: how many, which tasks, who belongs nowhere for sure."""

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl.frames.labels import label_texts
from bayesmtl.plots.common import shorten_all
from bayesmtl.posterior.clusters import n_clusters_interval

__all__ = ["describe_clusters"]

_MAX_CHARS = 30  # of a label
_NAMED = 3  # members of a cluster
_SURE = 0.9  # of a membership above which a task needs no mention


def describe_clusters(relations: xr.Dataset, n_listed: int) -> tuple[str, pd.DataFrame]:
    """Say how many clusters there are, and list those of the optimal partition.

    Parameters
    ----------
    relations
        The group ``task_relations`` of a fit.
    n_listed
        Most clusters, and most tasks of uncertain membership, to list.

    Returns
    -------
    str
        The number of clusters beside its prior, and the tasks whose membership is least certain;
        empty where the tasks form no clusters.
    pandas.DataFrame
        The largest clusters first: ``tasks`` (how many), ``membership`` (mean over the tasks) and
        ``members`` (the most certain ones).
    """
    if "partition" not in relations:
        return "", pd.DataFrame()
    labels = shorten_all(label_texts(relations["task"]), _MAX_CHARS)
    partition, sure = relations["partition"].to_numpy(), relations["membership"].to_numpy()
    order = np.argsort(-sure, kind="stable")
    n_clusters = int(partition.max()) + 1
    rows = []
    for cluster in range(min(n_clusters, n_listed)):
        inside = order[partition[order] == cluster]
        names = ", ".join(labels[t] for t in inside[:_NAMED])
        more = f" and {len(inside) - _NAMED:,} more" if len(inside) > _NAMED else ""
        share = f"{sure[inside].mean():.0%}"
        rows.append({"tasks": len(inside), "membership": share, "members": names + more})
    median, low, high = n_clusters_interval(relations, "posterior")
    prior, prior_low, prior_high = n_clusters_interval(relations, "prior")
    text = (
        f"{median} (90% interval {low} to {high}; prior {prior}, {prior_low} to {prior_high}); "
        f"{n_clusters} in the partition closest to all draws"
    )
    hidden = int((partition >= n_listed).sum())
    if hidden:
        text += f", of which the {n_listed} largest are listed (others: {hidden:,} tasks)"
    doubtful = [t for t in order[::-1][:n_listed] if sure[t] < _SURE]
    if doubtful:
        names = ", ".join(f"{labels[t]} {sure[t]:.0%}" for t in doubtful)
        text += f"\nLeast certain of their cluster: {names}"
    return text, pd.DataFrame(rows)
