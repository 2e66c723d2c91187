"""Reading the summaries of a fit."""

from __future__ import annotations

import xarray as xr

from bayesmtl.errors import InvalidDataError

__all__ = ["task_relations"]


def task_relations(idata: xr.DataTree) -> xr.Dataset:
    """How the tasks relate: label-free posterior summaries, computed when the model was fitted.

    Parameters
    ----------
    idata : xarray.DataTree
        A fit.

    Returns
    -------
    xarray.Dataset
        ``difference`` and, where it is identified, ``correlation`` (task, task_bis, statistic);
        ``sharing`` (statistic); ``borrowing`` (task, statistic). Statistics are mean, sd, the ends
        of the 90% interval and, where signed, P(> 0).

    Raises
    ------
    InvalidDataError
        When ``idata`` is no fit of this package.
    """
    if "task_relations" not in idata.children:
        raise InvalidDataError("no group 'task_relations': pass what model.fit or bm.load returned")
    return idata["task_relations"].to_dataset()
