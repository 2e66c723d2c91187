"""Negative binomial likelihood: density, slope, information, dispersion, refusals, and NUTS."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmtl as bm
from bayesmtl.likelihoods.protocol import Predicted
from bayesmtl.numerics.lanes import pack_tasks
from bayesmtl.priors import table_row
from tests.oracles.agreement import assert_same_posterior
from tests.oracles.monte_carlo import mcse
from tests.oracles.row_terms import row_terms, single_rows

LIKELIHOOD = bm.NegativeBinomial(exposure="e")
PRIOR = stats.lognorm(1.5)


def frame(n_tasks: int = 6, n_rows: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    task = np.repeat(np.arange(n_tasks), n_rows)
    data = pd.DataFrame({"task": task, "x": rng.normal(size=task.size)})
    data["e"] = rng.uniform(0.5, 3.0, task.size)
    data["off"] = 0.2 * rng.normal(size=task.size)
    data["w"] = rng.uniform(0.5, 1.5, task.size)
    slope = 0.5 + 0.4 * rng.normal(size=n_tasks)
    mean = data["e"] * np.exp(1.0 + slope[task] * data["x"] + data["off"])
    data["y"] = rng.poisson(mean * rng.gamma(2.0, 0.5, task.size))
    return data


def log_density(y: np.ndarray, eta: np.ndarray, r: float) -> np.ndarray:
    return np.asarray(stats.nbinom.logpmf(y, r, r / (r + np.exp(eta))))


@pytest.mark.parametrize("r", [0.05, 1.3, 400.0])
def test_log_density_is_that_of_scipy(r: float) -> None:
    y = np.array([[0.0], [1.0], [7.0], [250.0]])
    eta = np.array([-6.0, 0.0, 2.5, 6.0])
    nothing = np.full((4, 1), np.nan)
    rows = Predicted(np.tile(eta, (4, 1)), np.ones((4, 1)), nothing, np.full((1, 4), np.log(r)))
    np.testing.assert_allclose(LIKELIHOOD.log_density(y, rows), log_density(y, eta, r), rtol=1e-8)


@pytest.mark.parametrize("r", [0.4, 30.0])
def test_terms_of_a_row(r: float) -> None:
    eta = np.repeat(np.linspace(-3.0, 3.0, 7), 3)
    y = np.tile([0.0, 2.0, 15.0], 7)
    parameters = np.log([r])

    def terms(eta: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return row_terms(LIKELIHOOD.kernels, y, eta, np.ones_like(y), parameters)

    value, slope, information = terms(eta, y)
    change = value - terms(0.0 * eta, y)[0]
    np.testing.assert_allclose(change, log_density(y, eta, r) - log_density(y, 0 * eta, r))
    high, low = (terms(eta + step, y)[0] for step in (1e-5, -1e-5))
    np.testing.assert_allclose(slope, (high - low) / 2e-5, rtol=1e-5, atol=1e-7)
    support = np.arange(4000.0)
    for center, found in zip(eta[::3], information[::3], strict=True):
        probability = np.exp(log_density(support, center, r))
        square = terms(np.full_like(support, center), support)[1] ** 2
        assert found == pytest.approx(probability @ square, rel=1e-6)


def dispersion_problem() -> tuple[np.ndarray, Any, np.ndarray, np.ndarray]:
    """Predictors, rows, weights of the loops, and the log posterior of log r on a grid."""
    rng = np.random.default_rng(1)
    eta = rng.normal(1.0, 0.5, 40)
    y = rng.poisson(np.exp(eta) * rng.gamma(3.0, 1.0 / 3.0, 40)).astype(float)
    weight = rng.uniform(0.5, 1.5, 40)
    rows = single_rows(y, np.ones(40))._replace(weight=weight)
    grid = np.linspace(-3.0, 6.0, 900)
    log_posterior = np.array(
        [weight @ log_density(y, eta, r) + PRIOR.logpdf(r) + np.log(r) for r in np.exp(grid)]
    )
    return eta, rows, grid, log_posterior


def test_joint_density_of_the_dispersion() -> None:
    """Loops and parameters together are the log-likelihood and prior, up to one constant."""
    eta, rows, grid, log_posterior = dispersion_problem()
    prior, weights = table_row(LIKELIHOOD.dispersion)[None], pack_tasks(eta[:, None])
    kernels = LIKELIHOOD.kernels
    assert kernels.log_parameters is not None
    found = []
    for log_r in grid[::100]:
        value = np.zeros((weights.shape[0], weights.shape[2]))
        kernels.evaluate(rows, weights, np.array([log_r]), value)
        found.append(value.sum() + kernels.log_parameters(rows, np.array([log_r]), prior) + log_r)
    expected = log_posterior[::100]
    np.testing.assert_allclose(np.diff(found), np.diff(expected), rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("many", [False, True])
def test_update_draws_from_the_conditional(many: bool) -> None:
    """Against quadrature, with counts below and above the number of rows."""
    eta, rows, grid, log_posterior = dispersion_problem()
    if many:
        rng = np.random.default_rng(2)
        eta = eta + 5.0
        y = rng.poisson(np.exp(eta) * rng.gamma(3.0, 1.0 / 3.0, 40)).astype(float)
        rows = rows._replace(response=y)
        log_posterior = np.array(
            [rows.weight @ log_density(y, eta, r) + PRIOR.logpdf(r) * 1.0 for r in np.exp(grid)]
        )
        log_posterior += grid
    assert (rows.response.max() > 40) is np.bool_(many)
    density = np.exp(log_posterior - log_posterior.max())
    density /= density.sum()
    mean = density @ grid
    sd = np.sqrt(density @ (grid - mean) ** 2)
    prior, weights = table_row(LIKELIHOOD.dispersion)[None], pack_tasks(eta[:, None])
    parameters, draws, rng = np.zeros(1), np.empty(4000), np.random.default_rng(3)
    kernels = LIKELIHOOD.kernels
    assert kernels.update is not None
    for i in range(draws.size):
        kernels.update(rows, weights, parameters, prior, rng)
        draws[i] = parameters[0]
    assert abs(draws.mean() - mean) < 4.0 * mcse(draws)
    assert draws.std() == pytest.approx(sd, rel=0.08)


def test_fixed_dispersion_stays() -> None:
    model = bm.Model("y ~ x", task="task", likelihood=bm.NegativeBinomial(dispersion=2))
    with pytest.warns(bm.BayesMTLWarning, match="CHECK"):
        fit = model.fit(frame(), draws=20, tune=10, chains=1, random_seed=1, progressbar=False)
    dispersion = fit["posterior"]["dispersion"]
    assert (dispersion == 2.0).all()
    assert dispersion.attrs == {"constant": 1}
    assert "dispersion" not in bm.diagnose(fit).table.query("quantities > 0").index


def test_start_lies_inside_the_support() -> None:
    data = frame()
    for prior in (bm.Prior("Uniform", lower=50, upper=60), bm.Prior("HalfNormal", sigma=1)):
        likelihood = bm.NegativeBinomial(dispersion=prior)
        prepared = bm.Model("y ~ x", task="task", likelihood=likelihood).prepare(data)
        start = np.exp(prepared.problem.row_parameters.start[0])
        assert prior.lower < start < prior.upper


def test_start_and_centre_take_offsets_as_exposures() -> None:
    data = frame().assign(log_e=lambda d: np.log(d["e"]))
    settings: list[dict[str, Any]] = [
        {"likelihood": LIKELIHOOD},
        {"likelihood": bm.NegativeBinomial(), "offset": "log_e"},
    ]
    first, second = (bm.Model("y ~ x", "task", **s).prepare(data).problem for s in settings)
    np.testing.assert_allclose(first.row_parameters.start, second.row_parameters.start)
    assert first.reference_noise == pytest.approx(second.reference_noise)
    assert first.scaling.response_center == pytest.approx(second.scaling.response_center)


def change(column: str, row: int, value: float) -> pd.DataFrame:
    data = frame()
    data[column] = data[column].astype(float)
    data.loc[row, column] = value
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (change("e", 3, 0), "the exposure in column 'e' must be positive .* row 3 has 0"),
        (change("y", 4, -1), r"bm.NegativeBinomial\(\) must be a whole number .* row 4 has -1"),
        (change("y", 4, 0.5), "must be a whole number of at least 0 .* row 4 has 0.5"),
    ],
)
def test_rows_that_are_refused(data: pd.DataFrame, message: str) -> None:
    with pytest.raises(bm.InvalidDataError, match=message):
        bm.Model("y ~ x", task="task", likelihood=LIKELIHOOD).prepare(data)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exposure": 3}, "exposure must be the name of a column, got 3"),
        ({"dispersion": 0}, "dispersion must be positive, got 0"),
        ({"dispersion": -1.0}, "dispersion must be at least 0, got -1"),
        ({"dispersion": bm.Prior("Normal")}, "dispersion must be at least 0, got Normal"),
        ({"dispersion": None}, "dispersion must be a number or a prior"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(bm.InvalidModelError, match=message):
        bm.NegativeBinomial(**settings)


@pytest.mark.calibration
def test_same_posterior_as_nuts(tmp_path: Path) -> None:
    data = frame()
    model = bm.Model(
        "y ~ x",
        task="task",
        relation=bm.Exchangeable(mean=bm.Prior("Normal", mu=0, sigma=1), scale=0.4),
        likelihood=LIKELIHOOD,
        intercept=bm.Exchangeable(mean=bm.Prior("Normal", mu=0, sigma=1), scale=0.4),
        weights="w",
        offset="off",
    )
    assert bm.Model.from_dict(model.to_dict()) == model
    names = ("weights", "intercept", "population_mean", "dispersion")
    fit = assert_same_posterior(model, data, *names)
    values = bm.compute_log_likelihood(fit)["log_likelihood"]["y"].to_numpy()
    again = bm.compute_log_likelihood(fit, data)["log_likelihood"]["y"].to_numpy()
    np.testing.assert_allclose(values, again)
    bm.save(fit, tmp_path / "fit.zarr")
    loaded = bm.load(tmp_path / "fit.zarr")
    drawn = bm.predict(loaded, kind="response", random_seed=2)["posterior_predictive"]["y"]
    mean = loaded["posterior_predictive"]["mean"].to_numpy()
    variance = mean + mean**2 / fit["posterior"]["dispersion"].to_numpy()[..., None]
    z = ((drawn.to_numpy() - mean) / np.sqrt(variance)).mean()
    assert abs(z) < 4.0 / np.sqrt(drawn.size)


def test_prior_predictive_draws_the_dispersion() -> None:
    model = bm.Model("y ~ x", task="task", likelihood=LIKELIHOOD)
    prior = model.prior_predictive(frame(), draws=400, random_seed=1)["prior"]
    drawn = np.log(prior["dispersion"].to_numpy()).ravel()
    assert stats.kstest(drawn / 1.5, "norm").pvalue > 1e-3
