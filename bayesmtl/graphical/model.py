"""The model: each task is a network of its variables, and the tasks share edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xarray as xr

from bayesmtl.errors import InvalidModelError, UnsupportedError
from bayesmtl.fitting import run_settings
from bayesmtl.graphical.data import GraphRows, check_training_rows, read_graph_rows
from bayesmtl.graphical.settings import EDGE_SHARES, check_settings, graph_story
from bayesmtl.graphical.state import (
    HORSESHOE,
    SPIKE_SLAB,
    GraphPrior,
    GraphProblem,
    standardise,
)
from bayesmtl.keys import refuse_unknown

__all__ = ["MultiTaskGraphicalModel"]

MODEL = "MultiTaskGraphicalModel"
_MOST_RELATED = 8


@dataclass(frozen=True, kw_only=True)
class MultiTaskGraphicalModel:
    """Tasks that are Gaussian graphical models: ``y_i ~ Normal(mean_g, K_g^-1)``, row i of task g.

    Two variables are linked in task g where their partial correlation ``-K_gij / sqrt(K_gii
    K_gjj)``, the correlation that is left given all other variables, is not zero.

    Parameters
    ----------
    variables : sequence of str, optional
        Columns that are the nodes of the graphs; all but the task column by default.
    task : str
        Column that names the task; for data in a dict {task: data frame} only its name in the
        result.
    prior : {"horseshoe", "spike_slab"}
        "horseshoe": ``K_gij ~ Normal(0, (l_ij m_gij tau_g)^2)`` with half-Cauchy l, m and tau; the
        tasks share l_ij, any number of them. An edge is an absolute partial correlation above
        ``edge_threshold``. "spike_slab": ``K_gij ~ Normal(0, slab^2)`` where ij is an edge, else
        ``Normal(0, spike^2)``; which edges go together is learned as the relatedness theta of each
        two tasks, ``p(z_ij) ~ exp(nu_ij sum_g z_gij + 2 sum_(g < m) theta_gm z_gij z_mij)``; up to
        8 tasks.
    relation : {"joint", "independent", "pooled"}
        Whether tasks share edges, have graphs of their own, or have one precision matrix.
    means : {"separate", "pooled"}
        Whether each task has its own means, outside the relation, or all have the same.
    missing : {"error", "drop", "impute"}
        Missing values are refused, their rows left out, or drawn with everything else.
    mean_sd : float
        ``mean_g ~ Normal(pooled mean, mean_sd^2)``. Here and below the unit of a variable is its
        standard deviation within tasks, pooled over them.
    diagonal_rate : float
        ``K_gii ~ Exponential(diagonal_rate / 2)``; 1 weighs as much as one row.
    global_scale : float
        Of the half-Cauchy tau_g.
    own_scales : bool
        Whether m_gij is there, the scale that an element has beside that of the tasks together.
        Without, as in the paper below, an edge of one task makes the same pair a likely edge in all
        others: better where nearly all edges are shared, worse where many are not.
    spike, slab : float
        Sds of elements without and with an edge; with a spike of 0.05 nearly all elements without
        one are smaller than the ``edge_threshold`` of the horseshoe.
    edge_share : float, optional
        Mean of the beta distribution of ``1 / (1 + exp(-nu_ij))``, the share of edges but for the
        positive definite region; 2 / (number of variables - 1) by default, between 0.05 and 0.5.
    edge_shape : float
        First shape of this distribution; the second is ``edge_shape (1 / edge_share - 1)``.
    relatedness_shape, relatedness_rate, relatedness_probability : float
        ``theta_gm ~ Gamma(shape, rate)`` with this probability, else 0.
    edge_threshold : float
        Absolute partial correlation of an edge under the horseshoe.

    Raises
    ------
    InvalidModelError
        For settings that are wrong or exclude each other.

    References
    ----------
    Lingjaerde, Fairfax, Richardson and Ruffieux 2024, J. R. Stat. Soc. C 73 (horseshoe); Peterson,
    Stingo and Vannucci 2015, J. Am. Stat. Assoc. 110 (spike and slab); Wang 2015, Bayesian Anal. 10
    (column updates).

    Examples
    --------
    >>> import bayesmtl as bm
    >>> model = bm.MultiTaskGraphicalModel(variables=["Cd", "Ni", "Zn"], task="rock")
    >>> idata = model.fit(soil, random_seed=1)  # doctest: +SKIP
    """

    variables: Sequence[str] | None = None
    task: str = "task"
    prior: str = HORSESHOE
    relation: str = "joint"
    means: str = "separate"
    missing: str = "error"
    mean_sd: float = 10.0
    diagonal_rate: float = 1.0
    global_scale: float = 1.0
    own_scales: bool = True
    spike: float = 0.05
    slab: float = 1.0
    edge_share: float | None = None
    edge_shape: float = 1.0
    relatedness_shape: float = 2.0
    relatedness_rate: float = 5.0
    relatedness_probability: float = 0.9
    edge_threshold: float = 0.1

    def __post_init__(self) -> None:
        check_settings(self)
        for name, value in vars(self).items():
            if isinstance(value, np.number):  # JSON holds no number of NumPy
                object.__setattr__(self, name, float(value))
        if self.variables is not None:
            object.__setattr__(self, "variables", tuple(self.variables))

    def __str__(self) -> str:
        return graph_story(self)

    def to_dict(self) -> dict[str, Any]:
        """The settings as a dict that JSON can hold."""
        out = asdict(self)
        if self.variables is not None:
            out["variables"] = list(self.variables)
        return {"type": MODEL, **out}

    @classmethod
    def from_dict(cls, spec: Mapping[str, Any]) -> MultiTaskGraphicalModel:
        """Inverse of `to_dict`.

        Raises
        ------
        InvalidModelError
            For an unknown setting, or the settings of another model.
        """
        settings = dict(spec)
        kind = settings.pop("type", MODEL)
        if kind != MODEL:
            raise InvalidModelError(f"these are settings of {kind!r}, not of {MODEL}")
        refuse_unknown(MODEL, settings, cls.__dataclass_fields__)
        return cls(**settings)

    def graph_prior(self, n_tasks: int, n_variables: int) -> GraphPrior:
        """The prior of these many tasks and variables.

        Raises
        ------
        UnsupportedError
            For spike and slab with more tasks than can be related.
        """
        joint = self.relation == "joint"
        if joint and self.prior == SPIKE_SLAB and n_tasks > _MOST_RELATED:
            raise UnsupportedError(
                f"prior='spike_slab' relates up to {_MOST_RELATED} tasks, and the data hold "
                f"{n_tasks}: use prior='horseshoe', or relation='independent'"
            )
        each, one = np.arange(n_tasks), np.zeros(n_tasks, dtype=np.int64)
        block = one if self.relation == "pooled" else each
        n_blocks = int(block.max()) + 1
        share = self.edge_share
        if share is None:
            share = float(np.clip(2.0 / max(n_variables - 1, 1), *EDGE_SHARES))
        return GraphPrior(
            kind=self.prior,
            block=block,
            center=each if self.means == "separate" else one,
            family=np.zeros(n_blocks, dtype=np.int64) if joint else np.arange(n_blocks),
            n_variables=n_variables,
            mean_sd=float(self.mean_sd),
            diagonal_rate=float(self.diagonal_rate),
            global_scale=float(self.global_scale),
            own_scales=self.own_scales and joint and n_blocks > 1,
            spike=float(self.spike),
            slab=float(self.slab),
            edge_shape=(self.edge_shape, self.edge_shape * (1.0 / share - 1.0)),
            relatedness=(
                self.relatedness_shape,
                self.relatedness_rate,
                self.relatedness_probability,
            ),
        )

    def prepare(self, data: Any) -> tuple[GraphProblem, GraphRows]:
        """Read the data and put them together with the prior.

        Raises
        ------
        InvalidDataError, InvalidModelError, UnsupportedError
            See the messages: each names the column, task or value and what to do.
        """
        rows = read_graph_rows(data, self.variables, task=self.task, missing=self.missing)
        check_training_rows(rows)
        prior = self.graph_prior(len(rows.tasks), len(rows.variables))
        values, location, scale = standardise(rows, prior.center)
        return GraphProblem(values, rows.task, location, scale, prior), rows

    def fit(
        self,
        data: Any,
        *,
        draws: int = 1000,
        tune: int = 1000,
        chains: int = 4,
        cores: int | None = None,
        random_seed: int | None = None,
        progressbar: bool = True,
    ) -> xr.DataTree:
        """Sample the posterior by Gibbs sampling, column by column of each precision matrix.

        Parameters
        ----------
        data : data frame or dict of {task: data frame}
            One row per observation, a column per variable.
        draws, tune, chains : int
        cores : int, optional
            Chains that run at the same time; all available processors by default. The draws do not
            depend on it.
        random_seed : int, optional
            The same seed, data and versions give the same draws.
        progressbar : bool

        Returns
        -------
        xarray.DataTree
            Groups posterior, sample_stats, observed_data, constant_data and task_relations. Ctrl-C
            returns the draws finished so far, with the attribute ``incomplete`` set to 1.

        Raises
        ------
        InvalidDataError, InvalidModelError
        UnsupportedError
            For more tasks than spike and slab can relate, or draws that need too much memory.
        KeyboardInterrupt
            When Ctrl-C comes before there is a draw to keep.
        """
        from bayesmtl.graphical.fitting import run

        settings = run_settings(
            draws=draws,
            tune=tune,
            chains=chains,
            cores=cores,
            random_seed=random_seed,
            progressbar=progressbar,
        )
        problem, rows = self.prepare(data)
        return run(
            problem,
            rows,
            model=self.to_dict(),
            edge_threshold=self.edge_threshold,
            settings=settings,
        )
