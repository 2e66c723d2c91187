"""New tasks given rows that are not Gaussian: as if the model had been fitted with these rows."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayesmtl import (
    BayesMTLWarning,
    Bernoulli,
    DirichletProcess,
    Exchangeable,
    Model,
    NegativeBinomial,
    Poisson,
    predict,
)
from tests.oracles.cases import fit

N_TASKS, N_ROWS = 8, 25


def data_of(likelihood: Any) -> pd.DataFrame:
    """Rows of tasks whose weights lie at two places."""
    rng = np.random.default_rng(4)
    task = np.repeat(np.arange(N_TASKS), N_ROWS)
    x = rng.normal(size=len(task))
    eta = -0.3 + np.where(task % 2, 1.2, -0.9) * x
    if isinstance(likelihood, Bernoulli):
        y = (rng.random(len(task)) < 1.0 / (1.0 + np.exp(-eta))).astype(int)
    else:
        y = rng.poisson(np.exp(eta))
    return pd.DataFrame({"y": y, "x": x, "task": task})


@pytest.mark.mcmc
@pytest.mark.parametrize(
    ("likelihood", "relation"),
    [
        (Bernoulli(), Exchangeable()),
        (Bernoulli(), DirichletProcess()),
        (Poisson(), Exchangeable()),
        (NegativeBinomial(), Exchangeable()),
    ],
)
def test_given_rows_are_as_good_as_a_fit_with_them(likelihood: Any, relation: Any) -> None:
    data = data_of(likelihood)
    last = data["task"] == N_TASKS - 1
    model = Model("y ~ x", "task", relation, likelihood=likelihood)
    before = fit(model, data[~last], draws=1000, tune=400)
    whole = fit(model, data, draws=1000, tune=400)
    asked = data[last].iloc[:6]
    given = predict(before, asked, given=data[last], as_frame=True, random_seed=1)
    expected = predict(whole, asked, as_frame=True)
    error = (given["mean"] - expected["mean"]) / expected["sd"]
    assert np.abs(error).max() < 0.25
    np.testing.assert_allclose(given["sd"], expected["sd"], rtol=0.25)


def test_rows_that_disagree_with_the_fit_are_named() -> None:
    likelihood = Poisson()
    data = data_of(likelihood)
    tree = fit(Model("y ~ x", "task", likelihood=likelihood), data)
    odd = pd.DataFrame({"y": [400, 380, 420] * 5, "x": np.linspace(-1, 1, 15), "task": 99})
    with pytest.warns(BayesMTLWarning, match="given rows of task 99 tell so much"):
        predict(tree, odd, given=odd, random_seed=1)


def test_one_row_says_little() -> None:
    data = data_of(Bernoulli())
    tree = fit(Model("y ~ x", "task", likelihood=Bernoulli()), data)
    row = pd.DataFrame({"y": [1], "x": [0.0], "task": [99]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        given = predict(tree, row, given=row, as_frame=True, random_seed=1)
        alone = predict(tree, row, new_task="population", as_frame=True, random_seed=1)
    assert alone["mean"][0] < given["mean"][0] < alone["mean"][0] + 0.1
