"""What plots of functions read: rows, inputs, and predictions at chosen points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from bayesmtl.data import open_frame
from bayesmtl.errors import UnsupportedError
from bayesmtl.formulas.parsing import parse_formula
from bayesmtl.frames.columns import read_column
from bayesmtl.likelihoods import Bernoulli, Binomial, Mixed, response_levels
from bayesmtl.plots.common import get_group
from bayesmtl.posterior.access import is_functional
from bayesmtl.posterior.predict import predict
from bayesmtl.posterior.rows import new_rows, refuse_unseen, task_labels, training_rows
from bayesmtl.posterior.settings import FitSettings, fit_settings

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FunctionData", "held_points", "predict_points", "read_functions"]

_MOST_PANELS = 12
_MOST_DRAWS = 500  # of which a picture is made


class FunctionData(NamedTuple):
    """Rows of the fit, and what predictions read.

    Parameters
    ----------
    features : (row, input)
    task : (row,)
    response : (row,)
        Of counts out of trials or exposure the share or rate.
    labels : (task,)
    inputs : tuple of str
    drawn : tuple of str
        Those of the inputs that functions are drawn over where none is chosen.
    held : pandas.DataFrame
        Columns (row,) that are no numbers.
    scale : (task,) or None
        Of the response, where each task has a unit of its own.
    what : str
        Name of the drawn response.
    bounds : (2,) or None
        Of a response that has them.
    """

    features: np.ndarray
    task: np.ndarray
    response: np.ndarray
    labels: np.ndarray
    inputs: tuple[str, ...]
    drawn: tuple[str, ...]
    held: pd.DataFrame
    scale: np.ndarray | None = None
    what: str = ""
    bounds: tuple[float, float] | None = None

    @property
    def most_told(self) -> np.ndarray:
        """Positions of the tasks with the most rows, at most twelve, in their order."""
        counts = np.bincount(self.task, minlength=len(self.labels))
        return np.sort(np.argsort(-counts, kind="stable")[:_MOST_PANELS])


def read_functions(idata: xr.DataTree, data: Any = None) -> FunctionData:
    """Read rows and inputs of a fit.

    Parameters
    ----------
    idata : xarray.DataTree
    data : data frame, optional
        Rows with the columns that the features were computed from.

    Raises
    ------
    UnsupportedError
        Without ``data`` for a linear model and for inputs that are computed from columns; for
        responses that are no numbers of one kind.
    """
    settings = fit_settings(idata)
    if isinstance(settings.likelihood, Mixed) or response_levels(settings.likelihood) is not None:
        raise UnsupportedError(
            "bm.plot_functions draws expected responses in numbers of one kind, and this fit has "
            "ordered levels or tasks of different kinds: draw bm.predict(idata, rows, "
            "as_frame=True) of the tasks by yourself"
        )
    found = _of_fit(idata, settings) if data is None else _of_frame(idata, settings, data)
    what, bounds = settings.response, None
    if isinstance(settings.likelihood, Bernoulli | Binomial):
        bounds = (0.0, 1.0)
    if settings.size is not None:
        what += f" / {settings.size}"
    scale = None
    if is_functional(idata):
        scale = get_group(idata, "constant_data")["response_scale"].to_numpy()
    return found._replace(scale=scale, what=what, bounds=bounds)


def _of_fit(idata: xr.DataTree, settings: FitSettings) -> FunctionData:
    """Rows of a fit of functions, whose features are columns."""
    constant = get_group(idata, "constant_data")
    if not is_functional(idata):
        raise UnsupportedError(
            "a fit of a linear model keeps features, not the columns that they were computed from: "
            "pass the rows too, bm.plot_functions(idata, data)"
        )
    inputs = tuple(str(name) for name in constant["feature"].to_numpy())
    design = settings.design
    columns = set(parse_formula(design.formula).columns) - set(design.encoding["levels"])
    computed = [name for name in inputs if name not in columns]
    if computed:
        raise UnsupportedError(
            f"the input {computed[0]!r} is computed from columns, which cannot be read back from "
            "it: pass the rows too, bm.plot_functions(idata, data)"
        )
    rows = training_rows(idata, settings)
    assert rows.response is not None
    return FunctionData(
        constant["features"].to_numpy(),
        rows.task,
        rows.response / rows.size,
        rows.tasks,
        inputs,
        inputs,
        pd.DataFrame(index=range(rows.task.size)),
    )


def _of_frame(idata: xr.DataTree, settings: FitSettings, data: Any) -> FunctionData:
    """Rows of a frame: numbers are inputs, all else is held."""
    rows = new_rows(data, idata, settings, need_response=True, need_noise=False)
    labels = task_labels(idata)
    refuse_unseen(rows, len(labels), settings.task)
    assert rows.response is not None
    parsed, learned = parse_formula(settings.design.formula), settings.design.encoding["levels"]
    factors = parsed.factors.items()
    as_levels = {name for text, part in factors if text in learned for name in part.columns}
    of_bases = {name for _, part in factors if part.basis is not None for name in part.columns}
    frame = open_frame(data)
    inputs, held = {}, {}
    for name in (*parsed.columns, *filter(None, [settings.offset])):
        column = read_column(frame, name)
        if column.kind == "number" and name not in as_levels:
            inputs[name] = column.values[rows.position]
        else:
            values = np.fromiter(frame[name].to_list(), dtype=object, count=len(frame))
            held[name] = values[rows.position]
    names = tuple(inputs)
    smooth = tuple(name for name in names if name in of_bases)
    return FunctionData(
        np.column_stack([*inputs.values()]) if inputs else np.empty((rows.task.size, 0)),
        rows.task,
        rows.response / rows.size,
        labels,
        names,
        smooth or tuple(name for name in names if name in parsed.columns),
        pd.DataFrame(held, index=range(rows.task.size)),
    )


def held_points(data: FunctionData, task: int, count: int) -> np.ndarray:
    """Points (point, input) at the medians of the rows of a task, of all rows where it has none."""
    mine = data.task == task
    rows = data.features[mine] if mine.any() else data.features
    return np.tile(np.median(rows, axis=0), (count, 1))


def predict_points(
    idata: xr.DataTree,
    data: FunctionData,
    task: int,
    points: np.ndarray,
    ci_prob: float,
    random_seed: int | None,
) -> pd.DataFrame:
    """Mean and interval of the expected response of one task, columns held at their commonest.

    Parameters
    ----------
    idata : xarray.DataTree
    data : FunctionData
    task : int
        Its place.
    points : (point, input)
    ci_prob : float
    random_seed : int or None
    """
    settings = fit_settings(idata)
    frame = pd.DataFrame(points, columns=list(data.inputs))
    mine = data.task == task
    rows = data.held[mine] if mine.any() else data.held
    for name in rows.columns:
        frame[name] = rows[name].mode(dropna=True).iloc[0]
    frame[settings.task] = data.labels[task]
    if settings.size is not None:
        frame[settings.size] = 1.0
    n_draws = idata["posterior"].sizes["chain"] * idata["posterior"].sizes["draw"]
    thinned = slice(None, None, -(-n_draws // _MOST_DRAWS))
    some = idata.isel(draw=thinned, missing_dims="ignore")
    found = predict(some, frame, as_frame=True, ci_prob=ci_prob, random_seed=random_seed)
    assert isinstance(found, pd.DataFrame)
    return found
