"""The shipped data are what their sources say."""

import gzip
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayesmtl.datasets import list_datasets, load_dataset
from bayesmtl.errors import InvalidDataError

COLUMNS = {
    "eight_schools": ["school", "y", "sigma"],
    "rats": ["rat", "day", "weight"],
    "radon": ["county", "log_radon", "floor", "log_uranium"],
}


def test_listing_names_every_data_set_with_its_licence() -> None:
    listing = list_datasets()
    assert list(listing["name"]) == list(COLUMNS)
    assert set(listing["licence"]) == {"BSD-3-Clause"}
    assert listing["source"].str.len().min() > 0


@pytest.mark.parametrize("shipped", list_datasets().to_dict("records"), ids=itemgetter("name"))
def test_listing_agrees_with_the_data(shipped: dict[str, Any]) -> None:
    frame = load_dataset(shipped["name"])
    assert list(frame.columns) == COLUMNS[shipped["name"]]
    assert len(frame) == shipped["rows"]
    assert frame[shipped["task"]].nunique() == shipped["tasks"]
    assert not frame.isna().any(axis=None)


def test_values_published() -> None:
    schools = load_dataset("eight_schools").set_index("school")
    assert schools["y"].to_dict() == dict(
        zip("ABCDEFGH", [28, 8, -3, 7, -1, 1, 18, 12], strict=True)
    )
    assert schools["sigma"].to_list() == [15, 10, 16, 11, 9, 11, 10, 18]
    rats = load_dataset("rats")
    assert sorted(rats["day"].unique()) == [8, 15, 22, 29, 36]
    assert rats.query("rat == 1")["weight"].to_list() == [151, 199, 246, 283, 320]


def test_radon_has_one_uranium_value_per_county() -> None:
    radon = load_dataset("radon")
    assert set(radon["floor"]) == {0, 1}
    assert radon.groupby("county")["log_uranium"].nunique().max() == 1
    assert radon["county"].value_counts().min() == 1


@pytest.mark.parametrize(
    ("name", "archive", "columns"),
    [
        ("eight_schools", "eight_schools", {"task": "school"}),
        ("rats", "rats", {"task": "rat", "x": "day", "y": "weight"}),
        ("radon", "radon_mn", {"task": "county", "y": "log_radon"}),
    ],
)
def test_shipped_data_equal_their_source(
    shared_data: Path, name: str, archive: str, columns: dict[str, str]
) -> None:
    with gzip.open(shared_data / f"{archive}.csv.gz", "rt") as file:
        source = pd.read_csv(file).rename(columns=columns)
    frame = load_dataset(name)
    pd.testing.assert_frame_equal(frame, source[frame.columns.to_list()])


def test_a_changed_copy_does_not_change_the_next() -> None:
    first = load_dataset("rats")
    first["weight"] = np.nan
    assert load_dataset("rats")["weight"].notna().all()


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InvalidDataError, match="'radom'; the names are eight_schools, rats, radon"):
        load_dataset("radom")
