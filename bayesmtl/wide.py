"""Wide tables, one column per task, to long rows."""

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np

from bayesmtl.errors import InvalidDataError, InvalidModelError, InvalidTypeError
from bayesmtl.frames.columns import Column, exact_values
from bayesmtl.frames.missing import read_columns
from bayesmtl.frames.opening import fix_hint, open_frame, require_columns, shorten

__all__ = ["to_long"]


def to_long(wide: Any, outputs: Sequence[str], *, task: str = "task", value: str = "value") -> Any:
    """Turn one column per output into one row per observed cell.

    Parameters
    ----------
    wide : data frame
        One row per input; a missing cell means that the output was not observed there.
    outputs : sequence of str
        Numeric columns, one per task.
    task : str
        Name of the new column that names the output.
    value : str
        Name of the new column that holds its value.

    Returns
    -------
    data frame of the same library
        The other columns, `task` and `value`: all observed cells of the first output, then of the
        second, and so on; rows keep their order inside an output.

    Raises
    ------
    InvalidModelError
        If `outputs` is empty, repeats a name, or a new name is taken.
    InvalidDataError
        If an output is not there, holds an infinite value, or no cell is observed.
    InvalidTypeError
        If an output does not hold numbers.
    """
    frame = open_frame(wide)
    keep = _check_names(frame, outputs, task, value)
    columns = read_columns(frame, outputs)
    for name in outputs:
        _check_numbers(frame, columns[name])
    observed = {name: np.flatnonzero(~columns[name].missing) for name in outputs}
    parts = [
        frame[rows].select(
            *(nw.col(other) for other in keep),
            nw.lit(name).alias(task),
            nw.col(name).cast(nw.Float64).alias(value),
        )
        for name, rows in observed.items()
        if len(rows)
    ]
    if not parts:
        raise InvalidDataError(
            f"no output has an observed cell ({shorten(list(outputs))} are all missing)"
        )
    return nw.maybe_reset_index(nw.concat(parts, how="vertical")).to_native()


def _check_numbers(frame: nw.DataFrame[Any], column: Column) -> None:
    if column.kind not in {"number", "boolean"}:
        raise InvalidTypeError(
            f'the output "{column.name}" must hold numbers, but holds {column.kind}; convert it: '
            f"{fix_hint(frame, column.name, 'float')}"
        )
    exact_values(frame, column)


def _check_names(
    frame: nw.DataFrame[Any], outputs: Sequence[str], task: str, value: str
) -> list[str]:
    """Check old and new names; return the columns that stay."""
    if isinstance(outputs, str) or not len(outputs) or len(set(outputs)) < len(outputs):
        raise InvalidModelError(
            f'outputs must be a list of different column names, like ["Cd", "Ni"], not {outputs!r}'
        )
    require_columns(frame, outputs, role="outputs=", error=InvalidDataError)
    keep = [name for name in frame.columns if name not in set(outputs)]
    taken = [name for name in (task, value) if name in keep or task == value]
    if taken:
        raise InvalidModelError(
            f'the new column "{taken[0]}" would repeat a name; choose other names with task= and '
            "value="
        )
    return keep
