"""Predictor and noise of rows, draw by draw: a_t + x'w_t + offset, in blocks of rows."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import xarray as xr

from bayesmtl.errors import UnsupportedError
from bayesmtl.likelihoods import Gaussian, Likelihood, Mixed
from bayesmtl.likelihoods.groups import mixed_blocks, row_likelihood
from bayesmtl.likelihoods.mixed import partition_tasks
from bayesmtl.likelihoods.parameters import read_parameters
from bayesmtl.likelihoods.protocol import Predicted
from bayesmtl.likelihoods.rows import ParameterBlock
from bayesmtl.posterior.access import require_all_tasks
from bayesmtl.posterior.redraw_task import redraw_task
from bayesmtl.posterior.rows import PredictorRows

__all__ = [
    "Block",
    "TaskDraws",
    "TaskKind",
    "check_size",
    "known_tasks",
    "predictor_blocks",
    "shared_parameters",
    "stack_draws",
    "task_kinds",
]

BLOCK_BYTES = 2 * 2**20  # stays in the cache of a core
MAX_RESULT_BYTES = 8 * 2**30


class TaskDraws(NamedTuple):
    """Draws of what the rows of one task need."""

    intercept: np.ndarray  # (sample,) at x = 0
    weights: np.ndarray  # (sample, feature)
    noise_sd: np.ndarray | None  # (sample,); None with known standard errors
    parameters: np.ndarray | None = None  # (parameter, sample) where they are not those of the fit
    likelihood: Likelihood | None = None  # where it is not that of the fit


class Block(NamedTuple):
    """Some rows: their predictor, the sd of their noise, and what responses follow."""

    rows: np.ndarray  # (row,)
    predicted: Predicted
    likelihood: Likelihood


def stack_draws(variable: xr.DataArray) -> np.ndarray:
    """Merge chain and draw: (chain, draw, ...) -> (sample, ...), a view where possible."""
    dims = [dim for dim in variable.dims if dim not in ("chain", "draw")]
    values = variable.transpose("chain", "draw", *dims).to_numpy()
    return values.reshape(values.shape[0] * values.shape[1], *values.shape[2:])


def known_tasks(idata: xr.DataTree, likelihood: Likelihood | Mixed) -> Callable[[int], TaskDraws]:
    """Give a function from the code of a task of the fit to its draws (views, nothing is copied).

    Weights that were too many to be stored are drawn again.
    """
    posterior = idata["posterior"].to_dataset()
    stored = posterior.get("weights")
    n_samples = posterior.sizes["chain"] * posterior.sizes["draw"]
    weights = None if stored is None else stack_draws(stored)
    intercept = stack_draws(posterior["intercept"]) if "intercept" in posterior else None
    noise = stack_draws(posterior["noise_sd"]) if "noise_sd" in posterior else None
    if isinstance(likelihood, Mixed):
        kinds = task_kinds(idata, likelihood)

        def of_kind(task: int) -> TaskDraws:
            assert weights is None or weights.ndim == 3
            return TaskDraws(
                np.zeros(n_samples) if intercept is None else intercept[:, task],
                np.empty((n_samples, 0)) if weights is None else weights[:, task],
                *kinds[task],
            )

        return of_kind

    def redrawn(task: int) -> TaskDraws:
        at_zero, coefficients = redraw_task(idata, task)
        return TaskDraws(
            intercept=np.zeros(n_samples) if at_zero is None else at_zero,
            weights=coefficients,
            noise_sd=noise if noise is None or noise.ndim == 1 else noise[:, task],
        )

    def of(task: int) -> TaskDraws:
        return TaskDraws(
            intercept=np.zeros(n_samples) if intercept is None else intercept[:, task],
            weights=np.empty((n_samples, 0)) if weights is None else weights[:, task],
            noise_sd=noise if noise is None or noise.ndim == 1 else noise[:, task],
        )

    if idata.attrs.get("weights_stored", 1):
        return of
    require_all_tasks(idata["constant_data"].to_dataset())
    return redrawn


class TaskKind(NamedTuple):
    """The last three parts of `TaskDraws`."""

    noise_sd: np.ndarray | None
    parameters: np.ndarray
    likelihood: Likelihood


def task_kinds(idata: xr.DataTree, likelihood: Mixed) -> list[TaskKind]:
    """Noise, parameters and likelihood of each task of a fit whose tasks differ in them."""
    labels = idata["posterior"]["task"].to_numpy()
    groups = [
        (settings, row_likelihood(settings, 1.0), tasks)
        for settings, tasks in partition_tasks(likelihood, labels)
    ]
    stacked = _stacked_parameters(idata, mixed_blocks(likelihood, labels))
    out: dict[int, TaskKind] = {}
    first = 0
    for settings, one, tasks in groups:
        last = first + sum(max(1, len(block.labels)) for block in one.parameters)
        own, first = stacked[first:last], last
        for task in tasks.tolist():
            noise = None
            if isinstance(settings, Gaussian) and settings.se is None:
                known = settings.fixed_sds(labels[tasks])[tasks == task] if settings.fixed else None
                noise = np.exp(own[0]) if known is None else np.full(stacked.shape[1], known[0])
            out[task] = TaskKind(noise, own, settings)
    return [out[task] for task in range(len(labels))]


def shared_parameters(idata: xr.DataTree, likelihood: Likelihood | Mixed) -> np.ndarray:
    """Parameters of the likelihood (parameter, sample) that all tasks share, if there are any."""
    blocks = () if isinstance(likelihood, Gaussian | Mixed) else likelihood.parameters
    return _stacked_parameters(idata, blocks)


def _stacked_parameters(idata: xr.DataTree, blocks: Sequence[ParameterBlock]) -> np.ndarray:
    """(parameter, sample) of all chains."""
    values = read_parameters(blocks, idata["posterior"].to_dataset())
    return values.reshape(values.shape[0] * values.shape[1], values.shape[2]).T


def predictor_blocks(
    rows: PredictorRows,
    draws_of: Callable[[int], TaskDraws],
    parameters: np.ndarray,
    likelihood: Likelihood | Mixed,
) -> Iterator[Block]:
    """Compute the rows task after task, in blocks of limited memory.

    Parameters
    ----------
    rows : PredictorRows
        Rows in any order.
    draws_of : function
        From the code of a task to its draws.
    parameters : (parameter, sample)
        Of the likelihood, for the draws in all chains.
    likelihood : Likelihood or Mixed
        Of the fit; where tasks differ their draws name theirs.

    Yields
    ------
    Block
        Together they hold every row once; which rows share a block does not change their values.
    """
    n_samples = parameters.shape[1]
    order = np.argsort(rows.task, kind="stable")
    size = max(1, BLOCK_BYTES // (8 * n_samples))
    draws_of = lru_cache(maxsize=1)(draws_of)  # a task may fill many blocks
    for start in range(0, order.size, size):
        index = order[start : start + size]
        predictor = np.empty((index.size, n_samples))
        noise = np.full((index.size, n_samples), np.nan)
        codes, first = np.unique(rows.task[index], return_index=True)
        own = []
        for code, begin, end in zip(codes, first, [*first[1:], index.size], strict=True):
            draws = draws_of(int(code))
            own.append((slice(begin, end), draws))
            features = rows.features[index[begin:end]]
            predictor[begin:end] = features @ draws.weights.T + draws.intercept
            if draws.noise_sd is not None:
                noise[begin:end] = draws.noise_sd
        predictor += rows.offset[index, None]
        known = None if rows.standard_error is None else rows.standard_error[index, None]
        sizes = rows.size[index, None]
        if not isinstance(likelihood, Mixed) and all(draws.parameters is None for _, draws in own):
            noise = noise if known is None else known
            yield Block(index, Predicted(predictor, sizes, noise, parameters), likelihood)
            continue
        for part, draws in own:
            values = parameters if draws.parameters is None else draws.parameters
            of_rows = noise[part] if known is None or draws.noise_sd is not None else known[part]
            one = likelihood if draws.likelihood is None else draws.likelihood
            assert not isinstance(one, Mixed)
            yield Block(index[part], Predicted(predictor[part], sizes[part], of_rows, values), one)


def check_size(n_arrays: int, n_samples: int, n_rows: int, advice: str) -> None:
    """Refuse results that would not fit into memory.

    Raises
    ------
    UnsupportedError
        If the arrays (sample, row) take more than 8 GiB.
    """
    n_bytes = 8 * n_arrays * n_samples * n_rows
    if n_bytes > MAX_RESULT_BYTES:
        raise UnsupportedError(
            f"{n_rows:,} rows x {n_samples:,} draws take {n_bytes / 2**30:,.0f} GiB, more than "
            f"{MAX_RESULT_BYTES / 2**30:.0f} GiB: {advice}"
        )
