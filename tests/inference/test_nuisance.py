"""Thresholds of groups of tasks, moved together with the intercepts of their tasks."""

from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import pytest

import bayesmtl as bm
from bayesmtl.assembly import Problem
from bayesmtl.inference.corrected import start_corrected
from bayesmtl.inference.corrected_state import CorrectedState, row_values
from bayesmtl.inference.nuisance import shift_groups
from bayesmtl.inference.task_scales import apply_scales
from bayesmtl.numerics.lanes import unpack_tasks
from tests.oracles.cases import fit
from tests.oracles.geweke_mixed import CASES, KINDS, begin, draw_noise, frame

GRADED = [list(KINDS).index(name) for name in "hi"]


def shift(problem: Problem, state: CorrectedState, rng: np.random.Generator) -> bool:
    assert state.scales is not None
    scale = state.scales.log_scale
    return shift_groups(problem, state.population, state.partition, scale, state.parameters, rng)


def _statistics(problem: Problem, state: CorrectedState) -> np.ndarray:
    assert state.scales is not None
    cuts = state.parameters[3:]
    every = unpack_tasks(state.population.weights, problem.prior.n_tasks)[:, 0]
    intercepts, others = every[GRADED], np.delete(every, GRADED)
    return np.array(
        [
            *np.tanh(cuts),
            *np.tanh(cuts) ** 2,
            *np.tanh(intercepts),
            *np.tanh(intercepts) ** 2,
            np.tanh(intercepts).prod(),
            np.tanh(np.abs(intercepts[0] - others)).mean(),
            np.tanh(cuts[0]) * np.tanh(intercepts[0]),
            np.tanh(intercepts[0]) * state.scales.log_scale[GRADED[0]],
        ]
    )


@pytest.mark.parametrize("name", ["joint", "correlated", "levels"])
def test_a_shift_keeps_predictors_and_prior(name: str) -> None:
    """Exactly what the likelihood sees; the distribution of thresholds and intercepts."""
    case, rng = CASES[name](), np.random.default_rng(2)
    problem = case.model.prepare(frame()).problem
    state, change = start_corrected(problem, rng), []
    assert problem.groups is not None
    assert state.scales is not None
    unit = problem.groups.unit[GRADED]
    for _ in range(1500):
        draw, log_scale = case.structure(problem, rng), 0.5 * rng.normal(size=len(KINDS))
        begin(problem, state, draw, log_scale, draw_noise(rng))
        before, cuts = _statistics(problem, state), state.parameters.copy()
        weights = unpack_tasks(state.population.weights, len(KINDS))
        assert shift(problem, state, rng)
        moved = unpack_tasks(state.population.weights, len(KINDS)) - weights
        steps = unit * np.exp(log_scale[GRADED]) * moved[GRADED, 0]
        assert abs(steps[0]) > 0.0
        np.testing.assert_allclose(state.parameters - cuts, [0.0] * 3 + [steps[0]] * 2, atol=1e-12)
        np.testing.assert_allclose(steps[1], steps[0])
        moved[GRADED, 0] = 0.0
        np.testing.assert_array_equal(moved, 0.0)
        change.append(_statistics(problem, state) - before)
    mean, error = np.mean(change, axis=0), np.std(change, axis=0) / np.sqrt(1500)
    assert (np.abs(mean / error) < 4.0).all(), mean / error
    np.testing.assert_allclose(row_values(problem, state), state.value, atol=1e-9)


@pytest.mark.parametrize("name", ["pooled", "clusters", "identical"])
def test_thresholds_stay_where_no_intercept_can_follow(name: str) -> None:
    problem, rng = CASES[name]().model.prepare(frame()).problem, np.random.default_rng(0)
    state = start_corrected(problem, rng)
    before = state.parameters.copy()
    assert not shift(problem, state, rng)
    np.testing.assert_array_equal(state.parameters, before)


def test_common_intercepts_do_not_follow_a_few_tasks() -> None:
    settings: dict[str, Any] = {"intercept": bm.Pooled()}
    problem = bm.Model("y ~ x0", "task", likelihood=KINDS, **settings).prepare(frame()).problem
    rng = np.random.default_rng(0)
    state = start_corrected(problem, rng)
    assert state.scales is not None
    apply_scales(problem, state.scales, state.sites)
    assert not shift(problem, state, rng)


@pytest.mark.mcmc
def test_thresholds_mix_where_rows_say_much() -> None:
    """One task of many grades: thresholds alone could hardly move against its intercept."""
    rng = np.random.default_rng(0)
    n = 1500
    x = rng.normal(size=3 * n)
    code = np.digitize(x[:n] + rng.logistic(size=n), [-1.0, 1.0])
    number = x[n:] + rng.normal(size=2 * n)
    y = pd.Series([*np.array(["low", "mid", "high"])[code].tolist(), *number.tolist()])
    task = np.repeat(["grade", "a", "b"], n)
    kinds = {"grade": KINDS["h"], "a": bm.Gaussian(), "b": bm.Gaussian()}
    model = bm.Model("y ~ x", "task", likelihood=kinds)
    tree = fit(model, pd.DataFrame({"task": task, "x": x, "y": y}), draws=400, tune=300)
    found = az.ess(tree["posterior"].to_dataset()[["ordinal_thresholds", "intercept"]])
    assert float(found["ordinal_thresholds"].min()) > 150
    assert float(found["intercept"].min()) > 150
