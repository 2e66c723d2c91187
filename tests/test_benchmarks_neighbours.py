"""The benchmark of neighbouring schools on few rows, and its data."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesmtl.relations.graph.neighbours import nearest_neighbours
from benchmarks.neighbours import (
    COLUMNS,
    GRAPH,
    PLAIN,
    NeighbourSettings,
    Schools,
    compare,
    read_exam,
    read_hsb,
)


@pytest.mark.mcmc
def test_a_table_has_a_row_for_each_method() -> None:
    rng = np.random.default_rng(1)
    task = np.repeat(list("abcdef"), 6)
    known = {label: float(k) for k, label in enumerate("abcdef")}
    frame = pd.DataFrame({"task": task, "x": rng.normal(size=36)})
    frame["known"] = frame["task"].map(known)
    frame["y"] = frame["known"] + frame["x"] + rng.normal(size=36)
    schools = Schools("simulated", frame, "y ~ x", ("known",))
    settings = NeighbourSettings((3,), 2, 2, 1, draws=30, tune=20, chains=2)
    rows = compare(schools, settings)
    assert len(rows) == 3
    assert all(len(row) == len(COLUMNS) for row in rows)
    assert rows[0][1] == PLAIN
    assert str(rows[-1][1]).startswith(GRAPH)
    assert all(float(str(row[4])) > 0.5 for row in rows)


def test_data_have_their_published_sizes(shared_data: Path) -> None:
    for read, rows, schools in ((read_exam, 4059, 65), (read_hsb, 7185, 160)):
        found = read(shared_data)
        assert found is not None
        assert len(found.frame) == rows
        table = found.frame.groupby("task")[list(found.covariates)]
        assert (table.nunique() == 1).to_numpy().all()
        graph = nearest_neighbours(table.first().reset_index(), 4, labels="task")
        assert graph.n_nodes == schools


def test_no_data_without_their_files(tmp_path: Path) -> None:
    assert read_exam(tmp_path) is read_hsb(tmp_path) is None
