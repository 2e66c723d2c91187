"""Files become frames whose task labels are those of the file."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bayesmtl.errors import InvalidDataError, UnsupportedError
from bayesmtl.tables import read_table, write_table


def write_csv(folder: Path, labels: list[str], name: str = "data.csv") -> Path:
    path = folder / name
    rows = "".join(f"{label},{k}\n" for k, label in enumerate(labels))
    path.write_text(f"task,y\n{rows}")
    return path


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["10", "7", "-3"], [10, 7, -3]),
        (["07", "7"], ["07", "7"]),
        (["1", "b"], ["1", "b"]),
        (["1.0", "2.0"], ["1.0", "2.0"]),
        (["True", "False"], [True, False]),
        (["123456789012345678901", "1"], ["123456789012345678901", "1"]),
        (["NA", "null", "nan"], ["NA", "null", "nan"]),
    ],
)
def test_labels_are_read_as_written(
    tmp_path: Path, labels: list[str], expected: list[object]
) -> None:
    assert read_table(write_csv(tmp_path, labels), "task")["task"].to_list() == expected


def test_labels_as_text_when_the_fit_has_text(tmp_path: Path) -> None:
    frame = read_table(write_csv(tmp_path, ["1", "2"]), "task", text_labels=True)
    assert frame["task"].to_list() == ["1", "2"]


def test_a_missing_label_stays_missing(tmp_path: Path) -> None:
    frame = read_table(write_csv(tmp_path, ["1", ""]), "task")
    assert frame["task"].isna().to_list() == [False, True]


def test_other_columns_and_absent_task_column(tmp_path: Path) -> None:
    frame = read_table(write_csv(tmp_path, ["a", "b"]), "county")
    assert list(frame.columns) == ["task", "y"]
    assert frame["y"].to_list() == [0, 1]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet", "new/t.pq"])
def test_round_trip(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"task": ["a", "b"], "x": [0.1, 2.0]})
    write_table(frame, tmp_path / name)
    pd.testing.assert_frame_equal(read_table(tmp_path / name, "task"), frame)


def test_a_stored_index_may_repeat(tmp_path: Path) -> None:
    frame = pd.DataFrame({"task": ["a", "b"], "x": [0.1, 2.0]}, index=[7, 7])
    frame.to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet", "task").index.to_list() == [0, 1]


def test_missing_file() -> None:
    with pytest.raises(InvalidDataError, match=r"there is no file 'nowhere\.csv'"):
        read_table(Path("nowhere.csv"), "task")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"task;y\na;1,5\nb;2\n", r"data.csv' seems to be separated by ';', and .* reads commas"),
        (b"task\ty\na\t1\n", r"data.csv' seems to be separated by tabs"),
        ("task,y\nZürich,1\n".encode("latin1"), r"data.csv' cannot be read: it is not .* UTF-8"),
        ("Straße,y\na,1\n".encode("latin1"), r"for example by iconv -f latin1 -t utf-8 .*data.csv"),
        (b"", r"data.csv' is empty; a first line"),
        (b"task,y\n", r"data.csv' has no rows below the names"),
    ],
)
def test_files_of_another_form(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidDataError, match=message):
        read_table(path, "task")


@pytest.mark.parametrize("name", ["bad.csv", "bad.parquet"])
def test_unreadable_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\xff\xfe\x00,\x81\n")
    with pytest.raises(InvalidDataError, match=f"{name}' cannot be read"):
        read_table(path, "task")


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ImportError

    path = tmp_path / "data.parquet"
    frame = pd.DataFrame({"task": [1]})
    frame.to_parquet(path)
    monkeypatch.setattr(pd, "read_parquet", refuse)
    with pytest.raises(UnsupportedError, match=r"needs pyarrow: .* or use a CSV file"):
        read_table(path, "task")
    monkeypatch.setattr(pd.DataFrame, "to_parquet", refuse)
    with pytest.raises(UnsupportedError, match=r"needs pyarrow: .* or write a CSV file"):
        write_table(frame, path)
