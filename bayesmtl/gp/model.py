"""The model: tasks are functions, and the relation is their covariance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral
from typing import Any

import xarray as xr

from bayesmtl.errors import InvalidModelError, UnsupportedError
from bayesmtl.fitting import run_settings
from bayesmtl.formulas.parsing import parse_formula, parse_response
from bayesmtl.gp.data import FunctionProblem, read_functions
from bayesmtl.gp.story import function_story
from bayesmtl.keys import refuse_unknown
from bayesmtl.likelihoods import LIKELIHOODS, Ordinal
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.numerics.kernels import KERNELS
from bayesmtl.priors import Prior
from bayesmtl.relations.matrices import FixedMatrix, as_matrix, matrix_from_json, matrix_to_json
from bayesmtl.relations.settings import clean, from_json, require_support, to_json
from bayesmtl.specification import part_from_dict, part_to_dict

__all__ = ["MultiTaskGP"]

MODEL = "MultiTaskGP"
_COMPONENTS = 2
_HYPERPARAMETERS = ("lengthscale", "noise_sd", "intercept")


@dataclass(frozen=True)
class MultiTaskGP:
    """Tasks that are functions: ``y_i ~ Normal(a_t + f_t(x_i), noise_t)``, row i of task t.

    The functions are Gaussian processes, ``cov(f_t(x), f_s(x')) = B_ts k(x, x')``, k a kernel of
    variance one, so that B is the covariance of the tasks (intrinsic coregionalization). Its
    correlations, which may be negative, say how tasks relate. Tasks may be observed at the same
    inputs or at different ones, in different units.

    Parameters
    ----------
    formula : str
        ``"y ~ x1 + x2"``: the right side holds the inputs; ``"y ~ 0 + x1 + x2"`` has no intercepts.
    task : str
        Column that names the task.
    kernel : {"matern52", "matern32", "matern12", "rbf"}
        Matern of smoothness 5/2, 3/2 or 1/2, or squared exponential.
    coregionalization : {"icm", "lmc"}
        "icm": one kernel. "lmc": a sum of ``components`` kernels with length-scales and covariances
        of their own; B is then the sum of these covariances.
    rank : int, optional
        ``B = A A' + diag(psi)``; u_t is about the sd of the task's response. Under "icm" at most so
        many factors, their number learned, with the prior of ``MatrixNormal("low_rank")`` in units
        of u_t; under "lmc" so many in each kernel, ``A_th ~ Normal(0, u_t / sqrt(rank))``,
        ``sqrt(psi_t) ~ HalfNormal(0.5 u_t)``. By default up to 12 tasks a full B, with the prior of
        Huang and Wand (2013): sds half-t(2) of scale u_t, correlations uniform; of more tasks 3
        factors. "svgp" has no psi, and by default as many factors as tasks, at most 8.
    components : int
        Of "lmc".
    task_covariance : (task, task) matrix, optional
        B where it is known: an array in the order of the sorted task labels, or a frame labelled by
        tasks, some of which may have no rows. For "icm".
    lengthscale : Prior, float, array or {input: Prior or float}
        Of each input; default LogNormal with median 0.3 sqrt(number of inputs) ranges of the input
        and sd 1 on the log scale.
    noise : {"task", "shared"}
        One noise sd for each task, or one for all.
    noise_sd : Prior, float, array or {task: Prior or float}
        Default LogNormal with median 0.3 u_t and sd 1.5 on the log scale.
    intercept : Prior or float, optional
        Normal prior, or value, of a_t. Default Normal(mean of the task's response, u_t); 0 where
        `task_covariance` is given, the law of the functions being known then.
    likelihood : Gaussian, StudentT, Bernoulli, Binomial, Poisson or NegativeBinomial
        All of "gibbs"; "nuts" and "map" take Gaussian, whose noise is that of ``noise`` and
        ``noise_sd``; "svgp" Gaussian, Bernoulli and Poisson. Elsewhere functions are of the
        predictor, u_t = 1 (StudentT: the pooled sd).
    missing : {"error", "drop"}

    Raises
    ------
    InvalidModelError
        For settings that are wrong or exclude each other.

    References
    ----------
    Bonilla, Chai and Williams 2007, NeurIPS 20; Alvarez, Rosasco and Lawrence 2012, Found. Trends
    Mach. Learn. 4.

    Examples
    --------
    >>> import bayesmtl as bm
    >>> model = bm.MultiTaskGP("ppm ~ Xloc + Yloc", task="metal", kernel="matern32")
    >>> idata = model.fit(soil, random_seed=1)  # doctest: +SKIP
    """

    formula: str
    task: str
    kernel: str = "matern52"
    coregionalization: str = "icm"
    rank: Any = None
    components: int = _COMPONENTS
    task_covariance: Any = None
    lengthscale: Any = None
    noise: str = "task"
    noise_sd: Any = None
    intercept: Any = None
    likelihood: Any = field(default_factory=Gaussian)
    missing: str = "error"

    def __post_init__(self) -> None:
        parse_response(self.formula)
        if not isinstance(self.task, str):
            raise InvalidModelError(f"task must be the name of a column, got {self.task!r}")
        choices = {
            "kernel": KERNELS,
            "coregionalization": ("icm", "lmc"),
            "noise": ("task", "shared"),
            "missing": ("error", "drop"),
        }
        for name, words in choices.items():
            if getattr(self, name) not in words:
                raise InvalidModelError(
                    f"{name} must be one of {', '.join(map(repr, words))}, got "
                    f"{getattr(self, name)!r}"
                )
        self._check_covariance()
        for name in ("lengthscale", "noise_sd"):
            value = clean(getattr(self, name), f"MultiTaskGP {name}")
            require_support(value, f"MultiTaskGP {name}", 0.0)
            _require_positive(value, name)
            object.__setattr__(self, name, value)
        if self.noise == "shared" and isinstance(self.noise_sd, Mapping | tuple):
            raise InvalidModelError("noise_sd of noise='shared' must be one prior or number")
        self._check_intercept()
        self._check_likelihood()

    def _check_likelihood(self) -> None:
        allowed = tuple(one for one in LIKELIHOODS if one is not Ordinal)
        if not isinstance(self.likelihood, allowed):
            names = ", ".join(f"bm.{one.__name__}()" for one in allowed)
            raise InvalidModelError(f"likelihood must be one of {names}, got {self.likelihood!r}")
        if isinstance(self.likelihood, Gaussian):
            if self.likelihood != Gaussian():
                raise InvalidModelError(
                    f"the noise of MultiTaskGP is set by noise= and noise_sd=, got "
                    f"likelihood={self.likelihood!r}"
                )
        elif self.noise_sd is not None or self.noise != "task":
            raise InvalidModelError(
                f"noise= and noise_sd= go with bm.Gaussian(), not with {self.likelihood!r}"
            )
        elif isinstance(self.intercept, float):
            raise InvalidModelError(
                "intercept must be a Normal prior or None where the likelihood is not bm.Gaussian()"
            )

    def _check_covariance(self) -> None:
        for name, least in (("rank", 1), ("components", 1)):
            value = getattr(self, name)
            if name == "rank" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
                raise InvalidModelError(f"{name} must be a positive integer, got {value!r}")
            object.__setattr__(self, name, int(value))
        if self.task_covariance is None:
            return
        if self.coregionalization == "lmc" or self.rank is not None:
            raise InvalidModelError(
                "task_covariance= gives B itself: it goes with coregionalization='icm' and without "
                "rank="
            )
        matrix = as_matrix(self.task_covariance, "MultiTaskGP task_covariance")
        object.__setattr__(self, "task_covariance", matrix)

    def _check_intercept(self) -> None:
        value = clean(self.intercept, "MultiTaskGP intercept")
        normal = isinstance(value, Prior) and value.family == "Normal"
        if not (value is None or isinstance(value, float) or normal):
            raise InvalidModelError(
                "intercept must be a Normal prior, a number or None, got "
                f"{self.intercept!r}; '0 + ...' in the formula leaves intercepts out"
            )
        if value is not None and not parse_formula(self.formula).intercept:
            raise InvalidModelError(
                f"the formula {self.formula!r} has no intercepts, but intercept={value!r} sets "
                "their prior: drop '0 +' from the formula, or leave intercept= out"
            )
        object.__setattr__(self, "intercept", value)

    def __str__(self) -> str:
        return function_story(self)

    @property
    def n_components(self) -> int:
        """Number of kernels."""
        return self.components if self.coregionalization == "lmc" else 1

    def to_dict(self) -> dict[str, Any]:
        """The settings as a dict that JSON can hold."""
        out: dict[str, Any] = {"type": MODEL}
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name == "likelihood":
                value = part_to_dict(value)
            elif isinstance(value, FixedMatrix):
                value = matrix_to_json(value)
            elif one.name in _HYPERPARAMETERS:
                value = to_json(value)
            out[one.name] = value
        return out

    @classmethod
    def from_dict(cls, spec: Mapping[str, Any]) -> MultiTaskGP:
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
        refuse_unknown(MODEL, settings, (one.name for one in fields(cls)))
        for name in ("formula", "task"):
            if name not in settings:
                raise InvalidModelError(f"the settings of {MODEL} need {name!r}")
        return cls(**{name: _from_json(name, value) for name, value in settings.items()})

    def prepare(self, data: Any) -> FunctionProblem:
        """Read the data and put them together with the prior.

        Raises
        ------
        InvalidDataError, InvalidModelError
            See the messages: each names the column, task or value and what to do.
        """
        return read_functions(self, data)

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
        inference : {"gibbs", "nuts", "map", "svgp"}
            "gibbs": the functions are weighted sums of a basis, whose weights are integrated out
            and drawn: fast, for any number of rows, and as exact as the basis is fine. "nuts": no
            basis; for up to about 2,000 rows, or so many inputs at which all tasks are observed.
            "map": draws of the normal approximation at the mode of the hyperparameters, of whose
            fit the Pareto k tells. "svgp": a normal approximation of the functions at inducing
            points, found by PyTorch in minibatches of rows, on a GPU where there is one; for any
            number of rows and inputs, with point estimates of everything else.
        draws, tune, chains : int
        cores : int, optional
            Chains that run at the same time; all available processors by default.
        random_seed : int, optional
        progressbar : bool
        **options
            Of the method: ``basis_size`` of "gibbs", functions of each input, an integer or
            {input: integer}; by default as many as the length-scales need. Of more than three
            inputs the basis is of covariances with some rows, length-scales fixed at a point
            estimate, and ``basis_size`` the number of these rows. Of "svgp" those of
            `bayesmtl.gp.sparse.SparseSettings`, such as ``n_inducing`` and ``epochs``.

        Returns
        -------
        xarray.DataTree
            Groups posterior, sample_stats, observed_data, constant_data and task_relations.

        Raises
        ------
        InvalidDataError, InvalidModelError
        UnsupportedError
            When the method does not work for the model or so many rows.

        Warns
        -----
        BayesMTLWarning
            When the diagnostics are not passed, with their verdict.
        """
        from bayesmtl.gp.fitting import run

        settings = run_settings(
            draws=draws,
            tune=tune,
            chains=chains,
            cores=cores,
            random_seed=random_seed,
            progressbar=progressbar,
        )
        problem = self.prepare(data)
        return run(
            problem,
            self.likelihood,
            self.to_dict(),
            inference=inference,
            options=options,
            settings=settings,
        )

    def log_evidence(self, data: Any) -> float:
        """Exact log marginal likelihood of the response, for fixed hyperparameters, user units.

        Raises
        ------
        InvalidDataError
            When rows of nearly equal inputs and almost no noise make their covariance singular.
        UnsupportedError
            When the covariance of the tasks, a length-scale or a noise sd is not fixed; for a
            likelihood that is not Gaussian.
        """
        from bayesmtl.gp.evidence import log_evidence

        if not isinstance(self.likelihood, Gaussian):
            raise UnsupportedError(
                f"log_evidence is exact for a Gaussian likelihood only, not for {self.likelihood!r}"
            )
        return log_evidence(self.prepare(data))


def _require_positive(value: Any, name: str) -> None:
    entries = value.values() if isinstance(value, Mapping) else value
    entries = entries if isinstance(value, Mapping | tuple) else [value]
    for entry in entries:
        if isinstance(entry, float) and not entry > 0.0:
            raise InvalidModelError(f"MultiTaskGP {name} must be positive, got {entry:g}")


def _from_json(name: str, value: Any) -> Any:
    if name == "likelihood" and isinstance(value, Mapping):
        return part_from_dict(value)
    if name == "task_covariance" and isinstance(value, Mapping):
        return matrix_from_json(value)
    return from_json(value) if name in _HYPERPARAMETERS else value
