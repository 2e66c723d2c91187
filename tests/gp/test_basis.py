"""How many functions a basis has."""

import numpy as np
import pandas as pd
import pytest

import bayesmtl as bm
from bayesmtl.gp.basis import choose_basis, likely_lengths
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


def test_known_length_scales_leave_the_noise_to_be_found() -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"x": rng.uniform(-1.0, 1.0, 200), "task": ["a", "b"] * 100})
    data["y"] = np.sin(3.0 * data.x) + 0.3 * rng.normal(size=200)
    problem = bm.MultiTaskGP("y ~ x", "task", lengthscale=0.7).prepare(data)
    found = likely_lengths(problem, rng)
    np.testing.assert_allclose(found.low, 0.7 / problem.units.input_scale)
    np.testing.assert_array_equal(found.low, found.high)
    assert 0.05 < found.noise < 1.0
