"""Fits of correlated tasks by coordinate ascent: exact cases, form and say of the result, data."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmtl as bm
from bayesmtl.inference.cavi_covariance import fit_correlated, sample_correlated
from bayesmtl.relations.covariance import cavi_dense
from tests.oracles.cases import regression
from tests.oracles.correlated import dense_posterior, fixed_model

APPROXIMATE = "APPROXIMATE: draws of cavi, not of the posterior"
QUIET = pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
RELATIONS: dict[str, Any] = {
    "full": bm.MatrixNormal("full"),
    "both full": bm.MatrixNormal("full", "full"),
    "low_rank": bm.MatrixNormal("low_rank"),
    "low_rank, full": bm.MatrixNormal("low_rank", "full"),
    "subspace": bm.LowRank(),
}


def model(relation: Any, formula: str = "y ~ x0 + x1", **settings: Any) -> bm.Model:
    return bm.Model(formula, "task", relation, **settings)


def fit(model: bm.Model, data: Any, **settings: Any) -> Any:
    sizes = {"draws": 200, "chains": 2, "random_seed": 1} | settings
    return model.fit(data, inference="cavi", progressbar=False, **sizes)


def correlated(seed: int = 5, n_features: int = 10, n_rows: int = 40) -> pd.DataFrame:
    """Weights of tasks 0 and 1 correlate by 0.95, those of 2 by -0.95 with both, 3 is alone."""
    rng = np.random.default_rng(seed)
    weights = np.outer([1.0, 1.0, -1.0, 0.0], rng.normal(size=n_features))
    weights += 0.2 * rng.normal(size=weights.shape)
    weights[3] = rng.normal(size=n_features)
    task = np.repeat(np.arange(4), n_rows)
    x = rng.normal(size=(len(task), n_features))
    data = pd.DataFrame(x, columns=[f"x{j}" for j in range(n_features)])
    noise = rng.normal(size=len(task))
    return data.assign(task=task, y=(x * weights[task]).sum(axis=1) + noise)


def all_features(data: pd.DataFrame) -> str:
    return "y ~ " + " + ".join(name for name in data.columns if name.startswith("x"))


def test_the_bound_of_a_fixed_model_is_its_log_evidence() -> None:
    one, data, *_ = fixed_model()
    found = fit_correlated(one.prepare(data).problem, one.likelihood, np.random.default_rng(0))
    assert found.fit.elbo == pytest.approx(one.log_evidence(data), rel=1e-10)
    tree = fit(one, data)
    assert tree.attrs["elbo"] == pytest.approx(one.log_evidence(data), rel=1e-10)
    assert tree.attrs["pareto_k"] == 0.0
    assert json.loads(tree.attrs["point_estimates"]) == []
    assert tree.attrs["verdict"].startswith(APPROXIMATE + "; k-hat 0.00")


def test_draws_of_a_fixed_model_are_the_dense_posterior() -> None:
    one, data, omega, sigma = fixed_model()
    mean, covariance = dense_posterior(data, omega, sigma)
    weights = fit(one, data, draws=10_000)["posterior"]["weights"].to_numpy()
    flat = weights.reshape(-1, mean.size)
    sd = np.sqrt(covariance.diagonal())
    assert np.abs((flat.mean(axis=0) - mean) / sd).max() < 4.5 / np.sqrt(len(flat))
    found = np.cov(flat.T)
    assert np.abs((found - covariance) / np.outer(sd, sd)).max() < 0.05


def log_evidence_over_covariances(data: pd.DataFrame, n_draws: int) -> float:
    """Of three tasks and the model below, by draws of the covariance from its prior."""
    rng = np.random.default_rng(1)
    code = data["task"].str[-1].astype(int).to_numpy()
    x = data[["x0", "x1"]].to_numpy() - data[["x0", "x1"]].to_numpy().mean(axis=0)
    same = code[:, None] == code
    rest = 4.0 * x @ x.T + 1.0 * same + 0.49 * np.eye(len(x))
    deviation = data["y"].to_numpy() - 2.0
    value = np.empty(n_draws)
    for s in range(n_draws):
        # Huang and Wand 2013, eq. 2, as a Wishart precision.
        normal = rng.normal(size=(3, 4)) / np.sqrt(4.0 * rng.gamma(0.5, 1.0, 3))[:, None]
        omega = np.linalg.inv(normal @ normal.T)
        covariance = omega[np.ix_(code, code)] * (x @ x.T) + rest
        log_det = np.linalg.slogdet(2.0 * np.pi * covariance)[1]
        value[s] = -0.5 * (log_det + deviation @ np.linalg.solve(covariance, deviation))
    return float(np.log(np.exp(value - value.max()).mean()) + value.max())


@QUIET
def test_bound_is_below_the_evidence() -> None:
    """Scales and noise fixed; the product of the factors of weights and covariance costs some."""
    relation = bm.MatrixNormal("full", mean=bm.Prior("Normal", mu=0, sigma=2), scale=1.0)
    intercept = bm.Exchangeable(mean=2.0, scale=1.0)
    one = model(relation, likelihood=bm.Gaussian(noise_sd=0.7), intercept=intercept)
    data = regression(3, 6, 2)
    problem = one.prepare(data).problem
    draws, report = sample_correlated(problem, one.likelihood, draws=500, chains=1, random_seed=0)
    evidence = log_evidence_over_covariances(data, 4000)
    assert evidence - 4.5 < report.elbo < evidence
    assert report.point_estimates == []
    assert report.pareto_k is not None
    assert report.pareto_k < 1.2
    assert np.isfinite(draws.lp).all()


@QUIET
@pytest.mark.parametrize("name", RELATIONS)
def test_result_has_the_form_of_a_gibbs_fit(name: str) -> None:
    data = regression(4, 8, 2).assign(z=lambda d: d["task"].str[-1].astype(float))
    one = model(RELATIONS[name], task_features="~ z")
    tree = fit(one, data)
    gibbs = one.fit(data, draws=20, tune=5, chains=2, random_seed=1, progressbar=False)
    for group in ("posterior", "task_relations", "constant_data", "sample_stats"):
        ours, theirs = tree[group].to_dataset(), gibbs[group].to_dataset()
        assert set(ours.data_vars) == set(theirs.data_vars)
        for variable in ours.data_vars:
            assert ours[variable].dims == theirs[variable].dims
            assert ours[variable].dtype == theirs[variable].dtype
            assert ours[variable].attrs == theirs[variable].attrs
    assert all(np.isfinite(x).all() for x in tree["posterior"].to_dataset().data_vars.values())
    trace = np.array(tree.attrs["elbo_trace"])
    assert np.diff(trace).min() > -1e-8


@QUIET
@pytest.mark.parametrize("name", RELATIONS)
def test_result_says_what_it_is_and_predicts(name: str, tmp_path: Path) -> None:
    data = regression(5, 8, 2)
    one = model(RELATIONS[name], likelihood=bm.Gaussian(noise="shared"))
    tree = fit(one, data)
    assert tree.attrs["approximate"] == 1
    assert np.isfinite(tree.attrs["elbo"])
    assert "factorised" not in tree.attrs
    points = json.loads(tree.attrs["point_estimates"])
    full = RELATIONS[name].feature_covariance == "full"
    expected = ["intercept_sd"] if full else ["intercept_sd", "scale", "shared_fraction"]
    low_rank = name in ("low_rank", "low_rank, full", "subspace")
    assert points == [*expected, "noise_sd", *(["own_sd"] if low_rank else [])]
    assert APPROXIMATE in tree.attrs["verdict"]
    assert "with point estimates of intercept_sd" in tree.attrs["verdict"]
    assert float(tree["posterior"]["noise_sd"].std()) < 1e-12
    for variable in ("weights", "population_mean", "intercept"):
        assert float(tree["posterior"][variable].std(("chain", "draw")).min()) > 0.0
    bm.save(tree, tmp_path / "fit.zarr")
    again = bm.load(tmp_path / "fit.zarr")
    assert again.identical(tree)
    new = data.head(3).assign(task="new")
    known = bm.predict(again, data.head(3), as_frame=True)
    told = bm.predict(again, new, given=data.head(8).assign(task="new"), as_frame=True)
    unknown = bm.predict(again, new, new_task="population", as_frame=True, random_seed=1)
    assert np.isfinite(known["mean"]).all()
    assert (told["sd"] < unknown["sd"]).all()


@QUIET
def test_same_seed_same_draws() -> None:
    data = regression(4, 8, 2)
    for relation in (RELATIONS["both full"], RELATIONS["low_rank, full"]):
        one, other = (fit(model(relation), data, draws=20)["posterior"] for _ in range(2))
        assert one.to_dataset().equals(other.to_dataset())


@QUIET
@pytest.mark.parametrize("kind", ["full", "low_rank"])
def test_strong_correlations_of_both_signs_are_found(kind: str) -> None:
    data = correlated()
    relation = bm.MatrixNormal(kind)
    tree = fit(model(relation, all_features(data)), data)
    found = bm.task_relations(tree)["task_correlation"].sel(statistic="mean").to_numpy()
    assert found[0, 1] > 0.6
    assert found[0, 2] < -0.6
    assert abs(found[0, 3]) < 0.5
    if kind == "low_rank":
        probability = bm.task_relations(tree)["rank_probability"]
        assert float(probability.sel(rank=[1, 2]).sum()) > 0.5


@pytest.mark.mcmc
@QUIET
@pytest.mark.parametrize("kind", ["full", "low_rank"])
def test_correlations_are_near_those_of_gibbs(kind: str) -> None:
    """Within a posterior sd, with intervals that are too short: own parts are point estimates."""
    data = correlated()
    one = model(bm.MatrixNormal(kind), all_features(data))
    gibbs = one.fit(data, draws=2000, tune=1000, chains=2, random_seed=1, progressbar=False)
    draws = [
        tree["posterior"]["task_correlation"].to_numpy().reshape(-1, 4, 4)[:, i, j]
        for tree in (gibbs, fit(one, data, draws=1000))
        for i, j in [np.triu_indices(4, 1)]
    ]
    sd = draws[0].std(axis=0)
    assert (np.abs(draws[0].mean(axis=0) - draws[1].mean(axis=0)) < sd).all()
    width = [np.subtract(*np.quantile(one, [0.95, 0.05], axis=0)) for one in draws]
    assert ((width[1] / width[0] > 0.25) & (width[1] / width[0] < 1.2)).all()


def test_too_many_weights_are_taken_as_independent(monkeypatch: pytest.MonkeyPatch) -> None:
    data = correlated()
    one = model(bm.MatrixNormal("full"), all_features(data))
    joint = fit(one, data, draws=50)
    monkeypatch.setattr(cavi_dense, "_MOST_JOINT", 10)
    with pytest.warns(bm.BayesMTLWarning) as caught:
        tree = fit(one, data, draws=500)
    messages = [str(one.message) for one in caught]
    assert any("44 coefficients are too many for one normal distribution" in m for m in messages)
    assert tree.attrs["factorised"] == 1
    assert "the weights of the tasks taken as independent of each other" in tree.attrs["verdict"]
    assert "how far it is from the posterior is not known (no k-hat)" in tree.attrs["verdict"]
    assert "pareto_k" not in tree.attrs
    assert np.diff(tree.attrs["elbo_trace"]).min() > -1e-7
    assert tree.attrs["elbo"] < joint.attrs["elbo"]
    weights = tree["posterior"]["weights"].to_numpy().reshape(-1, 4, 10)
    within = np.corrcoef(weights[:, 0].T)
    across = np.corrcoef(weights[:, 0].T, weights[:, 1].T)[:10, 10:]
    assert np.abs(within - np.eye(10)).max() > 4.0 / np.sqrt(1000)
    assert np.abs(across).max() < 5.0 / np.sqrt(1000)


@QUIET
def test_many_draws_of_many_weights_come_from_their_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    from bayesmtl.inference import cavi_dense_draws

    data = correlated(n_features=4)
    one = model(bm.MatrixNormal("full"), all_features(data))
    exact = fit(one, data, draws=2000)
    # Affordable for a tenth of the draws.
    monkeypatch.setattr(cavi_dense_draws, "_WORK", 400 * 25.0**3)
    other = fit(one, data, draws=2000)
    assert other.attrs["pareto_k"] > 0.0
    first, second = (tree["posterior"]["weights"] for tree in (exact, other))
    sd = first.std(("chain", "draw"))
    assert float(np.abs((first - second).mean(("chain", "draw")) / sd).max()) < 0.15
    assert np.isfinite(other["sample_stats"]["lp"]).all()
    monkeypatch.setattr(cavi_dense_draws, "_WORK", 0.0)
    assert "pareto_k" not in fit(one, data, draws=200).attrs


@QUIET
@pytest.mark.parametrize("name", RELATIONS)
def test_one_task_is_fitted(name: str) -> None:
    tree = fit(model(RELATIONS[name], "y ~ x0"), regression(1, 8, 1))
    assert np.isfinite(tree["posterior"]["weights"]).all()
    assert float(tree["posterior"]["task_sd"].min()) == 1.0


def test_a_declared_task_without_rows_follows_those_it_is_correlated_with() -> None:
    data = regression(2, 30, 1)
    labels = ["task 00", "task 01", "task 02"]
    omega = pd.DataFrame(
        [[1.0, 0.0, 0.8], [0.0, 1.0, 0.0], [0.8, 0.0, 1.0]], index=labels, columns=labels
    )
    one = model(
        bm.MatrixNormal(omega, mean=0.0, scale=2.0),
        "y ~ 0 + x0",
        likelihood=bm.Gaussian(noise_sd=0.6),
    )
    weights = fit(one, data, draws=4000)["posterior"]["weights"].sel(feature="x0")
    first, empty = weights.sel(task="task 00").values, weights.sel(task="task 02").values
    rest = empty - 0.8 * first
    assert abs(rest.mean()) < 4.0 * rest.std() / np.sqrt(rest.size)
    assert rest.var() == pytest.approx(4.0 * (1.0 - 0.64), rel=0.08)


@QUIET
@pytest.mark.parametrize("name", RELATIONS)
def test_awkward_data_are_fitted(name: str) -> None:
    """A twin, a feature given twice, a constant, fewer rows than features, scales of 1e-9, 1e12."""
    data = regression(4, 3, 2).assign(x2=lambda d: d["x0"], x3=lambda d: d["x0"] + d["x1"])
    twin = data[data["task"] == "task 00"].assign(task="twin")
    data = pd.concat([data, twin], ignore_index=True)
    one = model(RELATIONS[name], "y ~ x0 + x1 + x2 + x3")
    scaled = data.assign(x0=1e-9 * data["x0"], x1=1e12 * data["x1"], y=1e6 * data["y"])
    trees = [fit(one, data), fit(one, scaled)]
    for tree in trees:
        draws = tree["posterior"].to_dataset()
        assert all(np.isfinite(values).all() for values in draws.data_vars.values())
        assert np.diff(tree.attrs["elbo_trace"]).min() > -1e-7
    means = [tree["posterior"]["task_correlation"].mean(("chain", "draw")) for tree in trees]
    np.testing.assert_allclose(means[1], means[0], atol=0.02)


@QUIET
@pytest.mark.parametrize("noise", ["hierarchical", "shared"])
@pytest.mark.parametrize("kind", ["full", "low_rank"])
def test_responses_without_noise_are_fitted(kind: str, noise: str) -> None:
    data = regression(3, 6, 2).assign(y=lambda d: d["x0"] - 2.0 * d["x1"])
    tree = fit(model(bm.MatrixNormal(kind), likelihood=bm.Gaussian(noise=noise)), data)
    weights = tree["posterior"]["weights"].mean(("chain", "draw", "task"))
    np.testing.assert_allclose(weights, [1.0, -2.0], atol=1e-3)
    # Sums of squares are rounding errors, over a variance that is as small.
    assert np.diff(tree.attrs["elbo_trace"]).min() > -1e-2


@QUIET
def test_weights_that_are_all_fixed() -> None:
    relation = bm.MatrixNormal(np.eye(3), mean=0.5, scale=0.0)
    one = model(relation, likelihood=bm.Gaussian(noise_sd=1.0), intercept="none")
    data = regression(3, 6, 2)
    tree = fit(one, data)
    assert (tree["posterior"]["weights"] == 0.5).all()
    assert tree.attrs["elbo"] == pytest.approx(one.log_evidence(data))


@QUIET
def test_a_scale_of_zero_and_priors_of_other_families() -> None:
    data = regression(4, 10, 3)
    scale = {"x0": 0.0, "x1": bm.Prior("Uniform", lower=0.2, upper=0.3), "x2": 1.0}
    for kind in ("full", "low_rank", np.eye(4) + 0.5):
        relation = bm.MatrixNormal(kind, mean=bm.Prior("StudentT", nu=4), scale=scale)
        tree = fit(model(relation, "y ~ x0 + x1 + x2", intercept="none"), data)
        draws = tree["posterior"]
        assert float(draws["weights"].sel(feature="x0").std("task").max()) < 1e-12
        named = "scale" if isinstance(kind, str) else "population_sd"
        assert json.loads(tree.attrs["point_estimates"])[:2] == [named, "population_mean"]
        assert float(draws["population_mean"].std(("chain", "draw")).max()) < 1e-12
        assert np.isfinite(draws["weights"]).all()


@QUIET
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task_covariance": "lkj"}, "'lkj' is for inference='nuts': use it.*inference='cavi'"),
        (
            {"feature_covariance": "full", "scale": 1.0},
            "no update of LKJ correlations of features: leave scale= out.* use inference='gibbs'",
        ),
    ],
    ids=["lkj", "separate scales"],
)
def test_what_does_not_work_is_named(settings: Any, message: str) -> None:
    with pytest.raises(bm.UnsupportedError, match=message):
        fit(model(bm.MatrixNormal(**settings)), regression(3, 5, 2))


@QUIET
def test_other_likelihoods_are_refused() -> None:
    one = model(bm.LowRank(), likelihood=bm.StudentT())
    with pytest.raises(
        bm.UnsupportedError,
        match=r"'cavi' of correlated tasks needs a Gaussian.* use inference='gibbs' or 'nuts'",
    ):
        fit(one, regression(3, 5, 2))
