"""The model: a generative story for several tasks, fitted to a data frame."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import xarray as xr

from bayesmtl.assembly import Prepared, assemble
from bayesmtl.cautions import warn_of_collinear_features, warn_of_yes_or_no
from bayesmtl.data import Rows, read_rows, unused_rows
from bayesmtl.design import Design, feature_scales, formula_columns, learn_design
from bayesmtl.errors import InvalidModelError
from bayesmtl.fitting import check_sizes, run, run_settings
from bayesmtl.formulas.parsing import parse_formula, parse_response
from bayesmtl.frames.labels import sort_labels
from bayesmtl.inference.options import read_options
from bayesmtl.keys import refuse_unknown
from bayesmtl.likelihoods import LIKELIHOODS, Mixed, response_levels
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.likelihoods.groups import merge_columns
from bayesmtl.likelihoods.mixed import common_likelihood
from bayesmtl.relations.exchangeable.prior import Exchangeable, Independent, Pooled
from bayesmtl.relations.graph.tree_prior import Tree
from bayesmtl.relations.graph.trees import tree_to_json
from bayesmtl.relations.kinds import Clusters, Common, Correlated, Relation
from bayesmtl.relations.sparse.prior import Decomposition
from bayesmtl.scaling import INTERCEPT
from bayesmtl.specification import Columns, part_error, part_from_dict, part_to_dict, story
from bayesmtl.task_features import read_task_features, rows_of_tasks

__all__ = ["Model"]

_RELATIONS = (Independent, Pooled, Exchangeable)


@dataclass(frozen=True)
class Model:
    """Several related tasks under one prior that says how they relate.

    Parameters
    ----------
    formula : str
        ``"y ~ x1 + x2"``; the right side holds the features of every task. Basis terms expand
        their inputs into several features, whose columns are neither centred nor rescaled:
        ``hsgp(x, m=20)`` (Gaussian process; weights Normal(0, 1) give variance one),
        ``spline(x, df=10)``, ``rbf(x1, x2, centers=30)`` and ``fourier(x, period=7, terms=3)``.
    task : str
        Column that names the task.
    relation : relation
        Prior of the task weights: Independent, Pooled, Exchangeable, DirichletProcess, PitmanYor,
        FiniteMixture, MatrixNormal, LowRank, SparseGraph, KnownGraph, Tree or Decomposition.
    likelihood : Gaussian, StudentT, Bernoulli, Binomial, Poisson, NegativeBinomial or Ordinal
        Or a mapping {task: likelihood} that covers every task of the data. Then the relation is of
        weights w_t in common units: the predictor of a row is ``center_t + task_scale_t (a_t +
        x_i'w_t)``, where ``task_scale_t`` is the unit of the likelihood, in which an average row
        has information one, times a learned scale, ``log s_t ~ Normal(0, 0.5)``. Reported weights
        and intercepts are those of each task's own predictor; population means and sds,
        differences, correlations and sharing are of w_t. Tasks with equal likelihoods share its
        parameters, except that each Gaussian task has a noise sd of its own unless
        ``noise="shared"``. With `Ordinal` tasks among them the response column holds labels in
        their rows and numbers in the others, each of which may be written as text.
    intercept : None, "exchangeable", "none", "relation" or a relation
        None follows the formula. "relation" makes the intercept the feature "Intercept"; a relation
        sets the priors of a separate intercept, which speak of the point where all features are at
        their pooled means.
    task_features : str, optional
        One-sided formula of predictors of the tasks themselves, one value per task.
    weights : str, optional
        Column of row weights, multiplying each row's log-likelihood.
    offset : str, optional
        Column added to the predictor.
    missing : {"error", "drop"}
    standardize : bool
        Whether pooled standard deviations set the scale of the default priors.

    Raises
    ------
    InvalidModelError
        For settings that are wrong or exclude each other.

    Examples
    --------
    >>> import bayesmtl as bm
    >>> model = bm.Model("log_radon ~ floor", task="county", relation=bm.Exchangeable())
    >>> idata = model.fit(bm.load_dataset("radon"), random_seed=1)  # doctest: +SKIP
    >>> kinds = {"dose": bm.Gaussian(), "cured": bm.Bernoulli(), "visits": bm.Poisson()}
    >>> mixed = bm.Model("y ~ age + weight", task="outcome", likelihood=kinds)
    """

    formula: str
    task: str
    relation: Relation = field(default_factory=Exchangeable)
    likelihood: Any = field(default_factory=Gaussian)
    intercept: Any = None
    task_features: str | None = None
    weights: str | None = None
    offset: str | None = None
    missing: str = "error"
    standardize: bool = True

    def __post_init__(self) -> None:
        parse_response(self.formula)
        if not isinstance(self.task, str):
            raise InvalidModelError(f"task must be the name of a column, got {self.task!r}")
        if not isinstance(self.relation, get_args(Relation)):
            raise part_error("relation", self.relation, get_args(Relation))
        self._check_likelihood()
        self._check_columns()
        if self.missing not in ("error", "drop"):
            raise InvalidModelError(f"missing must be 'error' or 'drop', got {self.missing!r}")
        self._check_intercept()
        if self.task_features is not None:
            self._check_task_features(self.task_features)

    def _check_likelihood(self) -> None:
        each = {}
        if isinstance(self.likelihood, Mapping):
            each = {f" of task {label!r}": one for label, one in self.likelihood.items()}
        elif not isinstance(self.likelihood, Mixed):
            each = {"": self.likelihood}
        for what, one in each.items():
            if not isinstance(one, LIKELIHOODS):
                also = "" if what else ", or a mapping {task: likelihood}"
                raise part_error(f"likelihood{what}", one, LIKELIHOODS, also)
        if isinstance(self.likelihood, Mapping):
            object.__setattr__(self, "likelihood", Mixed.of(self.likelihood))

    def _check_columns(self) -> None:
        for name in ("task_features", "weights", "offset"):
            if not isinstance(getattr(self, name), str | None):
                raise InvalidModelError(
                    f"{name} must be a string or None, got {getattr(self, name)!r}"
                )
        if not isinstance(self.standardize, bool):
            raise InvalidModelError(f"standardize must be True or False, got {self.standardize!r}")

    def _check_task_features(self, formula: str) -> None:
        if parse_formula(formula).response is not None:
            raise InvalidModelError(
                f"task_features takes a formula without a left side, like "
                f'"~{formula.partition("~")[2]}", not {formula!r}'
            )
        separate_population = self.intercept in (None, "exchangeable")
        parts = (self._common, self.intercept)
        populations = (Exchangeable, *get_args(Clusters), *get_args(Correlated))
        if not separate_population and not any(isinstance(part, populations) for part in parts):
            raise InvalidModelError(
                "task_features predict what is drawn from a population: use bm.Exchangeable() for "
                "the relation or the intercept"
            )

    def _check_intercept(self) -> None:
        words = ("exchangeable", "none", "relation")
        if isinstance(self.intercept, _RELATIONS):
            if isinstance(self.intercept, Exchangeable) and (
                self.intercept.feature_covariance != "diagonal"
                or self.intercept.r2 is not None
                or self.intercept.shared is not None
            ):
                raise InvalidModelError(
                    "intercept=bm.Exchangeable(...) takes mean=, scale= and task_effects= only"
                )
        elif self.intercept is not None and self.intercept not in words:
            raise InvalidModelError(
                f"intercept must be None, one of {', '.join(map(repr, words))}, or one of "
                f"bm.Exchangeable(...), bm.Pooled(...), bm.Independent(...), got "
                f"{self.intercept!r}"
            )

    def __str__(self) -> str:
        parsed = parse_formula(self.formula)
        intercept = self.intercept
        if intercept is None or intercept == "exchangeable":
            intercept = Exchangeable() if parsed.intercept else "none"
        columns = Columns(
            formula=self.formula,
            task=self.task,
            has_features=any(parsed.terms),
            task_features=self.task_features,
            weights=self.weights,
            offset=self.offset,
        )
        return story(columns, self.relation, intercept, self.likelihood)

    @property
    def _common(self) -> Common:
        """What the tasks share."""
        return self.relation.common if isinstance(self.relation, Decomposition) else self.relation

    def _resolve_intercept(self, design: Design) -> Common | str:
        """The relation of a separate intercept, or "none" or "relation"."""
        if self.intercept is None:
            return Exchangeable() if design.intercept else "none"
        if not design.intercept and self.intercept != "none":
            raise InvalidModelError(
                f"the formula {self.formula!r} has no intercept, but "
                f"intercept={self.intercept!r} asks for one: drop '0 +' or '- 1' from the formula"
            )
        if self.intercept == "exchangeable":
            return Exchangeable()
        return self.intercept

    def _declared_tasks(self) -> np.ndarray | None:
        """Labels (task,) that a fixed covariance of the tasks names."""
        declared = self._common.declared_tasks if isinstance(self._common, Correlated) else ()
        return sort_labels(declared) if declared else None

    def read(self, data: Any) -> tuple[Design, Rows, dict[str, Any]]:
        """Read the data: what the formula learns, the rows, and the column of each role or None.

        Raises
        ------
        InvalidDataError, InvalidModelError
            See the messages: each names the column, task or value and what to do.
        """
        likelihood = common_likelihood(self.likelihood)
        columns: dict[str, Any] = {"se": None, "trials": None, "exposure": None}
        columns |= {} if isinstance(likelihood, Mixed) else likelihood.columns
        columns |= {"weights": self.weights, "offset": self.offset}
        extra = [name for name in columns.values() if name is not None]
        users: dict[str, frozenset[str]] = {}
        if isinstance(likelihood, Mixed):
            users = {name: some for name, some in likelihood.users().items() if name not in extra}
            extra += users
        also = () if self.task_features is None else formula_columns(self.task_features)
        # Rows that will be dropped must not teach the design its levels or means.
        used = (self.task, *extra, *also) if self.missing == "drop" else ()
        unused = unused_rows(data, self.task, users if used else {})
        levels = response_levels(likelihood)
        design = learn_design(
            self.formula,
            data,
            also=used,
            unused=unused,
            any_response=isinstance(levels, Mapping),
        )
        rows = read_rows(
            data,
            design,
            task=self.task,
            extra=extra,
            also=also,
            missing=self.missing,  # type: ignore[arg-type]
            tasks=self._declared_tasks(),
            levels=levels,
            warn_single=isinstance(likelihood, Gaussian) and likelihood.se is None,
            users=users,
        )
        if isinstance(self.likelihood, Mixed):
            self.likelihood.check_tasks(rows.tasks)
        if isinstance(likelihood, Mixed):
            rows, of_tasks = merge_columns(likelihood, rows)
            columns |= of_tasks
        return design, rows, columns

    def prepare(self, data: Any) -> Prepared:
        """Read the data and put them together with the model.

        Raises
        ------
        InvalidDataError, InvalidModelError
            See the messages: each names the column, task or value and what to do.
        """
        return self.assemble(data, *self.read(data))

    def assemble(self, data: Any, design: Design, rows: Rows, columns: dict[str, Any]) -> Prepared:
        """Put rows that were read from the data together with the model.

        Raises
        ------
        InvalidDataError, InvalidModelError
            See the messages: each names the column, task or value and what to do.
        """
        task_design, z, task_scales = None, np.zeros((len(rows.tasks), 0)), None
        if self.task_features is not None:
            counted = None
            if self.missing == "drop":
                # Tasks whose rows are all dropped must not teach it their levels or means.
                counted = rows_of_tasks(data, self.task, rows.tasks)
            task_design = learn_design(self.task_features, data, counted=counted)
            z = read_task_features(
                data,
                task_design,
                task=self.task,
                tasks=rows.tasks,
                missing=self.missing,  # type: ignore[arg-type]
            )
            task_scales = feature_scales(task_design, z)
        warn_of_yes_or_no(rows, self.likelihood)
        scales = feature_scales(design, rows.features)
        if design.trunk is None:
            warn_of_collinear_features(
                rows.features, design.features, scales, intercept=design.intercept
            )
        intercept = self._resolve_intercept(design)
        features = design.features
        if intercept == "relation":
            features = (INTERCEPT, *features)
            ones = np.ones((len(rows.features), 1))
            rows = rows._replace(features=np.hstack([ones, rows.features]))
            scales = np.concatenate([[np.nan], scales])
        if not features and isinstance(self._common, Clusters):
            raise InvalidModelError(
                f"{type(self._common).__name__} clusters the tasks by their weights, and the "
                f"formula {self.formula!r} has no features: intercept='relation' clusters them by "
                "their intercepts"
            )
        if not features and isinstance(intercept, str):
            raise InvalidModelError(
                f"the formula {self.formula!r} has neither features nor an intercept"
            )
        relation = self.relation
        if isinstance(relation, Tree):
            relation = relation.read_from(data, self.task)
        problem = assemble(
            rows,
            features,
            z,
            relation=relation,
            intercept=None if isinstance(intercept, str) else intercept,
            likelihood=common_likelihood(self.likelihood),
            columns=columns,
            standardize=self.standardize,
            own_scales=scales,
            own_task_scales=task_scales,
        )
        return Prepared(problem, design, task_design, columns, relation)

    def fit(
        self,
        data: Any,
        *,
        inference: str = "gibbs",
        draws: int = 1000,
        tune: int = 1000,
        chains: int = 4,
        cores: int | None = None,
        random_seed: int | None = None,
        progressbar: bool = True,
        **options: Any,
    ) -> xr.DataTree:
        """Sample the posterior.

        Parameters
        ----------
        data : pandas, polars or pyarrow data frame
            One row per observation.
        inference : str
            "gibbs": collapsed and interweaved Gibbs sampling. "nuts": the same model as a PyMC
            graph, sampled by the No-U-Turn sampler. "cavi": for tasks in clusters and correlated
            tasks, a variational approximation by coordinate ascent, fast but overconfident, with
            point estimates of scales and noise, and of ``between`` or of the tasks' own variances
            beside factors. "laplace_sites": Gibbs sampling with the likelihood of each task
            replaced by a normal density at its mode, so with one pass over the rows.

            The others approximate the posterior of the graph, except of clusters, by one normal
            distribution in its unconstrained space: "advi" by independent coordinates (means are
            close, sds of correlated quantities too small), "fullrank_advi" by correlated ones,
            "laplace" at the mode; "pathfinder" by several on optimisation paths, resampled by their
            importance.
        draws, tune, chains : int
        cores : int, optional
            Chains that run at the same time; all available processors by default. The draws do not
            depend on it.
        random_seed : int, optional
            The same seed, data and versions give the same draws.
        progressbar : bool
        **options
            Of "nuts": ``sampler`` ("nutpie", the default, "pymc" or "numpyro"), ``target_accept``
            (0.8) and ``max_treedepth`` (10). Of "advi" and "fullrank_advi": ``elbo_draws`` (fixed
            draws that the bound is averaged over) and ``iterations``. Of "pathfinder": ``paths``
            (8) and ``iterations``. Of "laplace": ``iterations``.

        Returns
        -------
        xarray.DataTree
            Groups posterior, sample_stats, observed_data, constant_data and task_relations. Ctrl-C
            returns the draws finished so far, with the attribute ``incomplete`` set to 1. From all
            but "gibbs" and "nuts" it has the attributes ``approximate`` (1) and ``pareto_k`` (above
            0.7 the approximation is far from the posterior, with a warning); from "cavi" and ADVI
            ``elbo``, a lower bound of the log evidence; and from "cavi" ``elbo_trace`` (with the
            log prior density of the point estimates), ``point_estimates`` (variables whose
            draws are all one value), ``factorised`` (1 where correlated tasks have so many weights
            that those of different tasks are taken as independent, with a warning), and what a few
            Gibbs sweeps from its draws lead to: ``n_clusters_after_sweeps`` (the mean number of
            clusters), ``co_clustering_drift`` and ``correlation_drift`` (root mean square changes
            of the probabilities that two tasks share a cluster, or of the correlations of tasks;
            above 0.1 there is a warning).

        Raises
        ------
        InvalidDataError, InvalidModelError
        UnsupportedError
            When the method does not work for the relation or one of its priors, an approximation
            does not converge, or a sampler is not installed.
        KeyboardInterrupt
            When Ctrl-C comes before there is a draw to keep.
        """
        settings = run_settings(
            draws=draws,
            tune=tune,
            chains=chains,
            cores=cores,
            random_seed=random_seed,
            progressbar=progressbar,
        )
        for name in sorted(options.keys() & self.__dataclass_fields__.keys()):
            raise InvalidModelError(
                f"{name}= is a setting of the model, not of fit: bm.Model(..., {name}=...)"
            )
        method_options = read_options(inference, options)
        prepared = self.prepare(data)
        fitted = run(
            prepared,
            common_likelihood(self.likelihood),
            model=self.to_dict(),
            constant_sharing=self.constant_sharing(prepared),
            inference=inference,
            options=method_options,
            settings=settings,
        )
        if isinstance(prepared.relation, Tree):
            fitted.attrs["tree"] = json.dumps(tree_to_json(prepared.relation.tree))
        return fitted

    def constant_sharing(self, prepared: Prepared) -> float | None:
        """0 where tasks share nothing, 1 where all; without features the intercept decides."""
        part = self.relation
        if not prepared.problem.features:
            part = self.intercept if isinstance(self.intercept, _RELATIONS) else Exchangeable()
        return {Independent: 0.0, Pooled: 1.0}.get(type(part))

    def log_evidence(self, data: Any) -> float:
        """Exact log marginal likelihood of the response, for fixed hyperparameters.

        Clusters are summed over all partitions of the tasks, of which there may be at most 10.

        Raises
        ------
        UnsupportedError
            When a scale or the noise is not fixed, or a mean has a prior that is not Normal; for
            clusters of more than 10 tasks.
        """
        from bayesmtl.evidence import log_evidence

        return log_evidence(self.prepare(data).problem, common_likelihood(self.likelihood))

    def prior_predictive(
        self, data: Any, *, draws: int = 500, random_seed: int | None = None
    ) -> xr.DataTree:
        """Simulate structure, weights and responses from the prior, for the rows of ``data``.

        The data set the scale of the default priors, nothing else.

        Returns
        -------
        xarray.DataTree
            Groups prior, prior_predictive, observed_data and constant_data.
        """
        from bayesmtl.prior_predictive import prior_predictive

        check_sizes(draws=draws, tune=0, chains=1, cores=None, random_seed=random_seed)
        likelihood = common_likelihood(self.likelihood)
        return prior_predictive(self.prepare(data), likelihood, draws, random_seed)

    def to_pymc(self, data: Any, *, likelihood: str = "rows") -> Any:
        """The same model as a PyMC graph.

        Parameters
        ----------
        data : data frame
        likelihood : {"rows", "sites"}
            "rows" has the response as an observed variable, for users to extend; "sites" has the
            sufficient statistics, so its cost does not depend on the number of rows.

        Returns
        -------
        pymc.Model

        Notes
        -----
        Weights are non-centred. Where the likelihood is not Gaussian, "advi", "fullrank_advi",
        "pathfinder" and "laplace" run on the same model in other variables, almost standard normal
        in the posterior.
        """
        from bayesmtl.inference.nuts import build_graph

        if likelihood not in ("rows", "sites"):
            raise InvalidModelError(f"likelihood must be 'rows' or 'sites', got {likelihood!r}")
        return build_graph(self.prepare(data), common_likelihood(self.likelihood), likelihood)

    def to_dict(self) -> dict[str, Any]:
        """The settings as a dict that JSON can hold."""
        intercept = self.intercept
        return {
            "formula": self.formula,
            "task": self.task,
            "relation": part_to_dict(self.relation),
            "likelihood": part_to_dict(self.likelihood),
            "intercept": part_to_dict(intercept)
            if isinstance(intercept, _RELATIONS)
            else intercept,
            "task_features": self.task_features,
            "weights": self.weights,
            "offset": self.offset,
            "missing": self.missing,
            "standardize": self.standardize,
        }

    @classmethod
    def from_dict(cls, spec: Mapping[str, Any]) -> Model:
        """Inverse of `to_dict`.

        Raises
        ------
        InvalidModelError
            For an unknown setting.
        """
        refuse_unknown("a model", spec, cls.__dataclass_fields__)
        for name in ("formula", "task"):
            if name not in spec:
                raise InvalidModelError(f"the settings of a model need {name!r}")
        parts = {
            key: part_from_dict(value) if isinstance(value, Mapping) else value
            for key, value in spec.items()
        }
        return cls(**parts)
