"""Student t likelihood: density, information, parameters, scaling, outliers, refusals and NUTS."""

from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import integrate, stats

import bayesmtl as bm
from bayesmtl.inference.corrected import corrected_sweep, start_corrected
from bayesmtl.inference.nuisance import log_parameters, noise_variance
from bayesmtl.likelihoods.protocol import Predicted
from bayesmtl.numerics.lanes import pack_tasks
from bayesmtl.priors import table_row
from bayesmtl.relations.exchangeable.population import signal_variance
from tests.oracles.agreement import assert_same_posterior
from tests.oracles.cases import fit
from tests.oracles.monte_carlo import mcse
from tests.oracles.row_terms import row_terms, single_rows

NORMAL = bm.Prior("Normal", mu=0, sigma=1)
KERNELS = bm.StudentT().kernels


def frame(n_tasks: int = 5, n_rows: int = 12, outliers: float = 0.1, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    task = np.repeat(np.arange(n_tasks), n_rows)
    data = pd.DataFrame({"task": [f"t{t}" for t in task], "x": rng.normal(size=task.size)})
    data["off"] = rng.normal(size=task.size)
    data["w"] = rng.uniform(0.5, 1.5, task.size)
    slope, intercept = 0.5 + 0.4 * rng.normal(size=n_tasks), 0.5 * rng.normal(size=n_tasks)
    y = 10.0 + intercept[task] + slope[task] * data["x"] + 0.5 * rng.normal(size=task.size)
    far = rng.random(task.size) < outliers
    data["y"] = y + np.where(far, 8.0 * rng.normal(size=task.size), 0.0)
    return data


def scaled_mad(y: np.ndarray) -> float:
    return float(stats.median_abs_deviation(y, scale="normal"))


@pytest.mark.parametrize(("sd", "dof"), [(0.3, 0.7), (2.0, 4.0), (1.0, 500.0)])
def test_log_density_is_that_of_scipy(sd: float, dof: float) -> None:
    y, eta = np.array([[-40.0], [0.0], [0.3], [1e6]]), np.array([-2.0, 0.0, 5.0])
    parameters = np.log([[sd] * 3, [dof] * 3])
    nothing = np.full((4, 1), np.nan)
    rows = Predicted(np.tile(eta, (4, 1)), np.ones((4, 1)), nothing, parameters)
    found = bm.StudentT().log_density(y, rows)
    np.testing.assert_allclose(found, stats.t.logpdf(y, dof, eta, sd), rtol=1e-8)
    drawn = bm.StudentT().sample(
        rows._replace(predictor=np.full((5000, 3), 1.0)), np.random.default_rng(1)
    )
    assert stats.kstest(drawn.ravel(), stats.t(dof, 1.0, sd).cdf).pvalue > 1e-3


@pytest.mark.parametrize(("sd", "dof"), [(0.3, 0.7), (2.0, 4.0), (1.0, 500.0)])
def test_terms_of_a_row(sd: float, dof: float) -> None:
    eta = np.repeat(np.linspace(-3.0, 3.0, 7), 3)
    y = np.tile([-0.2, 2.0, 150.0], 7)
    parameters = np.log([sd, dof])

    def terms(eta: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return row_terms(KERNELS, y, eta, np.ones_like(y), parameters)

    value, slope, information = terms(eta, y)
    expected = stats.t.logpdf(y, dof, eta, sd) - stats.t.logpdf(y, dof, 0.0, sd)
    np.testing.assert_allclose(value - terms(0.0 * eta, y)[0], expected, rtol=1e-9, atol=1e-9)
    high, low = (terms(eta + step, y)[0] for step in (1e-5, -1e-5))
    np.testing.assert_allclose(slope, (high - low) / 2e-5, rtol=1e-5, atol=1e-6)

    def squared(y: float) -> float:
        score = terms(np.zeros(1), np.array([y]))[1][0]
        return float(score**2 * stats.t.pdf(y, dof, 0.0, sd))

    square, _ = integrate.quad(squared, 0.0, np.inf, limit=200)
    np.testing.assert_allclose(information, 2.0 * square, rtol=1e-6)
    assert KERNELS.information is not None
    assert KERNELS.information(parameters) == pytest.approx(2.0 * square, rel=1e-6)


def conditional(signal: float) -> tuple[Any, np.ndarray, Any, np.ndarray, list[np.ndarray]]:
    """Rows, weights, prior and log posterior of both parameters on a grid of their logs."""
    rng = np.random.default_rng(1)
    eta, weight, unit = rng.normal(size=30), rng.uniform(0.5, 1.5, 30), 2.0
    y = eta + 0.5 * rng.standard_t(3.0, 30)
    rows = single_rows(y, np.ones(30))._replace(weight=weight)
    sd_prior, r2 = bm.Prior("HalfNormal", sigma=1), bm.Prior("Beta", alpha=2, beta=3)
    table = np.stack([table_row(sd_prior), table_row(bm.StudentT().dof)])
    prior = (table, unit, signal, table_row(r2))
    grid = [np.linspace(-2.5, 1.0, 120), np.linspace(-1.5, 6.0, 120)]
    log_posterior = np.empty((120, 120))
    for i, log_sd in enumerate(grid[0]):
        sd = np.exp(log_sd)
        own = stats.halfnorm.logpdf(unit * sd) + log_sd
        if signal > 0.0:
            # Density of V where V / (V + sd^2) follows Beta(2, 3).
            total = signal + sd**2
            own += stats.beta.logpdf(signal / total, 2, 3) + np.log(sd**2 / total**2)
        for j, log_dof in enumerate(grid[1]):
            dof = np.exp(log_dof)
            rows_part = weight @ stats.t.logpdf(y, dof, eta, sd)
            other = stats.gamma.logpdf(dof, 2, scale=10) + log_dof
            log_posterior[i, j] = rows_part + own + other
    return rows, pack_tasks(eta[:, None]), prior, log_posterior, grid


def test_joint_density_of_the_parameters() -> None:
    """Loops and parameters together are the log-likelihood and priors, up to one constant."""
    rows, weights, prior, log_posterior, grid = conditional(signal=0.0)
    assert KERNELS.log_parameters is not None
    found, expected = [], []
    for i, j in ((0, 0), (50, 30), (119, 60), (80, 119)):
        parameters = np.array([grid[0][i], grid[1][j]])
        value = np.zeros((weights.shape[0], weights.shape[2]))
        KERNELS.evaluate(rows, weights, parameters, value)
        density = value.sum() + KERNELS.log_parameters(rows, parameters, prior)
        found.append(density + parameters.sum())
        expected.append(log_posterior[i, j])
    np.testing.assert_allclose(np.diff(found), np.diff(expected), rtol=1e-8)


@pytest.mark.parametrize("signal", [0.0, 3.0])
def test_update_draws_from_the_conditional(signal: float) -> None:
    """Against a sum over a grid, without and with the joint prior's signal."""
    rows, weights, prior, log_posterior, grid = conditional(signal)
    density = np.exp(log_posterior - log_posterior.max())
    density /= density.sum()
    rng, parameters, draws = np.random.default_rng(3), np.zeros(2), np.empty((6000, 2))
    assert KERNELS.update is not None
    for i in range(len(draws)):
        KERNELS.update(rows, weights, parameters, prior, rng)
        draws[i] = parameters
    centred = []
    for k in range(2):
        marginal = density.sum(axis=1 - k)
        mean = marginal @ grid[k]
        centred.append(grid[k] - mean)
        assert abs(draws[:, k].mean() - mean) < 4.0 * mcse(draws[:, k])
        assert draws[:, k].std() == pytest.approx(np.sqrt(marginal @ centred[k] ** 2), rel=0.08)
        draws[:, k] -= mean
    # Moves along the ridge change both at once.
    product, exact = draws.prod(axis=1), centred[0] @ density @ centred[1]
    assert abs(product.mean() - exact) < 4.0 * mcse(product)


def test_posterior_without_data_is_the_prior() -> None:
    """Noise, degrees of freedom and R-squared, whose prior refers to the current noise."""
    data = frame().assign(w=1e-9)
    relation = bm.Exchangeable(r2=bm.Prior("Beta", alpha=2, beta=2))
    noise = bm.Prior("LogNormal", mu=0.3, sigma=0.4)
    dof = bm.Prior("LogNormal", mu=1, sigma=0.7)
    likelihood = bm.StudentT(noise_sd=noise, dof=dof)
    problem = bm.Model("y ~ x", "task", relation, likelihood, weights="w").prepare(data).problem
    rng = np.random.default_rng(1)
    state, draws = start_corrected(problem, rng), np.empty((8000, 3))
    for i in range(len(draws)):
        corrected_sweep(problem, state, rng)
        signal = signal_variance(problem.prior, state.population)
        noise_square = noise_variance(problem, state.parameters)
        draws[i] = *state.parameters, signal / (signal + noise_square)
    draws[:, 0] += np.log(problem.reference_sd)
    marginals = (stats.norm(0.3, 0.4), stats.norm(1.0, 0.7), stats.beta(2, 2))
    for k, marginal in enumerate(marginals):
        for probability in (0.1, 0.5, 0.9):
            below = (draws[100:, k] < marginal.ppf(probability)).astype(float)
            assert abs(below.mean() - probability) < 4.5 * mcse(below), (k, probability)


def test_the_scale_of_the_response_is_robust() -> None:
    data = frame()
    model = bm.Model("y ~ x", "task", likelihood=bm.StudentT(), offset="off")
    problem = model.prepare(data).problem
    y = (data["y"] - data["off"]).to_numpy()
    assert problem.scaling.response_center == pytest.approx(np.median(y))
    assert problem.scaling.response_scale == pytest.approx(scaled_mad(y))
    rows = problem.row_data
    assert rows is not None
    internal = (y - np.median(y)) / scaled_mad(y)
    np.testing.assert_allclose(rows.response, internal, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(rows.offset, 0.0)
    # The starting noise is that of the rows about their tasks, not that of the response.
    big = frame(20, 60)
    start = bm.Model("y ~ x", "task", likelihood=bm.StudentT()).prepare(big).problem
    assert 0.45 < np.exp(start.row_parameters.start[0]) * start.reference_sd < 0.65
    plain = bm.Model("y ~ 0 + x", "task", likelihood=bm.StudentT(), standardize=False)
    scaling = plain.prepare(data).problem.scaling
    assert (scaling.response_center, scaling.response_scale) == (0.0, 1.0)


def test_start_lies_inside_the_support() -> None:
    data = frame()
    for low, high in ((50.0, 60.0), (0.01, 0.02)):
        prior = bm.Prior("Uniform", lower=low, upper=high)
        likelihood = bm.StudentT(noise_sd=prior, dof=prior)
        problem = bm.Model("y ~ x", "task", likelihood=likelihood).prepare(data).problem
        start = np.exp(problem.row_parameters.start) * [problem.reference_sd, 1.0]
        assert ((start > low) & (start < high)).all()
        assert np.isfinite(log_parameters(problem, problem.row_parameters.start))


@pytest.mark.parametrize("factor", [250.0, -0.01])
def test_other_units_give_the_same_posterior(factor: float) -> None:
    data = frame()
    other = data.assign(y=factor * data["y"] - 3.0)
    model = bm.Model("y ~ x", "task", likelihood=bm.StudentT())
    first, second = (fit(model, d, draws=40, tune=40) for d in (data, other))
    one, two = first["posterior"], second["posterior"]
    if factor > 0:
        np.testing.assert_allclose(two["weights"], factor * one["weights"], rtol=1e-6)
        np.testing.assert_allclose(two["intercept"], factor * one["intercept"] - 3.0, rtol=1e-6)
        np.testing.assert_allclose(two["noise_sd"], factor * one["noise_sd"], rtol=1e-6)
        np.testing.assert_allclose(two["dof"], one["dof"], rtol=1e-6)
        for name, least in (("difference", 1e-9), ("borrowing", 0.0)):
            relations = [f["task_relations"][name] for f in (first, second)]
            np.testing.assert_allclose(relations[1], relations[0], rtol=1e-6, atol=least)
    scale = [
        np.exp(model.prepare(d).problem.row_parameters.start[0]) * scaled_mad(d["y"].to_numpy())
        for d in (data, other)
    ]
    assert scale[1] == pytest.approx(abs(factor) * scale[0])


def gaussian(data: pd.DataFrame) -> tuple[xr.Dataset, xr.Dataset]:
    """Posteriors of the Gaussian and of the Student t likelihood."""
    likelihoods = (bm.Gaussian(noise="shared"), bm.StudentT())
    models = [bm.Model("y ~ x", "task", likelihood=likelihood) for likelihood in likelihoods]
    first, second = (fit(m, data, draws=1000, tune=300, chains=2)["posterior"] for m in models)
    return first.to_dataset(), second.to_dataset()


@pytest.mark.mcmc
def test_outliers_do_not_move_the_weights() -> None:
    clean = frame(12, 40, outliers=0.0)
    rng = np.random.default_rng(2)
    far = clean.copy()
    hit = rng.random(len(far)) < 0.05
    far.loc[hit, "y"] += rng.choice([-30.0, 30.0], hit.sum())
    plain, robust = gaussian(clean)
    sample = ("chain", "draw")
    # Without outliers both fits are nearly the same, with tails that are nearly normal.
    sd = plain["weights"].std(sample)
    assert float((abs((plain["weights"] - robust["weights"]).mean(sample)) / sd).max()) < 0.4
    assert float(robust["noise_sd"].mean() / plain["noise_sd"].mean()) == pytest.approx(1, abs=0.1)
    assert float(robust["dof"].mean()) > 10.0
    moved, stayed = gaussian(far)
    for name in ("weights", "intercept"):
        sd = plain[name].std(sample)
        assert float((abs((stayed[name] - plain[name]).mean(sample)) / sd).mean()) < 1.0, name
        assert float((abs((moved[name] - plain[name]).mean(sample)) / sd).mean()) > 2.0, name
    assert float(stayed["dof"].mean()) < 3.0
    # Noise and degrees of freedom mix well.
    ess = az.ess(stayed[["noise_sd", "dof"]])
    assert min(float(ess["noise_sd"]), float(ess["dof"])) > 0.3 * 2000


@pytest.mark.calibration
def test_same_posterior_as_nuts(tmp_path: Path) -> None:
    data = frame(5, 16)
    relation = bm.Exchangeable(r2=bm.Prior("Beta", alpha=2, beta=2))
    model = bm.Model(
        "y ~ x", "task", relation, bm.StudentT(), weights="w", offset="off", intercept=bm.Pooled()
    )
    data["y"] += data["off"]
    assert bm.Model.from_dict(model.to_dict()) == model
    names = ("weights", "intercept", "population_mean", "shared_fraction", "noise_sd", "dof")
    tree = assert_same_posterior(model, data, *names)
    posterior = tree["posterior"].to_dataset()
    assert tree["task_relations"].attrs["difference_unit"] == "noise standard deviations"
    values = bm.compute_log_likelihood(tree)["log_likelihood"]["y"].to_numpy()
    slope = posterior["weights"].sel(feature="x", task=data["task"].to_numpy())
    eta = posterior["intercept"].sel(task=data["task"].to_numpy()) + slope * data["x"].to_numpy()
    eta = (eta + data["off"].to_numpy()).transpose("chain", "draw", "task").to_numpy()
    sd, dof = (posterior[name].to_numpy()[..., None] for name in ("noise_sd", "dof"))
    y = data["y"].to_numpy()
    expected = data["w"].to_numpy() * stats.t.logpdf(y, dof, eta, sd)
    np.testing.assert_allclose(values, expected, rtol=1e-7, atol=1e-9)
    bm.save(tree, tmp_path / "fit.zarr")
    loaded = bm.load(tmp_path / "fit.zarr")
    drawn = bm.predict(loaded, kind="response", random_seed=2)["posterior_predictive"]["y"]
    np.testing.assert_allclose(loaded["posterior_predictive"]["mean"], eta, rtol=1e-9)
    inside = stats.t.cdf(drawn.to_numpy(), dof, eta, sd)
    assert abs(inside.mean() - 0.5) < 4.0 / np.sqrt(12 * inside.size)
    assert abs(inside.var() - 1 / 12) < 0.002


@pytest.mark.mcmc
def test_clusters_under_the_joint_prior() -> None:
    """Two groups of tasks are found, and the noise, despite outliers."""
    rng = np.random.default_rng(4)
    data = frame(10, 20)
    sign = np.where(np.arange(10) % 2 == 0, 1.0, -1.0)
    noise = 0.5 * rng.standard_t(3.0, len(data))
    data["y"] = 3.0 + 2.0 * np.repeat(sign, 20) * data["x"] + noise
    model = bm.Model("y ~ x", "task", bm.DirichletProcess(), bm.StudentT(), intercept=bm.Pooled())
    tree = fit(model, data, draws=400, tune=300, chains=2)
    together = tree["task_relations"]["coclustering"].to_numpy()
    same = sign[:, None] == sign
    assert together[same].min() > 0.8
    assert together[~same].max() < 0.05
    _, _, estimate = stats.t.fit(noise, floc=0.0)
    posterior = tree["posterior"]["noise_sd"]
    assert abs(float(posterior.mean()) - estimate) < 2.0 * float(posterior.std())


def test_known_noise_and_degrees_of_freedom_stay() -> None:
    model = bm.Model("y ~ x", "task", likelihood=bm.StudentT(noise_sd=0.5, dof=4))
    tree = fit(model, frame(), draws=20, tune=20)
    for name, value in (("noise_sd", 0.5), ("dof", 4.0)):
        np.testing.assert_allclose(tree["posterior"][name], value)
        assert tree["posterior"][name].attrs == {"constant": 1}
    text = str(model)
    assert "noise = 0.5" in text
    assert "dof = 4" in text


def test_story_names_the_default_priors() -> None:
    text = str(bm.Model("y ~ x", "task", likelihood=bm.StudentT()))
    for line in (
        "mean ~ Normal(median(y), 2.5 s_y)",
        "y_i ~ StudentT(dof, a_t + (x_i - mean(x))'w_t, noise), row i of task t",
        "noise ~ HalfNormal(s_y)",
        "dof ~ Gamma(2, 0.1)",
        "s_y: 1.4826 times the median absolute deviation of the response from median(y)",
    ):
        assert line in text


def test_prior_predictive_draws_noise_and_degrees_of_freedom() -> None:
    model = bm.Model("y ~ x", "task", likelihood=bm.StudentT())
    data = frame()
    prior = model.prior_predictive(data, draws=400, random_seed=1)["prior"]
    noise = prior["noise_sd"].to_numpy().ravel() / scaled_mad(data["y"].to_numpy())
    assert stats.kstest(noise, stats.halfnorm.cdf).pvalue > 1e-3
    dof = prior["dof"].to_numpy().ravel()
    assert stats.kstest(dof, stats.gamma(2, scale=10).cdf).pvalue > 1e-3
    # The joint prior refers to the noise of the same draw.
    size = abs(prior["weights"]).mean(("task", "feature")).to_numpy().ravel()
    assert stats.spearmanr(noise, size).statistic > 0.2


def test_responses_that_set_no_scale_are_refused() -> None:
    data = frame()
    data.loc[data.index[: len(data) * 2 // 3], "y"] = 1.5
    match = r"half of the responses or more are equal \(1.5\)"
    with pytest.raises(bm.InvalidDataError, match=match):
        bm.Model("y ~ x", "task", likelihood=bm.StudentT()).prepare(data)
    plain = bm.Model("y ~ x", "task", likelihood=bm.StudentT(), standardize=False)
    assert np.isfinite(plain.prepare(data).problem.row_parameters.start).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"noise_sd": 0}, "noise_sd must be positive, got 0"),
        ({"dof": 0}, "dof must be positive, got 0"),
        ({"dof": -1.0}, "dof must be at least 0, got -1"),
        ({"noise_sd": NORMAL}, "noise_sd must be at least 0, got Normal"),
        ({"dof": None}, "dof must be a number or a prior"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(bm.InvalidModelError, match=message):
        bm.StudentT(**settings)
