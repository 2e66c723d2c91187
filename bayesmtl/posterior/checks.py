"""What can be wrong with the draws of a fit, each with the worst quantities and what to do."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayesmtl.inference.support import EXACT
from bayesmtl.posterior.quantities import Quantities

__all__ = ["Problem", "Run", "find_problems", "is_approximate"]

R_HAT_LIMIT = 1.01
ESS_LIMIT = 400  # in all chains together
ESS_LIMIT_PER_CHAIN = 100
E_BFMI_LIMIT = 0.3
PARETO_K_LIMIT = 0.7
# Its draws are those of a Markov chain all the same.
MARKOV = "laplace_sites"
# Of the log-likelihood over its approximation, of one task.
CORRECTION_LIMIT = 0.5
# Changes under Gibbs sweeps: of the mean number of clusters, beyond twice its error, and of the
# probability that two tasks are together.
N_CLUSTERS_LIMIT, CO_CLUSTERING_LIMIT = 0.5, 0.1
# Root mean square change of correlations of tasks under Gibbs sweeps.
CORRELATION_LIMIT = 0.1
NAMED = 3  # variables named in one problem
HOPELESS = 20  # times more draws than this is no advice
BROKEN = "do not use this fit: look for extreme values in the data"


class Problem(NamedTuple):
    """What is wrong, and what to do."""

    what: str
    remedy: str


class Run(NamedTuple):
    """What is checked: the quantities, and how they were drawn."""

    variables: list[Quantities]
    sample_stats: xr.Dataset
    inference: dict[str, Any]
    incomplete: bool
    n_chains: int
    n_draws: int


class _Bad(NamedTuple):
    """Quantities beyond a limit: the worst of the worst variables, and how many there are."""

    worst: list[tuple[str, float]]
    total: int

    def names(self) -> str:
        return ", ".join(name for name, _ in self.worst)


def find_problems(run: Run) -> list[Problem]:
    """List what is wrong with the draws, the gravest first; empty if nothing is."""
    problems = _unfinished(run) + _not_finite(run)
    if is_approximate(run):
        problems += _approximation(run)
        if run.inference["method"] != MARKOV:
            return problems
    return problems + _stuck(run) + _one_chain(run) + _mixing(run) + _trajectories(run)


def is_approximate(run: Run) -> bool:
    """Tell whether the draws come from an approximation of the posterior."""
    method = run.inference.get("method")
    return method is not None and method not in EXACT


def _find(run: Run, badness: Callable[[Quantities], np.ndarray], limit: float) -> _Bad:
    """Find quantities whose badness is above the limit; NaN is not."""
    worst, count = [], 0
    for variable in run.variables:
        values = badness(variable)
        bad = np.flatnonzero(values > limit)
        count += bad.size
        if bad.size:
            first = int(bad[np.argmax(values[bad])])
            worst.append((variable.label(first), float(values[first])))
    worst.sort(key=lambda item: -item[1])
    return _Bad(worst[:NAMED], count)


def _unfinished(run: Run) -> list[Problem]:
    """Report a fit that was interrupted."""
    if not run.incomplete:
        return []
    asked = run.inference.get("draws", "the")
    what = f"the fit is incomplete: interrupted after {run.n_draws} of {asked} draws per chain"
    return [Problem(what, "fit again, to the end")]


def _not_finite(run: Run) -> list[Problem]:
    """Report NaN and infinite draws."""
    problems = []
    bad = _find(run, lambda variable: np.where(variable.finite, 0.0, 1.0), 0.5)
    if bad.total:
        problems.append(
            Problem(f"NaN or infinite draws of {bad.names()} ({bad.total} in all)", BROKEN)
        )
    if "lp" in run.sample_stats:
        n_broken = int((~np.isfinite(run.sample_stats["lp"].to_numpy())).sum())
        if n_broken:
            what = f"the log density is NaN or infinite in {n_broken} draws"
            problems.append(Problem(what, BROKEN))
    return problems


def _approximation(run: Run) -> list[Problem]:
    """Report an approximation whose error is large or unknown."""
    pareto_k = run.inference.get("pareto_k")
    remedy = "compare with inference='gibbs' or 'nuts'"
    drift = run.inference.get("drift")
    problems = _drift(drift) if drift else []
    problems += _correlation_drift(run.inference.get("correlation_drift", 0.0))
    if pareto_k is None and not drift:
        unknown = Problem("how far it is from the posterior is not known (no k-hat)", remedy)
        return [unknown, *problems]
    if pareto_k is not None and not pareto_k <= PARETO_K_LIMIT:
        what = f"it is far from the posterior (k-hat {pareto_k:.2f} > 0.7)"
        return [Problem(what, remedy), *problems]
    spread = run.inference.get("correction_sd", 0.0)
    if spread > CORRECTION_LIMIT:
        task = run.inference["worst_task"]
        what = f"the site of task {task} misses its log-likelihood by an sd of {spread:.2f} (> 0.5)"
        return [Problem(what, remedy)]
    return problems


def _drift(drift: dict[str, float]) -> list[Problem]:
    """Report partitions that Gibbs sweeps lead away from."""
    before, after, together = (
        drift[name] for name in ("n_clusters", "n_clusters_after", "co_clustering")
    )
    allowed = N_CLUSTERS_LIMIT + 2.0 * drift["standard_error"]
    if abs(after - before) <= allowed and together <= CO_CLUSTERING_LIMIT:
        return []
    what = (
        f"its partitions are too sure: a few Gibbs sweeps lead from {before:.1f} to {after:.1f} "
        f"clusters on average and change the probability that two tasks are together by "
        f"{together:.2f}"
    )
    return [Problem(what, "use inference='gibbs' for the clusters")]


def _correlation_drift(drift: float) -> list[Problem]:
    """Report correlations of tasks that Gibbs sweeps lead away from."""
    if drift <= CORRELATION_LIMIT:
        return []
    what = f"a few Gibbs sweeps change the correlations of its tasks by {drift:.2f}"
    return [Problem(what, "use inference='gibbs' for the correlations")]


def _stuck(run: Run) -> list[Problem]:
    """Report quantities of which all draws are equal, or too few to tell."""
    bad = _find(run, lambda v: np.where(v.finite & np.isnan(v.ess_bulk), 1.0, 0.0), 0.5)
    if not bad.total:
        return []
    what = f"R-hat and ESS cannot be computed for {bad.names()} ({bad.total} in all)"
    return [Problem(f"{what}: the draws do not move", "do not use these; fit with more draws")]


def _one_chain(run: Run) -> list[Problem]:
    """Report that a single chain cannot be compared with others."""
    if run.n_chains > 1:
        return []
    return [Problem("R-hat is not available with one chain", "run chains=4")]


def _mixing(run: Run) -> list[Problem]:
    """Report chains that disagree, and effective sample sizes that are too small."""
    needed = max(ESS_LIMIT, ESS_LIMIT_PER_CHAIN * run.n_chains)
    kinds: tuple[tuple[str, Callable[[Quantities], np.ndarray]], ...] = (
        ("bulk", lambda variable: -variable.ess_bulk),
        ("tail", lambda variable: -variable.ess_tail),
    )
    found, times = [], 0.0
    apart = _find(run, lambda variable: variable.r_hat, np.nextafter(R_HAT_LIMIT, 0))
    if apart.total:
        # Chains of a discrete quantity that never meet have an R-hat without any bound.
        texts = [(name, f"{r:.3f}" if r < 100 else "above 100") for name, r in apart.worst]
        worst = ", ".join(f"{text} for {name}" for name, text in texts)
        found.append(f"R-hat {worst} ({apart.total} not below {R_HAT_LIMIT})")
        times = 2.0
    for kind, badness in kinds:
        bad = _find(run, badness, -needed)
        if bad.total:
            worst = ", ".join(f"{-value:.0f} for {name}" for name, value in bad.worst)
            found.append(f"{kind} ESS {worst} ({bad.total} below {needed})")
            times = max(times, 1.2 * needed / -bad.worst[0][1])
    draws = math.ceil(times * run.n_draws / 500) * 500
    remedy = f"run longer, as tune={draws // 2}, draws={draws}"
    if times > HOPELESS:
        remedy = "run much longer, or set tighter priors: the data hardly inform these quantities"
    return [Problem(what, remedy) for what in found]


def _trajectories(run: Run) -> list[Problem]:
    """Report divergences and low E-BFMI, where the sampler records them."""
    problems = []
    if "diverging" in run.sample_stats:
        count = int(run.sample_stats["diverging"].to_numpy().sum())
        if count:
            what = f"{count} divergence{'s' if count > 1 else ''}"
            problems.append(Problem(what, "inference='gibbs', or a higher target_accept"))
    if "energy" in run.sample_stats:
        energy = run.sample_stats["energy"].transpose("chain", "draw").to_numpy()
        e_bfmi = np.mean(np.diff(energy) ** 2, axis=1) / energy.var(axis=1, ddof=1)
        low = [str(chain) for chain in np.flatnonzero(~(e_bfmi >= E_BFMI_LIMIT))]
        if low:
            what = f"E-BFMI {np.min(e_bfmi):.2f} < {E_BFMI_LIMIT} (chain {', '.join(low)})"
            problems.append(Problem(what, "inference='gibbs', or a longer tune"))
    return problems
