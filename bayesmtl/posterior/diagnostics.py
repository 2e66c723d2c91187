"""Whether the draws can be trusted: R-hat, effective sample sizes, divergences, one verdict.

A quantity whose R-hat or ESS cannot be computed fails: a broken fit must never read as a clean one.
"""

import json
import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl.errors import InvalidDataError
from bayesmtl.posterior.access import require_fit
from bayesmtl.posterior.checks import Problem, Run, find_problems, is_approximate
from bayesmtl.posterior.quantities import Quantities, check_pairs, check_variable

__all__ = ["Diagnosis", "diagnose", "diagnosis_attrs"]


class Diagnosis(NamedTuple):
    """What the draws of a fit are worth.

    `table` has one row per posterior variable, and where the tasks form clusters the row
    `coclustering`, of the pairs of tasks that are neither surely together nor surely apart. It
    says `quantities` (how many must move; the rest is constant by construction), `r_hat` (the
    largest), `ess_bulk`, `ess_tail` (the smallest; NaN if any is) and `worst` (the label of the
    quantity with the smallest bulk ESS).
    """

    verdict: str
    passed: bool
    table: pd.DataFrame
    problems: tuple[str, ...]

    def __str__(self) -> str:
        """Render the verdict above the table."""
        return f"{self.verdict}\n\n{self.table.to_string(float_format=lambda x: f'{x:.4g}')}"


def diagnose(idata: xr.DataTree) -> Diagnosis:
    """Check the draws: R-hat < 1.01, ESS >= 400 and >= 100 per chain, no divergence, E-BFMI >= 0.3.

    Parameters
    ----------
    idata : xarray.DataTree
        A fit; only its `posterior`, `sample_stats`, `clusters` and root attributes are read.

    Returns
    -------
    Diagnosis
        The verdict begins with "OK"; with "CHECK", followed by the problems and what to do; or with
        "APPROXIMATE" where no problem was found but the method is not exact and may be biased.

    Raises
    ------
    InvalidTypeError
        If `idata` is not a DataTree.
    InvalidDataError
        If there is no posterior, or one of its variables has no draws.
    """
    run = _read(idata)
    problems = find_problems(run)
    return Diagnosis(
        verdict=_verdict(run, problems),
        passed=not problems,
        table=_table(run.variables),
        problems=tuple(f"{problem.what} -> {problem.remedy}" for problem in problems),
    )


def diagnosis_attrs(idata: xr.DataTree) -> dict[str, str]:
    """Give the root attributes of a fit: `verdict`, and `diagnostics` (JSON) with the table.

    Parameters
    ----------
    idata : xarray.DataTree
        A fit, which is not changed.

    Raises
    ------
    InvalidDataError
        As `diagnose`.
    """
    diagnosis = diagnose(idata)
    rows = [
        {str(key): _json_number(value) for key, value in row.items()}
        for row in diagnosis.table.reset_index().to_dict(orient="records")
    ]
    details = {"passed": diagnosis.passed, "problems": list(diagnosis.problems), "table": rows}
    return {"verdict": diagnosis.verdict, "diagnostics": json.dumps(details, allow_nan=False)}


def _json_number(value: Any) -> Any:
    """Replace NaN and infinities, which JSON does not know, by None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read(idata: xr.DataTree) -> Run:
    """Collect what is checked."""
    require_fit(idata, "posterior")
    posterior = idata["posterior"].to_dataset()
    if not posterior.data_vars or 0 in (posterior.sizes.get("chain"), posterior.sizes.get("draw")):
        raise InvalidDataError("the group 'posterior' of the fit has no draws: fit again")
    variables = [check_variable(posterior[name]) for name in posterior.data_vars]
    if "clusters" in idata.children:
        variables.append(check_pairs(idata["clusters"].to_dataset()["assignment"]))
    stats = idata["sample_stats"].to_dataset() if "sample_stats" in idata.children else xr.Dataset()
    return Run(
        variables=variables,
        sample_stats=stats,
        inference=json.loads(idata.attrs.get("inference", "{}")),
        incomplete=bool(idata.attrs.get("incomplete", 0)),
        n_chains=posterior.sizes["chain"],
        n_draws=posterior.sizes["draw"],
    )


def _table(variables: list[Quantities]) -> pd.DataFrame:
    """Make the table of worst values, one row per variable."""
    rows = []
    for variable in variables:
        row: dict[str, Any] = {"variable": variable.name, "quantities": variable.place.size}
        empty = variable.place.size == 0
        row["r_hat"] = math.nan if empty else float(variable.r_hat.max())
        row["ess_bulk"] = math.nan if empty else float(variable.ess_bulk.min())
        row["ess_tail"] = math.nan if empty else float(variable.ess_tail.min())
        row["worst"] = "" if empty else variable.label(int(np.argmin(variable.ess_bulk)))
        rows.append(row)
    return pd.DataFrame(rows).set_index("variable")


def _verdict(run: Run, problems: list[Problem]) -> str:
    """Say in one sentence whether the draws can be used, or what is wrong and what to do."""
    size = f"({run.n_chains} chain{'s' if run.n_chains > 1 else ''} x {run.n_draws} draws)"
    method = run.inference.get("method")
    approximate = (
        f"APPROXIMATE: draws of {method}, not of the posterior" if is_approximate(run) else ""
    )
    points = run.inference.get("point_estimates")
    if points and approximate:
        approximate += f", with point estimates of {', '.join(points)}"
    if run.inference.get("factorised"):
        approximate += ", the weights of the tasks taken as independent of each other"
    if problems:
        whats = "; ".join(problem.what for problem in problems)
        remedies = "; ".join(dict.fromkeys(problem.remedy for problem in problems))
        return f"CHECK: {approximate and approximate + '; '}{whats} {size} -> {remedies}"
    if approximate:
        return f"{approximate}; {_closeness(run)} {size}"
    given = f", given point estimates of {', '.join(points)}" if points else ""
    return f"OK: {_summary(run)} {size}{given}"


def _closeness(run: Run) -> str:
    """State how close an approximation is."""
    parts = []
    if run.inference.get("pareto_k") is not None:
        parts.append(f"k-hat {run.inference['pareto_k']:.2f}")
    if "drift" in run.inference:
        change = run.inference["drift"]["co_clustering"]
        parts.append(f"Gibbs sweeps change co-clustering by {change:.2f}")
    if "correlation_drift" in run.inference:
        change = run.inference["correlation_drift"]
        parts.append(f"Gibbs sweeps change correlations by {change:.2f}")
    return ", ".join(parts)


def _summary(run: Run) -> str:
    """State the worst values, each rounded to the bad side."""
    some = [variable for variable in run.variables if variable.place.size]
    if not some:
        return "nothing to estimate, everything is fixed"
    r_hat = math.ceil(1000 * max(float(variable.r_hat.max()) for variable in some)) / 1000
    bulk = math.floor(min(float(variable.ess_bulk.min()) for variable in some))
    tail = math.floor(min(float(variable.ess_tail.min()) for variable in some))
    parts = [f"R-hat <= {r_hat:.3f}", f"bulk ESS >= {bulk:,}", f"tail ESS >= {tail:,}"]
    if "diverging" in run.sample_stats:
        parts.append("no divergences")
    return ", ".join(parts)
