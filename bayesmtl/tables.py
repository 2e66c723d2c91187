"""Data frames from and to CSV and Parquet files, for the command line."""

from pathlib import Path

import pandas as pd

from bayesmtl.errors import InvalidDataError, UnsupportedError
from bayesmtl.frames.opening import PARQUET

__all__ = ["read_table", "write_table"]


def read_table(path: Path, task: str, *, text_labels: bool = False) -> pd.DataFrame:
    """Read a CSV or Parquet file, the labels of the tasks as they stand in it.

    Parameters
    ----------
    path
        Parquet if it ends in .parquet or .pq, else CSV (also compressed, as .csv.gz).
    task
        Column that names the task. In a CSV file, labels are whole numbers only if every one is
        written like a number (07 is not), booleans only if all are True or False, else text; an
        empty one is missing.
    text_labels
        Read the labels as text whatever they look like.

    Returns
    -------
    pandas.DataFrame
        The rows of the file.

    Raises
    ------
    InvalidDataError
        If the file is missing, empty or cannot be parsed, or separates columns by no commas.
    UnsupportedError
        If a Parquet file is given and pyarrow is not installed.
    """
    if not path.is_file():
        raise InvalidDataError(f"there is no file {str(path)!r}")
    try:
        if path.suffix in PARQUET:
            # Rows are told apart by their place: an index that was stored may repeat.
            return pd.read_parquet(path).reset_index(drop=True)
        frame = _read_csv(path, task)
    except ImportError:
        raise UnsupportedError(f"{_needs_pyarrow(path)} or use a CSV file") from None
    except InvalidDataError:
        raise
    except (ValueError, OSError) as error:
        raise InvalidDataError(f"{str(path)!r} cannot be read: {error}") from None
    if task in frame and not text_labels:
        frame[task] = _plain_labels(frame[task])
    return frame


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as Parquet (.parquet, .pq) or CSV (any other ending), without its index.

    Raises
    ------
    UnsupportedError
        If a Parquet file is asked for and pyarrow is not installed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix not in PARQUET:
        frame.to_csv(path, index=False)
        return
    try:
        frame.to_parquet(path, index=False)
    except ImportError:
        raise UnsupportedError(f"{_needs_pyarrow(path)} or write a CSV file") from None


def _read_csv(path: Path, task: str) -> pd.DataFrame:
    try:
        _refuse_other_separators(path, list(pd.read_csv(path, nrows=0).columns))
        frame = pd.read_csv(path, dtype={task: str})
        if task in frame and frame[task].isna().any():
            # No label is missing but an empty one: NA may be a country.
            written = pd.read_csv(path, usecols=[task], dtype=str, na_filter=False)[task]
            frame[task] = written.mask(written == "")
    except pd.errors.EmptyDataError:
        raise InvalidDataError(
            f"{str(path)!r} is empty; a first line with the names of the columns is needed"
        ) from None
    except UnicodeDecodeError:
        raise InvalidDataError(
            f"{str(path)!r} cannot be read: it is not written in UTF-8. Save it as UTF-8, or "
            f"convert it, for example by iconv -f latin1 -t utf-8 {path} > utf8.csv"
        ) from None
    if frame.empty:
        raise InvalidDataError(f"{str(path)!r} has no rows below the names of the columns")
    return frame


def _refuse_other_separators(path: Path, names: list[str]) -> None:
    words = {";": "';'", "\t": "tabs"}
    found = [word for sign, word in words.items() if len(names) == 1 and sign in names[0]]
    if found:
        raise InvalidDataError(
            f"{str(path)!r} seems to be separated by {found[0]}, and the command line reads "
            "commas: save it with commas between columns and points in decimals"
        )


def _needs_pyarrow(path: Path) -> str:
    return f"{str(path)!r} is a Parquet file, which needs pyarrow: `pip install pyarrow`,"


def _plain_labels(text: pd.Series) -> pd.Series:
    if set(text) <= {"True", "False"}:
        return text == "True"
    try:
        numbers = text.astype("int64")
    except (TypeError, ValueError, OverflowError):  # words, missing labels, numbers too long
        return text
    # 07 and 7 are different tasks: such labels stay text.
    return numbers if numbers.astype(str).equals(text.astype(str)) else text
