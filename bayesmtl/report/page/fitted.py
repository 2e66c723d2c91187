"""Predictions of the rows that were fitted, beside what was observed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl.posterior.access import is_functional, stored_likelihoods
from bayesmtl.posterior.predict import predict
from bayesmtl.report.page.packing import json_number, pack
from bayesmtl.report.page.tasks import PageTasks, group_or_empty

__all__ = ["fitted_values"]

_MOST_ROWS, _MOST_DRAWS = 20_000, 400
_SHOWN_ROWS = 2_500
_BINS = 10
_NEEDED = ("posterior", "constant_data", "observed_data")
_READ = (*_NEEDED, "sites", "clusters", "task_relations")


class _Rows(NamedTuple):
    """Rows of numbers, in the order of the user's frame."""

    task: np.ndarray
    observed: np.ndarray
    expected: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def fitted_values(idata: xr.DataTree, tasks: PageTasks) -> dict[str, Any]:
    """Compare observed with expected responses, by row and by task.

    At most 20,000 rows, evenly spaced, and 400 draws are used.

    Parameters
    ----------
    idata
        A fit of a linear model or of functions.
    tasks
        Of the page.

    Returns
    -------
    dict
        ``rows`` and ``by_task`` (packed ``observed`` and ``expected``); ``bins`` of a yes-or-no
        response instead of rows; ``levels`` (label, observed and expected share) of grades;
        ``inside``, the share of rows in their 90% interval; ``notes``. A missing group: a note
        alone.
    """
    missing = [name for name in _NEEDED if name not in idata.children]
    if missing:
        return {"notes": [f"The fit lacks the group {missing[0]}, which predictions read."]}
    fit, notes = _smaller(idata)
    if fit is None:
        return {"notes": notes}
    expected = _frame(fit, "response_params")
    constant = fit["constant_data"].to_dataset()
    order = np.argsort(constant["row_position"].to_numpy(), kind="stable")
    task = constant["task_index"].to_numpy()[order]
    observed = next(iter(fit["observed_data"].to_dataset().data_vars.values())).to_numpy()[order]
    out: dict[str, Any] = {"notes": notes}
    levels = [name for name in expected if name.startswith("P(")]
    if levels:
        whole = "mean" in expected
        out["levels"] = [] if whole else _levels(expected, observed, levels)
        if not whole:
            return out
        notes.append("Tasks whose response is a grade are left out.")
    known = np.isfinite(expected["mean"].to_numpy())
    spread = _frame(fit, "response")
    parts = [expected["mean"], spread["lower"], spread["upper"]]
    values = [part.to_numpy()[known] for part in parts]
    rows = _Rows(task[known], observed[known].astype(np.float64), *values)
    return out | _compare(rows, tasks, yes_or_no=_yes_or_no(fit))


def _frame(fit: xr.DataTree, kind: Any) -> pd.DataFrame:
    found = predict(fit, kind=kind, as_frame=True, random_seed=0)
    assert isinstance(found, pd.DataFrame)
    return found


def _smaller(idata: xr.DataTree) -> tuple[xr.DataTree | None, list[str]]:
    """Fewer draws, and fewer rows where there are very many."""
    # Other groups may be of other rows, as the predictions of new ones.
    groups = {name: idata[name].to_dataset() for name in _READ if name in idata.children}
    idata = xr.DataTree.from_dict({"/": idata.to_dataset(), **groups})
    sizes = idata["posterior"].sizes
    step = max(1, -(-sizes["chain"] * sizes["draw"] // _MOST_DRAWS))
    n_rows = idata["constant_data"].sizes["obs"]
    thinned = idata.isel(draw=slice(step - 1, None, step), missing_dims="ignore")
    if n_rows <= _MOST_ROWS:
        return thinned, []
    if is_functional(idata):
        # Functions are conditioned on all rows: some of them would give another answer.
        return None, [f"With {n_rows:,} rows predictions are not shown: use bm.predict(idata)."]
    picks = np.linspace(0, n_rows - 1, _MOST_ROWS).astype(int)
    note = f"Of {n_rows:,} rows, {_MOST_ROWS:,} evenly spaced ones are used."
    return thinned.isel(obs=picks, missing_dims="ignore"), [note]


def _levels(expected: pd.DataFrame, observed: np.ndarray, names: list[str]) -> list[list[Any]]:
    """Label, observed and expected share of each level."""
    seen = pd.Series([_level_text(value) for value in observed.tolist()])
    labels = [name[2:-1] for name in names]
    return [
        [label, json_number(float((seen == label).mean()), 3), json_number(float(share), 3)]
        for label, share in zip(labels, expected[names].mean(), strict=True)
    ]


def _level_text(value: Any) -> str:
    """A level as predictions name it: whole numbers without a point."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _yes_or_no(fit: xr.DataTree) -> bool:
    """Whether what is expected of a row, unless it is a grade, is a probability."""
    kinds = {one.get("type", "Gaussian") for one in stored_likelihoods(fit)}
    if not kinds <= {"Bernoulli", "Binomial", "Ordinal"}:
        return False
    trials = group_or_empty(fit, "constant_data").get("trials")
    return "Binomial" not in kinds or (trials is not None and bool((trials == 1).all()))


def _compare(rows: _Rows, tasks: PageTasks, *, yes_or_no: bool) -> dict[str, Any]:
    on_page = np.full(tasks.n_all, -1)
    on_page[tasks.places] = np.arange(len(tasks.places))
    by_task = {}
    counts = np.bincount(rows.task, minlength=tasks.n_all).astype(np.float64)
    for name in ("observed", "expected"):
        total = np.bincount(rows.task, getattr(rows, name), tasks.n_all)
        mean = np.divide(total, counts, out=np.full(tasks.n_all, np.nan), where=counts > 0)
        by_task[name] = pack(mean[tasks.places])
    out: dict[str, Any] = {"by_task": by_task}
    if yes_or_no:
        return out | {"bins": _bins(rows.observed, rows.expected)}
    inside = (rows.observed >= rows.lower) & (rows.observed <= rows.upper)
    picks = np.linspace(0, len(rows.task) - 1, min(len(rows.task), _SHOWN_ROWS)).astype(int)
    picks = picks[on_page[rows.task[picks]] >= 0]
    out["rows"] = {
        "task": on_page[rows.task[picks]].tolist(),
        "observed": pack(rows.observed[picks]),
        "expected": pack(rows.expected[picks]),
    }
    return out | {"inside": json_number(float(inside.mean()), 3), "n": len(rows.task)}


def _bins(observed: np.ndarray, expected: np.ndarray) -> list[list[Any]]:
    """Rows of similar probability: how many, mean probability, and share of ones."""
    order = np.argsort(expected, kind="stable")
    parts = [part for part in np.array_split(order, _BINS) if part.size]
    return [
        [
            int(part.size),
            json_number(float(expected[part].mean()), 3),
            json_number(float(observed[part].mean()), 3),
        ]
        for part in parts
    ]
