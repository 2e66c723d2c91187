"""Decompositions through the public names."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmtl as bm
from bayesmtl.relations.exchangeable.horseshoe import SPREAD_SCALE, expected_variance
from bayesmtl.relations.sparse.state import SparsePrior, simulate_sparse

pytestmark = pytest.mark.filterwarnings("ignore:.*(CHECK|single|effective).*")
FORMULA = "y ~ " + " + ".join(f"x{j}" for j in range(5))
DEVIATING = ((0, 1), (4, 3), (9, 0))
SHORT: dict[str, Any] = {"draws": 250, "tune": 250, "chains": 2, "random_seed": 1}


def tasks(n_tasks: int = 10, n_rows: int = 25) -> pd.DataFrame:
    """Tasks of equal weights, of which three have another one."""
    rng = np.random.default_rng(4)
    weights = np.tile([1.0, -0.5, 0.3, 0.0, 0.8], (n_tasks, 1))
    for t, j in DEVIATING:
        weights[t, j] += 2.0
    task = np.repeat(np.arange(n_tasks), n_rows)
    x = rng.normal(size=(len(task), 5))
    frame = pd.DataFrame(x, columns=[f"x{j}" for j in range(5)])
    frame["task"] = [f"t{t}" for t in task]
    frame["y"] = (x * weights[task]).sum(axis=1) + 0.7 * rng.normal(size=len(task))
    return frame


@pytest.mark.mcmc
@pytest.mark.parametrize(
    "common",
    [bm.Pooled(), bm.Exchangeable(), bm.LowRank(), bm.DirichletProcess(), bm.FiniteMixture()],
    ids=lambda common: type(common).__name__,
)
def test_deviations_are_found_and_shares_add_up(common: Any, tmp_path: Any) -> None:
    model = bm.Model(FORMULA, task="task", relation=bm.Decomposition(common))
    idata = model.fit(tasks(), progressbar=False, **SHORT)
    posterior = idata["posterior"]
    found = posterior["sparse_part"].mean(("chain", "draw")).to_numpy()
    deviating = np.zeros(found.shape, dtype=bool)
    deviating[tuple(np.transpose(DEVIATING))] = True
    whole = posterior["weights"].mean(("chain", "draw")).to_numpy()
    for t, j in DEVIATING:
        others = np.delete(whole[:, j], t)
        assert whole[t, j] - others.mean() > 1.3
    if not isinstance(common, bm.DirichletProcess | bm.FiniteMixture | bm.LowRank):
        # With these, deviations might have a cluster or a factor of their own.
        assert (found[deviating] > 1.0).all()
    assert np.abs(found[~deviating]).max() < 0.5
    share = posterior["variance_share"]
    np.testing.assert_allclose(share.sum("part"), 1.0)
    assert (share >= 0.0).all()
    bm.save(idata, tmp_path / "fit.zarr")
    again = bm.load(tmp_path / "fit.zarr")
    new = tasks().query("task == 't1'").assign(task="new")
    blind = bm.predict(again, new, new_task="population", as_frame=True, random_seed=1)
    told = bm.predict(again, new, given=new, as_frame=True, random_seed=1)
    assert np.isfinite(blind["sd"]).all()
    assert told["sd"].mean() < 0.5 * blind["sd"].mean()


@pytest.mark.calibration
def test_nuts_and_gibbs_agree() -> None:
    frame = tasks(n_tasks=10, n_rows=8)
    model = bm.Model(FORMULA, task="task", relation=bm.Decomposition(bm.Pooled()))
    settings: dict[str, Any] = {"draws": 800, "tune": 800, "chains": 4, "random_seed": 3}
    means, errors = [], []
    for method in ("gibbs", "nuts"):
        idata = model.fit(frame, inference=method, progressbar=False, **settings)
        chains = idata["posterior"]["weights"].mean("draw")
        means.append(chains.mean("chain").to_numpy())
        errors.append(chains.std("chain", ddof=1).to_numpy() / 2.0)
    assert (np.abs(means[0] - means[1]) < 0.03 + 5.0 * np.hypot(*errors)).all()


def test_a_new_task_has_the_expected_variance_of_deviations() -> None:
    rng = np.random.default_rng(0)
    hyper = np.array([1.0, 0.7, 1.9])
    u = np.abs(rng.standard_cauchy(400_000)) * hyper[1]
    simulated = np.mean(hyper[2] ** 2 * u**2 / (hyper[2] ** 2 + u**2))
    assert expected_variance(hyper) == pytest.approx(simulated, rel=0.01)


def test_prior_draws_leave_the_intercept_alone() -> None:
    prior = SparsePrior(np.array([np.nan, 0.2]))
    state = simulate_sparse(prior, 50, 1, 4, np.random.default_rng(0))
    assert not state.part[:, 0].any()
    assert (np.abs(state.part[:, 1:]) > 0.0).all()
    assert state.hyper[SPREAD_SCALE] > 0.0
    model = bm.Model(FORMULA, task="task", relation=bm.Decomposition())
    drawn = model.prior_predictive(tasks(), draws=50, random_seed=1)
    assert np.isfinite(drawn["prior"]["weights"]).all()


def test_the_settings_survive_json_and_are_told() -> None:
    relation = bm.Decomposition(bm.DirichletProcess(concentration=1.0), sparse=0.05)
    model = bm.Model(FORMULA, task="task", relation=relation)
    assert bm.Model.from_dict(model.to_dict()) == model
    assert "w_t = v_t + e_t   [Decomposition]" in str(model)
    assert "Dirichlet process" in str(model)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"common": bm.Independent()}, "common must be one of"),
        ({"common": bm.Exchangeable(feature_covariance="full")}, "feature_covariance='diagonal'"),
        ({"common": bm.MatrixNormal("full")}, "task_covariance='low_rank'"),
        ({"sparse": 0.0}, "between 0 and 1"),
        ({"sparse": True}, "between 0 and 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(bm.InvalidModelError, match=match):
        bm.Decomposition(**settings)


@pytest.mark.parametrize(
    ("common", "likelihood", "method", "match"),
    [
        (bm.LowRank(), bm.Gaussian(), "advi", "use inference='gibbs' or 'nuts'"),
        (bm.DirichletProcess(), bm.Gaussian(), "nuts", "with clusters: use inference='gibbs'"),
        (bm.Pooled(), bm.Bernoulli(), "gibbs", "use inference='nuts'"),
    ],
)
def test_methods_that_do_not_work_are_refused(
    common: Any, likelihood: Any, method: str, match: str
) -> None:
    frame = tasks()
    if not isinstance(likelihood, bm.Gaussian):
        frame = frame.assign(y=(frame["y"] > 0).astype(int))
    model = bm.Model(FORMULA, task="task", relation=bm.Decomposition(common), likelihood=likelihood)
    with pytest.raises(bm.UnsupportedError, match=match):
        model.fit(frame, inference=method, draws=5, tune=5, chains=1, progressbar=False)


def test_the_evidence_has_no_closed_form() -> None:
    relation = bm.Decomposition(bm.Pooled(mean=1.0))
    model = bm.Model(
        "y ~ 0 + x0", task="task", relation=relation, likelihood=bm.Gaussian(noise_sd=1.0)
    )
    with pytest.raises(bm.UnsupportedError, match="scale of the sparse deviations is learned"):
        model.log_evidence(tasks())
