"""How many functions a basis has."""

import numpy as np
import pandas as pd
import pytest

import bayesmtl as bm
from bayesmtl.gp.basis import choose_basis
from bayesmtl.gp.projected import AnyBasis, ProjectedBasis
from bayesmtl.gp.weight_space import HilbertBasis


def _chosen(n_tasks: int, n_rows: int, waves: float = 6.0) -> AnyBasis:
    rng = np.random.default_rng(0)
    data = pd.DataFrame(rng.uniform(-1.0, 1.0, (n_tasks * n_rows, 2)), columns=["x", "z"])
    data["task"] = np.arange(len(data)) % n_tasks
    data["y"] = np.sin(waves * data.x + data.task) * np.cos(waves * data.z)
    data["y"] += 0.2 * rng.normal(size=len(data))
    return choose_basis(bm.MultiTaskGP("y ~ x + z", "task").prepare(data), None, rng)


def test_rows_that_tell_of_more_functions_than_a_sweep_can_follow_choose_the_principal() -> None:
    with pytest.warns(bm.BayesMTLWarning, match="as rough as the data suggest need"):
        assert isinstance(_chosen(4, 60), HilbertBasis)
    many = _chosen(4, 20_000)
    assert isinstance(many, ProjectedBasis)
    assert many.size <= 512 < many.fine.size


def test_rows_that_tell_of_more_principal_functions_than_are_used_are_announced() -> None:
    with pytest.warns(bm.BayesMTLWarning, match="so many rows tell of more functions than the"):
        basis = _chosen(4, 20_000, waves=14.0)
    assert basis.size == 512
    # So short that rows at random would not show it.
    assert isinstance(basis, ProjectedBasis)
    assert (basis.lengthscale < 0.3).all()


def test_rows_that_tell_of_more_functions_than_can_be_projected_are_announced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bayesmtl.gp.basis._MOST_FINE", 600)
    with pytest.warns(bm.BayesMTLWarning, match="so many rows tell of more functions") as caught:
        basis = _chosen(4, 20_000)
    assert isinstance(basis, ProjectedBasis)
    assert f"than the {basis.size} that are used" in str(caught[0].message)
    assert basis.fine.size <= 600
