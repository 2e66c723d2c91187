"""Overconfidence of coordinate ascent for clusters: its partitions against those of Gibbs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

import bayesmtl as bm
from benchmarks.data import Example, clustered, formula_of
from benchmarks.partitions import Partitions
from benchmarks.reporting import heading, headline, print_table

__all__ = ["OverconfidenceSettings", "run"]

RELATIONS: dict[str, Any] = {
    "DirichletProcess": bm.DirichletProcess(),
    "PitmanYor": bm.PitmanYor(),
    "FiniteMixture": bm.FiniteMixture(),
}
COLUMNS = (
    "relation",
    "sd of means",
    "clusters",
    "cavi",
    "in 90%",
    "together off by",
    "called",
    "k-hat > 0.7",
    "said",
)
# Clusters, and root mean square of co-clustering, beyond which an approximation is far off.
_CLUSTERS_OFF, _TOGETHER_OFF = 0.5, 0.1


@dataclass(frozen=True)
class OverconfidenceSettings:
    """Simulated data: tasks in three clusters, two features.

    Parameters
    ----------
    n_tasks : tuple of int
    sds : tuple of float
        Of the cluster means; the noise sd is 1.
    rows : int
        Of each task, on average.
    data_sets : int
        For each relation, number of tasks and sd.
    """

    n_tasks: tuple[int, ...] = (12, 36)
    sds: tuple[float, ...] = (0.3, 1.0, 3.0)
    rows: int = 12
    data_sets: int = 2


class _Comparison(NamedTuple):
    """Of one data set.

    Parameters
    ----------
    exact, approximate : float
        Mean numbers of clusters.
    covered : bool
        Whether the 90% interval of the approximate number holds the exact mean.
    together, drift : float
        Root mean square difference of co-clustering, and what Gibbs sweeps made of it.
    warned, far : bool
        Whether the diagnostics failed, and whether k-hat was above 0.7.
    """

    exact: float
    approximate: float
    covered: bool
    together: float
    drift: float
    warned: bool
    far: bool

    @property
    def off(self) -> bool:
        """Whether the approximation is far from Gibbs."""
        return abs(self.exact - self.approximate) > _CLUSTERS_OFF or self.together > _TOGETHER_OFF


def run(settings: OverconfidenceSettings) -> None:
    """Print, for each relation and sd, how far off partitions are and whether that was noticed."""
    heading(
        f"cavi against gibbs: 3 clusters, {', '.join(map(str, settings.n_tasks))} tasks, about "
        f"{settings.rows} rows each, {settings.data_sets} data sets each"
    )
    rows, every = [], []
    for name, relation in RELATIONS.items():
        for sd in settings.sds:
            found = [
                _compare(_example(n_tasks, sd, settings.rows, seed), relation)
                for n_tasks in settings.n_tasks
                for seed in range(settings.data_sets)
            ]
            rows.append((name, sd, *_row(found)))
            every += found
    rows.append(("all", "-", *_row(every)))
    print(
        "'clusters' and 'cavi' are mean numbers of clusters; 'in 90%' counts fits whose interval "
        "has\nthe mean of Gibbs; 'together off by' is the root mean square difference of "
        "co-clustering,\n'said' what Gibbs sweeps from the draws made of it; 'called' counts fits "
        "whose diagnostics\nfail among those that are off by more than "
        f"{_CLUSTERS_OFF} clusters or {_TOGETHER_OFF} in co-clustering."
    )
    print_table(COLUMNS, rows)
    _, _, exact, approximate, *_, said, _, _ = rows[-1]
    headline("mean number of clusters, cavi", approximate, "gibbs", exact)
    headline("fits by cavi far from gibbs whose verdict says so", said)


def _example(n_tasks: int, sd: float, rows: int, seed: int) -> Example:
    return clustered(n_tasks, 2, rows * n_tasks, n_clusters=3, sd=sd, seed=seed)


def _row(found: list[_Comparison]) -> tuple[object, ...]:
    off = [one for one in found if one.off]
    return (
        float(np.mean([one.exact for one in found])),
        float(np.mean([one.approximate for one in found])),
        f"{sum(one.covered for one in found)} of {len(found)}",
        float(np.mean([one.together for one in found])),
        f"{sum(one.warned for one in off)} of {len(off)}",
        f"{sum(one.far for one in off)} of {len(off)}",
        float(np.mean([one.drift for one in found])),
    )


def _compare(example: Example, relation: Any) -> _Comparison:
    model = bm.Model(
        formula_of(example.features), "task", relation, likelihood=bm.Gaussian(noise="shared")
    )
    with warnings.catch_warnings():
        # What the diagnostics say is counted.
        warnings.simplefilter("ignore", bm.BayesMTLWarning)
        ours = _fit(model, example.frame, inference="cavi")
        exact = _fit(model, example.frame)
    a, b = _partitions(ours), _partitions(exact)
    low, high = np.quantile(a.n_clusters(), (0.05, 0.95))
    mean = float(b.n_clusters().mean())
    difference = a.together().mean(axis=(0, 1)) - b.together().mean(axis=(0, 1))
    return _Comparison(
        exact=mean,
        approximate=float(a.n_clusters().mean()),
        covered=bool(low <= mean <= high),
        together=float(np.sqrt((difference**2).mean())),
        drift=float(ours.attrs["co_clustering_drift"]),
        warned=ours.attrs["verdict"].startswith("CHECK"),
        far=ours.attrs.get("pareto_k", 0.0) > 0.7,
    )


def _fit(model: bm.Model, frame: pd.DataFrame, **settings: Any) -> xr.DataTree:
    return model.fit(frame, draws=500, tune=500, random_seed=1, progressbar=False, **settings)


def _partitions(tree: xr.DataTree) -> Partitions:
    return Partitions(tree["clusters"]["assignment"].to_numpy(), 0.0)
