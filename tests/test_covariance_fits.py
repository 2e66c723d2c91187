"""Correlated tasks through the public names: closed forms, limits and awkward data."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

import bayesmtl as bm
from tests.oracles.cases import agree, fit, regression
from tests.oracles.comparisons import LONG, posterior, same_means
from tests.oracles.correlated import dense_moments, dense_posterior, fixed_model
from tests.oracles.monte_carlo import ess


def test_log_evidence_is_the_dense_normal_density() -> None:
    model, data, omega, sigma = fixed_model()
    mean, prior, design, rest = dense_moments(data, omega, sigma)
    dense = multivariate_normal(1.0 + design @ mean, design @ prior @ design.T + rest)
    assert model.log_evidence(data) == pytest.approx(dense.logpdf(data["y"]), rel=1e-10)
    again = bm.Model.from_dict(model.to_dict())
    assert again == model
    assert again.log_evidence(data) == pytest.approx(model.log_evidence(data), rel=1e-13)


@pytest.mark.mcmc
def test_the_posterior_of_fixed_covariances_is_the_dense_one() -> None:
    model, data, omega, sigma = fixed_model()
    center, covariance = dense_posterior(data, omega, sigma)
    weights = posterior(model, data, **LONG)["weights"].values
    flat = weights.reshape(*weights.shape[:2], -1)
    for i in range(flat.shape[2]):
        assert agree(flat[..., i], float(center[i]))
        for j in range(i + 1):
            product = (flat[..., i] - center[i]) * (flat[..., j] - center[j])
            assert agree(product, float(covariance[i, j]))


@pytest.mark.filterwarnings("ignore:.*effective features:bayesmtl.BayesMTLWarning")
def test_evidence_needs_fixed_covariances() -> None:
    _, data, *_ = fixed_model()
    model = bm.Model(
        "y ~ u + v",
        "task",
        bm.MatrixNormal("full", mean=0.0, scale=1.0),
        likelihood=bm.Gaussian(noise_sd=1.0),
        intercept=bm.Exchangeable(mean=0.0, scale=1.0),
    )
    with pytest.raises(bm.UnsupportedError, match="the covariance of the tasks is learned"):
        model.log_evidence(data)


def test_uncorrelated_tasks_are_exchangeable_or_independent() -> None:
    data = regression(4, 5, 2)
    common: dict[str, Any] = {
        "likelihood": bm.Gaussian(noise_sd=0.8),
        "intercept": bm.Exchangeable(mean=0.0, scale=1.0),
    }
    for mean in (0.0, bm.Prior("Normal", mu=0.0, sigma=2.0)):
        settings: dict[str, Any] = {"mean": mean, "scale": 1.5}
        of_matrix = bm.Model(
            "y ~ x0 + x1", "task", bm.MatrixNormal(np.eye(4), **settings), **common
        )
        plain = (
            bm.Exchangeable(**settings)
            if isinstance(mean, bm.Prior)
            else bm.Independent(**settings)
        )
        expected = bm.Model("y ~ x0 + x1", "task", plain, **common).log_evidence(data)
        assert of_matrix.log_evidence(data) == pytest.approx(expected, rel=1e-11)


@pytest.mark.mcmc
def test_uncorrelated_tasks_with_learned_scales_are_exchangeable() -> None:
    data = regression(5, 10, 2)
    matrix = posterior(bm.Model("y ~ x0 + x1", "task", bm.MatrixNormal(np.eye(5))), data, **LONG)
    plain = posterior(bm.Model("y ~ x0 + x1", "task"), data, **{**LONG, "random_seed": 8})
    same_means(matrix, plain, ["weights", "population_mean", "population_sd", "noise_sd"])


@pytest.mark.mcmc
@pytest.mark.filterwarnings("ignore:.*one task:bayesmtl.BayesMTLWarning")
def test_one_task_is_ridge_regression() -> None:
    data = regression(1, 8, 1)
    model = bm.Model(
        "y ~ 0 + x0",
        "task",
        bm.MatrixNormal([[4.0]], mean=0.0, scale=0.5),
        bm.Gaussian(noise_sd=0.7),
    )
    draws = posterior(model, data, **LONG)["weights"].values[..., 0, 0]
    x, y = data["x0"].to_numpy(), data["y"].to_numpy()
    precision = 1.0 + x @ x / 0.49
    assert agree(draws, float(x @ y / 0.49 / precision))
    assert agree((draws - draws.mean()) ** 2, float(1.0 / precision))


@pytest.mark.mcmc
@pytest.mark.parametrize("kind", ["full", "low_rank"])
@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_one_task_is_fitted(kind: str) -> None:
    tree = fit(bm.Model("y ~ x0", "task", bm.MatrixNormal(kind)), regression(1, 8, 1))
    assert np.isfinite(tree["posterior"]["weights"]).all()
    assert float(tree["posterior"]["task_sd"].min()) == 1.0


@pytest.mark.mcmc
def test_a_declared_task_without_rows_follows_those_it_is_correlated_with() -> None:
    data = regression(2, 30, 1)
    labels = ["task 00", "task 01", "task 02"]
    omega = pd.DataFrame(
        [[1.0, 0.0, 0.8], [0.0, 1.0, 0.0], [0.8, 0.0, 1.0]], index=labels, columns=labels
    )
    model = bm.Model(
        "y ~ 0 + x0",
        "task",
        bm.MatrixNormal(omega, mean=0.0, scale=2.0),
        bm.Gaussian(noise_sd=0.6),
    )
    weights = posterior(model, data, **LONG)["weights"].sel(feature="x0")
    first, empty = weights.sel(task="task 00").values, weights.sel(task="task 02").values
    assert agree(empty - 0.8 * first, 0.0)
    assert agree((empty - 0.8 * first) ** 2, 4.0 * (1.0 - 0.64))


@pytest.mark.mcmc
@pytest.mark.parametrize("kind", ["full", "low_rank"])
@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_awkward_data_are_fitted(kind: str) -> None:
    """Identical tasks, a feature given twice, more features than rows, scales of 1e-9 and 1e12.

    As powers of two, which lose nothing to rounding: else two chains would part after a while.
    """
    data = regression(4, 3, 2).assign(x2=lambda d: d["x0"], x3=lambda d: d["x0"] + d["x1"])
    twin = data[data["task"] == "task 00"].assign(task="twin")
    data = pd.concat([data, twin], ignore_index=True)
    model = bm.Model("y ~ x0 + x1 + x2 + x3", "task", bm.MatrixNormal(kind))
    tree = fit(model, data)
    small, large, units = 2.0**-30, 2.0**40, 2.0**20
    scaled = data.assign(x0=small * data["x0"], x1=large * data["x1"], y=units * data["y"])
    other = fit(model, scaled)
    for draws in (tree["posterior"], other["posterior"]):
        assert all(np.isfinite(values).all() for values in draws.to_dataset().data_vars.values())
    np.testing.assert_allclose(
        other["posterior"]["task_correlation"], tree["posterior"]["task_correlation"], atol=0.01
    )


@pytest.mark.mcmc
@pytest.mark.parametrize("kind", ["full", "low_rank"])
@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_strong_correlations_of_both_signs_are_found(kind: str, tmp_path: Any) -> None:
    rng = np.random.default_rng(5)
    direction = np.array([1.0, 1.0, -1.0, 0.0])
    shared = rng.normal(size=10)
    weights = np.outer(direction, shared) + 0.2 * rng.normal(size=(4, 10))
    weights[3] = rng.normal(size=10)
    task = np.repeat(np.arange(4), 40)
    x = rng.normal(size=(len(task), 10))
    data = pd.DataFrame(x, columns=[f"x{j}" for j in range(10)]).assign(task=task)
    data["y"] = (x * weights[task]).sum(axis=1) + rng.normal(size=len(task))
    terms = " + ".join(f"x{j}" for j in range(10))
    tree = fit(bm.Model(f"y ~ {terms}", "task", bm.MatrixNormal(kind)), data, draws=400, tune=400)
    relations = bm.task_relations(tree)
    found = relations["task_correlation"].sel(statistic="mean").to_numpy()
    assert found[0, 1] > 0.6
    assert found[0, 2] < -0.6
    assert abs(found[0, 3]) < 0.5
    assert float(relations["task_correlation"].sel(statistic="p_positive")[0, 2]) < 0.02
    prior = relations["prior_task_correlation"]
    assert abs(float(prior.sel(statistic="mean"))) < 0.05
    bm.save(tree, tmp_path / "fit.zarr")
    again = bm.load(tmp_path / "fit.zarr")
    new = data.head(5).assign(task=9)
    known = bm.predict(again, data.head(5), as_frame=True)
    told = bm.predict(
        again, new, given=data[data["task"] == 0].assign(task=9).head(30), as_frame=True
    )
    unknown = bm.predict(again, new, new_task="population", as_frame=True, random_seed=1)
    assert np.isfinite(known["mean"]).all()
    assert (told["sd"] < unknown["sd"]).all()


@pytest.mark.mcmc
@pytest.mark.parametrize(("kind", "feature"), [("full", "full"), ("low_rank", "diagonal")])
@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_the_prior_predictive_has_the_moments_of_the_prior(kind: str, feature: str) -> None:
    data = regression(3, 4, 2)
    relation = bm.MatrixNormal(
        kind, feature, mean=0.0, scale=1.0 if feature == "diagonal" else None
    )
    model = bm.Model("y ~ 0 + x0 + x1", "task", relation, bm.Gaussian(noise_sd=1.0))
    tree = model.prior_predictive(data, draws=400, random_seed=3)
    correlation = tree["prior"]["task_correlation"].to_numpy()[0]
    assert np.isfinite(tree["prior_predictive"]["y"]).all()
    assert abs(correlation[:, 0, 1].mean()) < 0.12
    assert ("rank" in tree["prior"]) == (kind == "low_rank")


@pytest.mark.parametrize("kind", ["full", "low_rank", "lkj"])
@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_methods_that_do_not_work_say_what_does(kind: str) -> None:
    data = regression(3, 5, 1)
    model = bm.Model("y ~ x0", "task", bm.MatrixNormal(kind))
    kinds = {name: bm.Gaussian() if name > "task 00" else bm.StudentT() for name in data["task"]}
    mixed = bm.Model("y ~ x0", "task", bm.MatrixNormal(kind), likelihood=kinds)
    with pytest.raises(bm.UnsupportedError, match="needs one likelihood for all tasks"):
        mixed.fit(data, progressbar=False)
    with pytest.raises(bm.UnsupportedError, match="'laplace_sites' does not work for correlated"):
        model.fit(data, inference="laplace_sites", progressbar=False)
    yes = data.assign(y=(data["y"] > 0).astype(int))
    binary = bm.Model("y ~ x0", "task", bm.MatrixNormal(kind), likelihood=bm.Bernoulli())
    with pytest.raises(bm.UnsupportedError, match="needs a Gaussian likelihood"):
        binary.fit(yes, inference="cavi", progressbar=False)
    if kind == "lkj":
        for likelihood in (bm.Gaussian(), bm.StudentT()):
            one = bm.Model("y ~ x0", "task", bm.MatrixNormal(kind), likelihood=likelihood)
            with pytest.raises(bm.UnsupportedError, match="'lkj' is for inference='nuts'"):
                one.fit(data, progressbar=False)


@pytest.mark.calibration
@pytest.mark.parametrize("kind", ["full", "low_rank"])
@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_nuts_agrees(kind: str) -> None:
    data = regression(4, 12, 2)
    model = bm.Model(
        "y ~ x0 + x1", "task", bm.MatrixNormal(kind), likelihood=bm.Gaussian(noise="shared")
    )
    gibbs = posterior(model, data, draws=3000, tune=500)
    nuts = posterior(
        model, data, draws=1000, tune=700, inference="nuts", target_accept=0.95, random_seed=4
    )
    same_means(gibbs, nuts, ["weights", "population_mean", "population_sd", "noise_sd"])
    one, other = (draws["task_correlation"].values for draws in (gibbs, nuts))
    for s, t in zip(*np.triu_indices(4, 1), strict=True):
        for power in (1, 2):
            assert agree(one[..., s, t] ** power, other[..., s, t] ** power, 4.2), (s, t, power)


def yes_or_no(correlation: np.ndarray, *, n_rows: int = 40, n_features: int = 3) -> pd.DataFrame:
    """Rows of tasks whose weights have these correlations."""
    n_tasks, rng = len(correlation), np.random.default_rng(8)
    weights = np.linalg.cholesky(correlation) @ rng.normal(size=(n_tasks, n_features))
    task = np.repeat(np.arange(n_tasks), n_rows)
    x = rng.normal(size=(len(task), n_features))
    eta = (x * weights[task]).sum(axis=1) + rng.logistic(size=len(task))
    data = pd.DataFrame({f"x{j}": x[:, j] for j in range(n_features)})
    return data.assign(y=(eta > 0.0).astype(int), task=[f"task {t:02d}" for t in task])


SIGNED = np.array([[1.0, 0.8, -0.8], [0.8, 1.0, -0.8], [-0.8, -0.8, 1.0]])


@pytest.mark.calibration
@pytest.mark.parametrize("kind", ["full", "low_rank"])
@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_nuts_agrees_on_yes_or_no(kind: str) -> None:
    data = yes_or_no(SIGNED)
    relation = bm.MatrixNormal(kind)
    model = bm.Model("y ~ x0 + x1 + x2", "task", relation, likelihood=bm.Bernoulli())
    gibbs = posterior(model, data, draws=8000, tune=500, cores=2)
    nuts = posterior(
        model, data, draws=1000, tune=700, inference="nuts", target_accept=0.95, random_seed=4
    )
    same_means(gibbs, nuts, ["weights", "population_mean", "population_sd", "intercept"])
    one, other = (draws["task_correlation"].values for draws in (gibbs, nuts))
    for s, t in zip(*np.triu_indices(3, 1), strict=True):
        for power in (1, 2):
            assert agree(one[..., s, t] ** power, other[..., s, t] ** power, 4.2), (s, t, power)


@pytest.mark.calibration
@pytest.mark.parametrize("likelihood", [bm.Bernoulli(), bm.Poisson()], ids=str)
def test_uncorrelated_tasks_of_rows_are_exchangeable(likelihood: Any) -> None:
    data = yes_or_no(np.eye(4), n_rows=15, n_features=2)
    matrix = bm.Model("y ~ x0 + x1", "task", bm.MatrixNormal(np.eye(4)), likelihood=likelihood)
    plain = bm.Model("y ~ x0 + x1", "task", likelihood=likelihood)
    one = posterior(matrix, data, **{**LONG, "draws": 6000})
    two = posterior(plain, data, **{**LONG, "draws": 6000, "random_seed": 8})
    same_means(one, two, ["weights", "population_mean", "population_sd", "intercept"])


@pytest.mark.mcmc
@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_the_sampler_of_yes_or_no_mixes() -> None:
    """Guards against sweeps that condition on the weights alone."""
    data = yes_or_no(SIGNED, n_rows=100, n_features=5)
    terms = " + ".join(f"x{j}" for j in range(5))
    model = bm.Model(f"y ~ {terms}", "task", bm.MatrixNormal("full"), likelihood=bm.Bernoulli())
    draws = posterior(model, data, draws=3000, tune=500, chains=1)
    for s, t in zip(*np.triu_indices(3, 1), strict=True):
        assert ess(draws["task_correlation"].values[0, :, s, t]) > 150
    for values in draws["weights"].values[0].reshape(3000, -1).T:
        assert ess(values) > 300


@pytest.mark.mcmc
@pytest.mark.parametrize("kind", ["full", "low_rank"])
@pytest.mark.parametrize("likelihood", [bm.Bernoulli(), bm.Poisson()], ids=str)
@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_awkward_rows_are_fitted(kind: str, likelihood: Any) -> None:
    """Identical and separated tasks, one of a single row, one constant, a feature given twice."""
    data = regression(4, 6, 2).assign(x2=lambda d: d["x0"])
    data["y"] = (data["x0"] > 0.0).astype(int)
    twin = data[data["task"] == "task 00"].assign(task="twin")
    constant = data[data["task"] == "task 01"].assign(task="constant", y=0)
    single = data.head(1).assign(task="single")
    data = pd.concat([data, twin, constant, single], ignore_index=True)
    data["x1"] *= 1e8
    model = bm.Model("y ~ x0 + x1 + x2", "task", bm.MatrixNormal(kind), likelihood=likelihood)
    tree = fit(model, data, draws=1500, tune=300)
    draws = tree["posterior"].to_dataset()
    assert all(np.isfinite(values).all() for values in draws.data_vars.values())
