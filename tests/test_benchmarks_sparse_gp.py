"""The benchmark of sparse Gaussian processes on few rows."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.data import Example
from benchmarks.sparse_gp import SparseGPSettings, compare_epochs, sarcos


@pytest.mark.mcmc
def test_every_peer_and_kind_has_a_row() -> None:
    settings = SparseGPSettings(n_rows=60, n_inputs=2, n_inducing=8, batch_size=30, repeats=1)
    rows = compare_epochs(settings)
    assert len(rows) == 4
    assert all(float(str(row[2])) > 0.0 for row in rows)


@pytest.mark.mcmc
def test_every_model_of_the_torques_has_a_row() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 2))
    frame = pd.DataFrame(np.tile(x, (2, 1)), columns=["a", "b"])
    frame["task"] = np.repeat(["torque1", "torque2"], 60)
    frame["y"] = np.sin(2.0 * frame["a"]) + 0.1 * rng.normal(size=120)
    settings = SparseGPSettings(epochs=60, rank=2, draws=50, tune=50)
    rows = sarcos(Example("simulated", frame, ("a", "b")), settings)
    assert [row[0] for row in rows] == ["GP, one kernel", "GP, a kernel each", rows[2][0]]
    assert float(str(rows[0][3])) < float(str(rows[2][3]))
