"""Tasks that stand out in a fit: those that differ most, and those that are known least."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl.frames.labels import label_texts
from bayesmtl.posterior.access import common_units

__all__ = ["standout_tasks"]

_MAX_VALUES = 20_000_000  # of weights that are read at once; more draws than that are thinned


class _Coefficients(NamedTuple):
    """Draws of the predictors' coefficients, intercept at the centre of the features first."""

    names: list[str]
    draws: np.ndarray  # (draw, task, coefficient)
    moment: np.ndarray  # (coefficient, coefficient), pooled second moment of what they multiply


def standout_tasks(idata: xr.DataTree, n_listed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """List the tasks that differ most from the others, and those that the data say least about.

    Parameters
    ----------
    idata
        A fit.
    n_listed
        Most tasks in each list.

    Returns
    -------
    pandas.DataFrame
        The surest differences first: ``task``, ``rows``, ``difference`` and ``at_least``
        (posterior mean and 5% bound of the difference, averaged over the other tasks, or over the
        nearest ones where only they are kept), ``mainly`` (the coefficient that is furthest from
        the average task). Empty for a single task.
    pandas.DataFrame
        The least certain first: ``task``, ``rows``, ``sd`` (posterior sd of the predictor over
        the pooled features) and ``borrowing`` (share of the task's
        estimate that comes from the other tasks).

    Where the weights are not stored, ``mainly`` and ``sd`` are absent.
    """
    posterior = idata["posterior"].to_dataset()
    posterior, data = common_units(posterior, idata["constant_data"].to_dataset())
    facts = pd.DataFrame({"task": label_texts(data["task"]), "rows": data["n_rows"].to_numpy()})
    coefficients = None
    if "weights" in posterior or "feature" not in data.dims:
        coefficients = _coefficients(posterior, data)
    return (
        _different(idata["task_relations"].to_dataset(), coefficients, facts, n_listed),
        _uncertain(posterior, coefficients, facts, n_listed),
    )


def _different(
    relations: xr.Dataset, coefficients: _Coefficients | None, facts: pd.DataFrame, n_listed: int
) -> pd.DataFrame:
    if len(facts) == 1:
        return facts.iloc[:0]
    table = facts.copy()
    if "difference" in relations:
        values, other = relations["difference"], "task_bis"
        n_others = len(facts) - 1
    else:
        values, other = relations["nearest_difference"], "neighbour"
        n_others = values.sizes["neighbour"]
    for name, statistic in (("difference", "mean"), ("at_least", "lower")):
        table[name] = values.sel(statistic=statistic).sum(other).to_numpy() / n_others
    if coefficients is not None:
        table["mainly"] = _largest_deviation(coefficients)
    return table.nlargest(n_listed, ["at_least", "difference"]).reset_index(drop=True)


def _uncertain(
    posterior: xr.Dataset, coefficients: _Coefficients | None, facts: pd.DataFrame, n_listed: int
) -> pd.DataFrame:
    table = facts.copy()
    if coefficients is not None:
        values, vectors = np.linalg.eigh(coefficients.moment)
        root = vectors * np.sqrt(np.clip(values, 0.0, None))
        table["sd"] = np.sqrt((coefficients.draws @ root).var(0).sum(-1))
    if "borrowing" in posterior:
        table["borrowing"] = posterior["borrowing"].mean(("chain", "draw")).to_numpy()
    order = [name for name in ("sd", "borrowing") if name in table]
    return table.nlargest(n_listed, order).reset_index(drop=True) if order else table.iloc[:0]


def _coefficients(posterior: xr.Dataset, data: xr.Dataset) -> _Coefficients:
    """Collect draws, thinned where there are too many, of what the predictors consist of."""
    from scipy.linalg import block_diag

    n_chains, n_draws = posterior.sizes["chain"], posterior.sizes["draw"]
    size = n_chains * data.sizes["task"] * (1 + data.sizes.get("feature", 0))
    thinned = posterior.isel(draw=slice(None, None, max(1, -(-n_draws * size // _MAX_VALUES))))
    names: list[str] = []
    parts: list[np.ndarray] = []
    moments: list[np.ndarray] = []
    if "intercept" in thinned:
        centred = thinned["intercept"]
        if "weights" in thinned:
            centred = centred + (thinned["weights"] * data["feature_center"]).sum("feature")
        names.append("Intercept")
        parts.append(centred.transpose("chain", "draw", "task").to_numpy()[..., None])
        moments.append(np.ones((1, 1)))
    if "weights" in thinned:
        names += label_texts(thinned["feature"])
        weights = thinned["weights"].transpose("chain", "draw", "task", "feature")
        parts.append(weights.to_numpy())
        moments.append(data["second_moment"].to_numpy())
    draws = np.concatenate(parts, axis=-1)
    return _Coefficients(names, draws.reshape(-1, *draws.shape[2:]), block_diag(*moments))


def _largest_deviation(coefficients: _Coefficients) -> list[str]:
    """Name the coefficient by which each task is furthest from the average task."""
    means = coefficients.draws.mean(0)
    average = means.mean(0)
    effect = np.abs(means - average) * np.sqrt(np.diag(coefficients.moment))
    return [
        f"{coefficients.names[k]} {means[t, k]:.3g} (average {average[k]:.3g})"
        for t, k in enumerate(effect.argmax(1))
    ]
