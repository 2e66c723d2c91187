"""The Gaussian likelihood: its settings, the sites of rows, the start of its noise."""

from typing import Any

import numpy as np
import pytest

from bayesmtl import Gaussian, InvalidModelError, Prior
from bayesmtl.likelihoods.gaussian import gaussian_sites, noise_state
from bayesmtl.likelihoods.noise import FIXED_NOISE, HIERARCHICAL, SHARED
from bayesmtl.numerics.lanes import unpack_tasks

HALF = Prior("HalfNormal")
TASKS = np.array(["a", "b", "c"], dtype=object)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"noise": "pooled"}, "noise must be 'hierarchical' or 'shared', got 'pooled'"),
        ({"noise_sd": Prior("Normal")}, r"noise_sd must be at least 0, got Normal\(0, 1\)"),
        ({"noise_spread": -1.0}, "noise_spread must be at least 0, got -1.0"),
        ({"noise_spread": {"a": 1.0}}, "noise_spread must be one prior or number"),
        ({"noise_spread": [1.0, 2.0]}, "noise_spread must be one prior or number"),
        (
            {"noise_sd": {"a": HALF}},
            r"noise_sd: a mapping {task: sd} holds numbers, got HalfNormal",
        ),
        ({"noise_sd": 0.0}, "noise_sd must be positive, got 0"),
        ({"noise_sd": [1.0, 0.0]}, "noise_sd must be positive, got 0"),
        ({"noise_sd": {"a": 0.0}}, "noise_sd must be positive, got 0"),
        ({"noise_spread": 0.0}, "noise_spread must be positive, got 0"),
        ({"se": "se", "noise_sd": 1.0}, "se= fixes the noise: leave noise_sd and noise_spread out"),
        ({"se": "se", "noise_spread": HALF}, "se= fixes the noise"),
        (
            {"noise": "shared", "noise_spread": HALF},
            "noise_spread belongs to noise='hierarchical'",
        ),
        ({"noise_sd": "big"}, "noise_sd must be a number or a prior"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        Gaussian(**settings)


@pytest.mark.parametrize(
    ("noise_sd", "message"),
    [
        ({"a": 1.0, "b": 2.0}, "noise_sd has no entry for task 'c'"),
        ({"a": 1.0, "b": 2.0, "c": 1.0, "q": 1.0}, "noise_sd: 'q' is no task of the data"),
        ([1.0, 2.0], "noise_sd has 2 numbers for 3 tasks"),
    ],
)
def test_fixed_noise_that_does_not_match_the_tasks(noise_sd: Any, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        Gaussian(noise_sd=noise_sd).fixed_sds(TASKS)


def test_fixed_noise_by_task() -> None:
    np.testing.assert_array_equal(Gaussian(noise_sd=2.0).fixed_sds(TASKS), [2.0, 2.0, 2.0])
    np.testing.assert_array_equal(
        Gaussian(noise_sd={"c": 3.0, "a": 1.0, "b": 2.0}).fixed_sds(TASKS), [1.0, 2.0, 3.0]
    )
    np.testing.assert_array_equal(Gaussian(noise_sd=[1, 2, 3]).fixed_sds(TASKS), [1.0, 2.0, 3.0])
    labels = np.array([10, 20])
    np.testing.assert_array_equal(Gaussian(noise_sd={20: 2.0, 10: 1.0}).fixed_sds(labels), [1, 2])


@pytest.mark.parametrize(
    ("likelihood", "fixed"),
    [
        (Gaussian(), False),
        (Gaussian(noise_sd=HALF), False),
        (Gaussian(noise_sd=1.0), True),
        (Gaussian(noise_sd=1.0, noise_spread=HALF), False),
        (Gaussian(se="se"), True),
        (Gaussian(noise_sd={"a": 1.0}), True),
    ],
)
def test_what_is_fixed(likelihood: Gaussian, fixed: bool) -> None:
    assert likelihood.fixed is fixed


def test_default_priors_are_in_units_of_the_response() -> None:
    assert Gaussian().priors(3.0) == (
        Prior("LogNormal", mu=np.log(3.0), sigma=1.0),
        Prior("HalfNormal", sigma=0.5),
    )
    assert Gaussian(noise="shared").priors(3.0)[0] == Prior("HalfNormal", sigma=3.0)
    assert Gaussian(noise_sd=HALF, noise_spread=0.3).priors(3.0) == (HALF, 0.3)


def test_noise_by_task_and_a_prior_of_its_spread_exclude_each_other() -> None:
    for noise_sd in ([1.0, 2.0, 3.0], {"a": 1.0, "b": 2.0, "c": 3.0}):
        with pytest.raises(InvalidModelError, match="noise_spread"):
            Gaussian(noise_sd=noise_sd, noise_spread=HALF)


def test_sites_are_sums_over_rows() -> None:
    rng = np.random.default_rng(1)
    n_tasks, task = 27, rng.permutation(np.repeat(np.arange(27), 3))
    x, y, weight = rng.normal(size=(81, 3)), rng.normal(size=81), rng.uniform(0, 2, 81)
    weight[4], x[7] = 0.0, 0.0
    sites = gaussian_sites(x, y, task, weight, n_tasks)
    row, column = np.tril_indices(3)
    for t in range(n_tasks):
        mine = task == t
        gram = (x[mine] * weight[mine, None]).T @ x[mine]
        block = (t // 16, ..., t % 16)
        np.testing.assert_allclose(sites.gram[block], gram[row, column], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(sites.moment[block], x[mine].T @ (weight * y)[mine], rtol=1e-12)
        np.testing.assert_allclose(sites.total[block], (weight * y**2)[mine].sum(), rtol=1e-12)
        np.testing.assert_allclose(sites.rows[block], weight[mine].sum(), rtol=1e-12)
    np.testing.assert_array_equal(sites.precision, 1.0)
    for part in (sites.gram, sites.moment, sites.total, sites.rows):
        assert not part[1, ..., 11:].any()


def start(likelihood: Gaussian, seed: int = 0) -> Any:
    task = np.array([0, 1, 2])
    sites = gaussian_sites(np.ones((3, 1)), np.ones(3), task, np.ones(3), 3)
    return noise_state(likelihood, sites, TASKS, 4.0, 2.0, np.random.default_rng(seed))


def test_start_of_fixed_noise() -> None:
    state = start(Gaussian(noise_sd=[1.0, 2.0, 4.0]))
    assert state.kind == FIXED_NOISE
    np.testing.assert_allclose(
        np.exp(unpack_tasks(state.log_sd, 3)) * 2.0, [1.0, 2.0, 4.0], rtol=1e-12
    )
    np.testing.assert_allclose(unpack_tasks(state.precision, 3), [4.0, 1.0, 0.25], rtol=1e-12)
    known = start(Gaussian(se="se"))
    assert known.kind == FIXED_NOISE
    np.testing.assert_array_equal(known.precision, 1.0)


def test_starts_are_dispersed_and_inside_the_support() -> None:
    hierarchical = [start(Gaussian(), seed) for seed in range(20)]
    assert all(state.kind == HIERARCHICAL for state in hierarchical)
    medians = [2.0 * np.exp(state.log_median[0]) for state in hierarchical]
    assert min(medians) >= 1.2
    assert max(medians) <= 4.8
    assert np.ptp(medians) > 1.0
    narrow = Gaussian(noise="shared", noise_sd=Prior("Uniform", lower=0.1, upper=0.2))
    assert start(narrow).kind == SHARED
    for seed in range(20):
        state = start(narrow, seed)
        assert 0.1 < 2.0 * np.exp(state.log_median[0]) < 0.2
        np.testing.assert_allclose(state.precision, np.exp(-2.0 * state.log_median[0]))
    far = Gaussian(noise_sd=Prior("TruncatedNormal", mu=50, sigma=1, lower=40))
    assert 2.0 * np.exp(start(far).log_median[0]) > 40.0


def test_a_fixed_median_with_a_learned_spread() -> None:
    state = start(Gaussian(noise_sd=3.0, noise_spread=HALF))
    assert state.kind == HIERARCHICAL
    assert 2.0 * np.exp(state.log_median[0]) == pytest.approx(3.0)
    assert state.sd_prior[0] == 0.0


def test_a_fixed_median_and_spread_still_differ_by_task() -> None:
    """Numbers are not dropped: ``log sd_t ~ Normal(log 3, 0.4)``."""
    likelihood = Gaussian(noise_sd=3.0, noise_spread=0.4)
    assert not likelihood.fixed
    state = start(likelihood)
    assert state.kind == HIERARCHICAL
    assert state.spread[0] == 0.4


def test_standard_errors_are_named_by_a_string() -> None:
    with pytest.raises(InvalidModelError, match="se must be the name of a column, got 3"):
        Gaussian(se=3)  # type: ignore[arg-type]
