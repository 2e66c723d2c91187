"""A likelihood for each task: settings, groups, kernels of a Gaussian one among others."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmtl as bm
from bayesmtl.errors import InvalidDataError, InvalidModelError
from bayesmtl.likelihoods.gaussian_rows import GaussianRows
from bayesmtl.likelihoods.mixed import Mixed, common_likelihood
from bayesmtl.likelihoods.rows import sort_rows
from bayesmtl.numerics.densities import log_density
from bayesmtl.numerics.lanes import pack_tasks, unpack_tasks
from bayesmtl.priors import Prior, table_row
from tests.oracles.row_terms import row_terms

KINDS: dict[str, Any] = {
    "a": bm.Gaussian(),
    "b": bm.Bernoulli(),
    "c": bm.Poisson(exposure="e"),
    "d": bm.Binomial(trials="n"),
    "s": bm.Gaussian(se="se"),
    "t": bm.StudentT(),
}


def data(n: int = 8, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    task = np.repeat(list(KINDS), n)
    y = np.concatenate(
        [
            10.0 + 2.0 * rng.normal(size=n),
            np.arange(n) % 2,
            rng.poisson(3.0, n),
            rng.binomial(4, 0.4, n),
            rng.normal(size=n),
            5.0 * rng.normal(size=n),
        ]
    )
    columns = {"e": ("c", rng.uniform(0.5, 2.0, n)), "n": ("d", 4.0), "se": ("s", 0.5)}
    out = pd.DataFrame({"task": task, "y": y, "x": rng.normal(size=len(task))})
    for name, (of, values) in columns.items():
        out.loc[out["task"] == of, name] = values
    return out


def model(likelihood: Any = None, **settings: Any) -> bm.Model:
    return bm.Model("y ~ x", "task", likelihood=likelihood or KINDS, **settings)


def test_a_model_with_a_mapping_is_a_value() -> None:
    first, second = model(), model(dict(reversed(list(KINDS.items()))))
    assert first == second
    assert hash(first) == hash(second)
    assert bm.Model.from_dict(first.to_dict()) == first
    assert "'b': Bernoulli(link='logit')" in repr(first)
    assert first != model(KINDS | {"b": bm.Bernoulli(link="probit")})
    assert Mixed.of({1: bm.Bernoulli(), np.datetime64("2020-01-31", "D"): bm.Poisson()})[1]


def test_the_story_names_every_task_once() -> None:
    text = str(model(offset="o", weights="w"))
    assert "eta_i = center_t + u_t s_t (a_t + (x_i - mean(x))'w_t) + o, row i of task t" in text
    assert "log s_t ~ Normal(0, 0.5)" in text
    for line in (
        "task a: y_i ~ Normal(eta_i, noise_t)",
        "    noise_t ~ LogNormal(log s_y, 1)",
        "task b: y_i ~ Bernoulli(logit^-1(eta_i))",
        "    center = 0, u = sqrt(4)",
        "task s: y_i ~ Normal(eta_i, se)",
        "the log-likelihood of a row is multiplied by w",
    ):
        assert line in text
    same = {"a": bm.Bernoulli(), "b": bm.Bernoulli()}
    assert str(model(same)) == str(bm.Model("y ~ x", "task", likelihood=bm.Bernoulli()))


@pytest.mark.parametrize(
    ("likelihood", "error", "message"),
    [
        ({}, InvalidModelError, "likelihood={} has no task"),
        ({"a": 3}, InvalidModelError, "likelihood of task 'a' must be one of .* got 3"),
        (3, InvalidModelError, "or a mapping {task: likelihood}, got 3"),
        ({1: bm.Poisson(), "1": bm.Poisson()}, InvalidModelError, "two entries for task '1'"),
        (
            {"a": bm.Gaussian(noise_spread=0.1), "b": bm.Poisson()},
            InvalidModelError,
            "task 'a' has noise_spread=, .* nothing ties their noise",
        ),
    ],
)
def test_wrong_mappings_are_refused(likelihood: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        bm.Model("y ~ x", "task", likelihood=likelihood)


@pytest.mark.parametrize("same", [True, False])
def test_every_task_of_the_data_and_no_other_has_an_entry(same: bool) -> None:
    rows = data()
    rows = rows[rows["task"].isin(["a", "t"])]
    kinds: dict[str, Any] = {"a": bm.Gaussian(), "t": bm.Gaussian() if same else bm.StudentT()}
    with pytest.raises(InvalidDataError, match="likelihood= has no entry for: 't'"):
        model({"a": kinds["a"], "z": kinds["t"]}).prepare(rows)
    with pytest.raises(InvalidDataError, match="no task of the data: 'z'; give every task one"):
        model(kinds | {"z": kinds["t"]}).prepare(rows)


def test_equal_likelihoods_are_one() -> None:
    mixed = Mixed.of({"a": bm.Poisson(), "b": bm.Poisson()})
    assert common_likelihood(mixed) == bm.Poisson()
    assert common_likelihood(bm.Poisson()) == bm.Poisson()
    other = Mixed.of({"a": bm.Poisson(), "b": bm.Poisson(exposure="e")})
    assert common_likelihood(other) is other


def test_centres_and_units_are_those_of_the_tasks_that_share() -> None:
    rows = data()
    kinds = KINDS | {"s": bm.Gaussian(noise="shared"), "a": bm.Gaussian(noise="shared")}
    problem = model(kinds).prepare(rows).problem
    groups = problem.groups
    assert groups is not None
    labels = problem.rows.tasks.tolist()
    of = {label: rows.loc[rows["task"] == label] for label in labels}
    together = pd.concat([of["a"], of["s"]])["y"]
    counts = of["c"]
    rate = (counts["y"].sum() + 0.5) / counts["e"].sum()
    mad = stats.median_abs_deviation(of["t"]["y"], scale="normal")
    expected = {
        "a": (together.mean(), together.std(ddof=0)),
        "s": (together.mean(), together.std(ddof=0)),
        "b": (0.0, 2.0),
        "c": (np.log(rate), np.sqrt(len(counts) / (counts["y"].sum() + 0.5))),
        "t": (of["t"]["y"].median(), mad),
    }
    for label, (center, unit) in expected.items():
        t = labels.index(label)
        assert groups.center[t] == pytest.approx(center), label
        assert groups.unit[t] == pytest.approx(unit), label
    apart = model().prepare(rows).problem.groups
    assert apart is not None
    assert apart.center[0] == pytest.approx(of["a"]["y"].mean())
    assert apart.unit[0] == pytest.approx(of["a"]["y"].std(ddof=0))
    without = bm.Model("y ~ 0 + x", "task", likelihood=KINDS).prepare(rows).problem.groups
    assert without is not None
    assert not without.center.any()


def test_columns_count_only_where_they_are_used() -> None:
    rows = data()
    model().prepare(rows)
    rows.loc[rows.index[rows["task"] == "c"][0], "e"] = np.nan
    with pytest.raises(InvalidDataError, match='"e" has 1 missing value'):
        model().prepare(rows)
    with pytest.warns(bm.BayesMTLWarning, match="left out 1 of 48 rows"):
        dropped = model(missing="drop").prepare(rows).problem
    assert len(dropped.rows.task) == 47
    with pytest.raises(InvalidDataError, match='"n"'):
        model().prepare(data().drop(columns="n"))
    rows = data()
    rows.loc[rows["task"] == "s", "se"] = -1.0
    with pytest.raises(InvalidDataError, match="standard errors in column 'se' must be positive"):
        model().prepare(rows)


def test_each_task_is_held_to_its_own_support() -> None:
    rows = data()
    rows.loc[rows.index[rows["task"] == "b"][0], "y"] = 2.0
    with pytest.raises(InvalidDataError, match=r"Bernoulli.* must be 0 or 1 in every row; 1 row"):
        model().prepare(rows)
    rows = data()
    rows.loc[rows["task"] == "a", "y"] = 7.0
    with pytest.raises(InvalidDataError, match=r"task 'a': the response is constant \(7 in all 8"):
        model().prepare(rows)
    shared = {"a": bm.Gaussian(noise_sd={"b": 1.0}), "b": bm.Bernoulli()}
    two = data()
    with pytest.raises(InvalidModelError, match="noise_sd has no entry for task 'a'"):
        model(shared).prepare(two[two["task"].isin(["a", "b"])])


def test_parameters_have_names_of_their_own() -> None:
    kinds = {
        "a": bm.NegativeBinomial(),
        "b": bm.NegativeBinomial(exposure="e"),
        "c": bm.StudentT(noise_sd=2.0),
        "d": bm.Gaussian(),
        "s": bm.Gaussian(noise="shared"),
        "t": bm.Gaussian(noise="shared"),
    }
    rows = data().assign(e=1.0)
    rows.loc[rows["task"].isin(["a", "b"]), "y"] = np.arange(16) % 5
    blocks = {b.name: b for b in model(kinds).prepare(rows).problem.row_parameters.blocks}
    assert set(blocks) == {
        "noise_sd",
        "negative_binomial_dispersion_a",
        "negative_binomial_dispersion_b",
        "student_t_dof",
    }
    noise = blocks["noise_sd"]
    assert noise.labels == ("c", "d", "s", "t")
    assert noise.positions[2] == noise.positions[3]
    assert noise.fixed == ("c",)


@pytest.mark.parametrize("known", [True, False])
def test_terms_of_gaussian_rows(known: bool) -> None:
    rng = np.random.default_rng(1)
    y, eta, size = rng.normal(size=(3, 20))
    size = np.exp(size) if known else np.ones(20)
    one = GaussianRows(None if known else Prior("HalfNormal", sigma=1.0))
    parameters = np.zeros(0) if known else np.array([0.4])
    sd = size if known else np.full(20, np.exp(0.4))
    value, slope, information = row_terms(one.kernels, y, eta, size, parameters)
    constant = -np.log(sd) - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(value + constant, stats.norm.logpdf(y, eta, sd))
    np.testing.assert_allclose(slope, (y - eta) / sd**2)
    np.testing.assert_allclose(information, sd**-2.0)


def test_noise_of_gaussian_rows_follows_its_density() -> None:
    rng = np.random.default_rng(2)
    y, weight = rng.normal(size=30), rng.uniform(0.5, 1.5, 30)
    rows = sort_rows(
        np.ones((30, 1)),
        y,
        np.zeros(30, dtype=np.int64),
        1,
        offset=np.zeros(30),
        size=np.ones(30),
        weight=weight,
    )
    prior = Prior("Gamma", alpha=3, beta=2)
    kernels, weights = GaussianRows(prior).kernels, pack_tasks(np.array([[0.3]]))
    known = (table_row(prior)[None], 1.0, 0.0, table_row(1.0))
    assert kernels.update is not None
    assert kernels.log_parameters is not None
    x, drawn = np.zeros(1), np.empty(8000)
    for i in range(len(drawn)):
        kernels.update(rows, weights, x, known, rng)
        drawn[i] = x[0]
    grid = np.linspace(-1.5, 1.5, 4001)
    logs = np.array(
        [weight @ stats.norm.logpdf(y, 0.3, np.exp(u)) + prior_of(prior, u) + u for u in grid]
    )
    mass = np.exp(logs - logs.max())
    mass /= mass.sum()
    mean = mass @ grid
    sd = np.sqrt(mass @ (grid - mean) ** 2)
    assert abs(drawn.mean() - mean) < 5.0 * sd / np.sqrt(2000)
    assert drawn.std() == pytest.approx(sd, rel=0.06)
    value = np.zeros((1, weights.shape[2]))
    kernels.evaluate(rows, weights, x, value)
    total = unpack_tasks(value, 1)[0] + kernels.log_parameters(rows, x, known)
    exact = weight @ (stats.norm.logpdf(y, 0.3, np.exp(x[0])) + 0.5 * np.log(2 * np.pi))
    assert total == pytest.approx(exact + prior_of(prior, x[0]))


def prior_of(prior: Prior, log_sd: float) -> float:
    return float(log_density(table_row(prior), np.exp(log_sd)))
