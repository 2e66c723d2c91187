"""Clusters of the partition closest to all draws, for the page."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from bayesmtl.plots.blocks import block_weights, read_blocks
from bayesmtl.posterior.access import common_units
from bayesmtl.report.page.packing import json_number
from bayesmtl.report.page.tasks import PageTasks, group_or_empty

__all__ = ["cluster_values"]

_MOST_BLOCKS, _MOST_FEATURES, _MOST_MEMBERS = 12, 6, 400
_NEGLIGIBLE = 0.002


def cluster_values(idata: xr.DataTree, tasks: PageTasks) -> dict[str, Any] | None:
    """Read the number of clusters beside its prior, and the members and mean weights of each.

    Parameters
    ----------
    idata
        A fit.
    tasks
        Of the page.

    Returns
    -------
    dict or None
        ``number`` (clusters, posterior and prior probability); ``blocks``, the largest first, with
        ``letter``, ``size``, ``membership``, ``members`` (places on the page) and ``weights``
        (mean and 90% interval of each of ``features``); ``n_blocks`` of all. None without clusters.
    """
    relations, clusters = (group_or_empty(idata, name) for name in ("task_relations", "clusters"))
    if "partition" not in relations:
        return None
    blocks = read_blocks(relations)
    sure = relations["membership"].to_numpy()
    on_page = np.full(tasks.n_all, -1)
    on_page[tasks.places] = np.arange(len(tasks.places))
    rows: list[dict[str, Any]] = []
    for block in blocks[:_MOST_BLOCKS]:
        by_surety = block.members[np.argsort(-sure[block.members], kind="stable")]
        places = on_page[by_surety]
        rows.append(
            {
                "letter": block.letter,
                "size": len(block.members),
                "membership": json_number(float(sure[block.members].mean()), 3),
                "members": places[places >= 0][:_MOST_MEMBERS].tolist(),
            }
        )
    features: list[str] = []
    if "cluster_mean" in clusters:
        features = _add_weights(rows, idata, clusters, blocks[:_MOST_BLOCKS])
    return {
        "number": _number(relations),
        "blocks": rows,
        "features": features,
        "n_blocks": len(blocks),
        "sure": [json_number(float(value), 3) for value in sure[tasks.places]],
    }


def _add_weights(
    rows: list[dict[str, Any]], idata: xr.DataTree, clusters: xr.Dataset, blocks: list[Any]
) -> list[str]:
    """Mean weights of the members, of the features that differ most between the blocks."""
    posterior, constant = idata["posterior"].to_dataset(), group_or_empty(idata, "constant_data")
    if "unpooled_weights" in constant or "task_scale" not in posterior:
        posterior, constant = common_units(posterior, constant)
    draws = block_weights(posterior, clusters, blocks)
    names = [str(name) for name in clusters["feature"].to_numpy()]
    scale = np.asarray(constant.get("feature_scale", 1.0))
    spread = (draws.mean(axis=0) * scale).std(axis=0)
    chosen = np.argsort(-spread, kind="stable")[:_MOST_FEATURES]
    low, high = np.quantile(draws[..., chosen], [0.05, 0.95], axis=0)
    mean = draws[..., chosen].mean(axis=0)
    for k, row in enumerate(rows):
        row["weights"] = [
            [json_number(float(part[k, j]), 4) for part in (mean, low, high)]
            for j in range(len(chosen))
        ]
    return [names[j] for j in chosen]


def _number(relations: xr.Dataset) -> list[list[float | None]]:
    table = relations["n_clusters_probability"].transpose("n_clusters_value", "distribution")
    chance = np.stack(
        [table.sel(distribution=name).to_numpy() for name in ("posterior", "prior")], axis=1
    )
    seen = np.flatnonzero((chance > _NEGLIGIBLE).any(axis=1))
    last = int(seen[-1]) + 1 if seen.size else len(chance)
    values = table["n_clusters_value"].to_numpy()
    return [[int(values[k]), *(json_number(float(x), 3) for x in chance[k])] for k in range(last)]
