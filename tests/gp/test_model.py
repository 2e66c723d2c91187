"""Settings of functions: refusals, JSON, priors that follow, evidence of fixed ones."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmtl as bm
from bayesmtl.gp.data import response_spread
from bayesmtl.numerics.densities import CODES
from bayesmtl.numerics.kernels import kernel_values, scaled_distances
from tests.gp.cases import curves

CORRELATION = np.array([[1.0, 0.8, -0.6], [0.8, 1.0, -0.4], [-0.6, -0.4, 1.0]])
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"formula": "~ x"}, "no left side, and a response is needed"),
    ({"task": 3}, "task must be the name of a column, got 3"),
    ({"kernel": "matern"}, "kernel must be one of 'matern12', .*, got 'matern'"),
    ({"coregionalization": "full"}, "coregionalization must be one of 'icm', 'lmc'"),
    ({"noise": "hierarchical"}, "noise must be one of 'task', 'shared', got 'hierarchical'"),
    ({"missing": "impute"}, "missing must be one of 'error', 'drop'"),
    ({"rank": 0}, "rank must be a positive integer, got 0"),
    ({"components": 1.5}, "components must be a positive integer, got 1.5"),
    ({"task_covariance": np.eye(2), "rank": 1}, "task_covariance= gives B itself"),
    (
        {"task_covariance": np.eye(2), "coregionalization": "lmc"},
        "task_covariance= gives B itself",
    ),
    ({"task_covariance": -np.eye(2)}, "positive definite"),
    ({"lengthscale": 0.0}, "MultiTaskGP lengthscale must be positive, got 0"),
    ({"lengthscale": bm.Prior("Normal", mu=0, sigma=1)}, "MultiTaskGP lengthscale must be at"),
    ({"noise_sd": {"a": -1.0}}, "MultiTaskGP noise_sd must be at least 0, got -1"),
    ({"noise": "shared", "noise_sd": [1.0, 2.0]}, "noise_sd of noise='shared' must be one prior"),
    ({"intercept": bm.Prior("Cauchy")}, "intercept must be a Normal prior, a number or None"),
    ({"likelihood": bm.Ordinal(levels=["a", "b"])}, "likelihood must be one of bm.Gaussian"),
    ({"likelihood": bm.Gaussian(noise="shared")}, "the noise of MultiTaskGP is set by noise="),
    ({"likelihood": bm.Bernoulli(), "noise_sd": 1.0}, "noise= and noise_sd= go with bm.Gaussian"),
    ({"likelihood": bm.Bernoulli(), "intercept": 1.0}, "intercept must be a Normal prior or None"),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(bm.InvalidModelError, match=message):
        bm.MultiTaskGP(**{"formula": "y ~ x", "task": "task", **settings})


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"rank": 2, "kernel": "rbf", "missing": "drop"},
        {"coregionalization": "lmc", "components": 3},
        {"task_covariance": np.eye(3), "lengthscale": [2.0], "noise_sd": {"a": 1.0}},
        {"noise": "shared", "noise_sd": bm.Prior("HalfNormal", sigma=2.0), "intercept": 1.0},
        {"likelihood": bm.Poisson(exposure="t"), "lengthscale": {"x": bm.Prior("Exponential")}},
    ],
)
def test_settings_survive_json(settings: dict[str, Any]) -> None:
    model = bm.MultiTaskGP("y ~ x", task="task", **settings)
    spec = json.loads(json.dumps(model.to_dict()))
    assert bm.MultiTaskGP.from_dict(spec) == model


def test_settings_of_another_model_are_refused() -> None:
    spec = bm.MultiTaskGP("y ~ x", task="task").to_dict()
    with pytest.raises(bm.InvalidModelError, match="these are settings of 'Other'"):
        bm.MultiTaskGP.from_dict({**spec, "type": "Other"})
    with pytest.raises(bm.InvalidModelError, match="MultiTaskGP has no setting 'nois'"):
        bm.MultiTaskGP.from_dict({**spec, "nois": 1})


def test_data_that_do_not_fit_are_refused() -> None:
    data = curves(CORRELATION, 5)

    def prepare(frame: pd.DataFrame = data, **settings: Any) -> Any:
        return bm.MultiTaskGP(**{"formula": "y ~ x", "task": "task", **settings}).prepare(frame)

    with pytest.raises(bm.InvalidModelError, match="has no inputs"):
        prepare(formula="y ~ 1")
    with pytest.raises(bm.InvalidDataError, match="the response is constant"):
        prepare(data.assign(y=2.0))
    with pytest.raises(bm.InvalidDataError, match='"y" has 1 missing value'):
        prepare(data.assign(y=np.where(data.index == 2, np.nan, data.y)))
    with pytest.raises(bm.InvalidModelError, match="noise_sd has 2 numbers, the data have 3 tasks"):
        prepare(noise_sd=[1.0, 2.0])
    with pytest.raises(bm.InvalidModelError, match="noise_sd: 'z' is no task of the data"):
        prepare(noise_sd={"z": 1.0})
    with pytest.raises(bm.InvalidModelError, match="'u' is no feature"):
        prepare(lengthscale={"u": 1.0})
    with pytest.warns(bm.BayesMTLWarning, match="every response is 0 or 1"):
        prepare(data.assign(y=(data.y > 0).astype(int)))
    labelled = pd.DataFrame(np.eye(2), index=["a", "b"], columns=["a", "b"])
    with pytest.raises(bm.InvalidModelError, match="task_covariance has no row for the task 'c'"):
        prepare(task_covariance=labelled)


def test_internal_units() -> None:
    data = curves(CORRELATION, 200)
    problem = bm.MultiTaskGP("y ~ x", task="task").prepare(data)
    assert problem.rows.inputs.min() == -1.0
    assert problem.rows.inputs.max() == 1.0
    for t in range(3):
        mine = problem.rows.response[problem.rows.task == t]
        assert mine.mean() == pytest.approx(0.0, abs=1e-9)
        assert mine.std() == pytest.approx(1.0, rel=0.05)
    assert (problem.prior.noise_rows[:, 0] == CODES["LogNormal"]).all()
    medians = np.exp(problem.prior.noise_rows[:, 1])
    np.testing.assert_allclose(medians, 0.3 * problem.units.response_scale)
    shared = bm.MultiTaskGP("y ~ x", task="task", noise="shared").prepare(data)
    assert np.ptp(shared.units.response_scale) == 0.0


def test_few_rows_take_the_spread_of_other_tasks() -> None:
    response = np.concatenate([np.linspace(-1.0, 1.0, 50), [3.0], [1.0, 1.0]])
    task = np.concatenate([np.zeros(50, int), [1], [2, 2]])
    spread = response_spread(response, task, 4)
    np.testing.assert_allclose(spread[1:], spread[1])
    assert spread[0] == pytest.approx(np.linspace(-1.0, 1.0, 50).std(ddof=1))
    assert response_spread(np.array([1.0, 2.0]), np.array([0, 1]), 2) == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("labelled", [False, True])
def test_evidence_is_the_normal_density_in_the_units_of_the_user(
    same: bool, labelled: bool
) -> None:
    data = curves(CORRELATION, 8, same=same)
    covariance = np.diag([0.5, 2.0, 20.0]) @ CORRELATION @ np.diag([0.5, 2.0, 20.0])
    noise = np.array([0.3, 1.0, 5.0])
    given: Any = covariance
    if labelled:
        given = pd.DataFrame(covariance, index=list("abc"), columns=list("abc"))
        given = given.loc[list("cab"), list("cab")]
    model = bm.MultiTaskGP(
        "y ~ x",
        task="task",
        kernel="matern32",
        task_covariance=given,
        lengthscale=1.7,
        noise_sd=dict(zip("abc", noise.tolist(), strict=True)),
    )
    task = np.searchsorted(list("abc"), data.task)
    x = data[["x"]].to_numpy()
    kernel = kernel_values("matern32", scaled_distances(x, x, np.array([1.7])))
    total = covariance[task[:, None], task] * kernel + np.diag(noise[task] ** 2)
    zero = stats.multivariate_normal(cov=total).logpdf(data.y)
    assert model.log_evidence(data) == pytest.approx(zero, rel=1e-10)
    level = bm.MultiTaskGP(**{**model.__dict__, "intercept": bm.Prior("Normal", mu=2, sigma=3)})
    total = total + 9.0 * (task[:, None] == task)
    expected = stats.multivariate_normal(np.full(len(task), 2.0), total).logpdf(data.y)
    assert level.log_evidence(data) == pytest.approx(expected, rel=1e-10)
    none = bm.MultiTaskGP(**{**model.__dict__, "formula": "y ~ 0 + x"})
    assert none.log_evidence(data) == pytest.approx(zero, rel=1e-10)


def test_evidence_needs_fixed_hyperparameters() -> None:
    data = curves(CORRELATION, 5)
    fixed = {"task_covariance": np.eye(3), "lengthscale": 1.0, "noise_sd": 1.0}
    for name in fixed:
        rest = {key: value for key, value in fixed.items() if key != name}
        model = bm.MultiTaskGP("y ~ x", task="task", **rest)  # type: ignore[arg-type]
        with pytest.raises(bm.UnsupportedError, match=f"{name} is learned; fix it with {name}="):
            model.log_evidence(data)


def test_methods_and_options_that_do_not_go() -> None:
    data = curves(CORRELATION, 5)
    model = bm.MultiTaskGP("y ~ x", task="task")
    quick = {"draws": 5, "tune": 5, "chains": 1, "progressbar": False}
    with pytest.raises(bm.InvalidModelError, match=r"inference must be 'gibbs', .*, got 'advi'"):
        model.fit(data, inference="advi")
    with pytest.raises(bm.InvalidModelError, match="does not know 'basis_size': it has no options"):
        model.fit(data, inference="nuts", basis_size=3)
    with pytest.raises(bm.InvalidModelError, match=r"'size': its .* did you mean 'basis_size'"):
        model.fit(data, size=3)
    with pytest.raises(bm.InvalidModelError, match=r"does not know 'seed': .*mean 'random_seed'"):
        model.fit(data, seed=3)
    with pytest.raises(bm.InvalidModelError, match="basis_size must name each of x, got"):
        model.fit(data, basis_size={"z": 3})
    with pytest.raises(bm.InvalidModelError, match="basis_size must be positive integers"):
        model.fit(data, basis_size=0)
    with pytest.raises(bm.UnsupportedError, match="takes one kernel, coregionalization='icm'"):
        bm.MultiTaskGP("y ~ x", task="task", coregionalization="lmc").fit(data)
    many = data.assign(**{f"z{j}": np.arange(len(data)) % (j + 2) for j in range(3)})
    sizes = {"x": 3, "z0": 3, "z1": 3, "z2": 4}
    with pytest.raises(bm.InvalidModelError, match="basis_size of more than 3 inputs is one"):
        bm.MultiTaskGP("y ~ x + z0 + z1 + z2", task="task").fit(many, basis_size=sizes)
    with pytest.raises(bm.UnsupportedError, match="takes a covariance of full rank"):
        bm.MultiTaskGP("y ~ x", task="task", rank=1).fit(data, inference="map")
    yes = bm.MultiTaskGP("y ~ x", task="task", likelihood=bm.Bernoulli())
    with pytest.raises(bm.UnsupportedError, match="takes a Gaussian likelihood, not"):
        yes.fit(data.assign(y=data.index % 2), inference="nuts")
    long = pd.concat([data.assign(x=data.x + i) for i in range(140)])
    with pytest.raises(
        bm.UnsupportedError, match="takes up to 2,000 rows, and the data have 2,100"
    ):
        model.fit(long, inference="nuts")
    with pytest.raises(bm.UnsupportedError, match=r"basis functions take .* GiB, more than"):
        model.fit(data, **{**quick, "draws": 100_000_000})  # type: ignore[arg-type]
    with pytest.raises(bm.UnsupportedError, match="'svgp' estimates lengthscale under priors"):
        bm.MultiTaskGP("y ~ x", task="task", lengthscale=1.0).fit(data, inference="svgp")
    with pytest.raises(bm.UnsupportedError, match=r"'svgp' has the likelihoods bm.Gaussian"):
        bm.MultiTaskGP("y ~ x", task="task", likelihood=bm.StudentT()).fit(data, inference="svgp")
    probit = bm.MultiTaskGP("y ~ x", task="task", likelihood=bm.Bernoulli(link="probit"))
    with pytest.raises(bm.UnsupportedError, match="has link='logit', not 'probit'"):
        probit.fit(data.assign(y=data.index % 2), inference="svgp")
    with pytest.raises(bm.UnsupportedError, match="exact for a Gaussian likelihood only"):
        yes.log_evidence(data.assign(y=data.index % 2))
    with pytest.raises(bm.InvalidModelError, match=r"has no intercepts, but intercept=1\.0 sets"):
        bm.MultiTaskGP("y ~ 0 + x", task="task", intercept=1.0)
    with pytest.raises(bm.UnsupportedError, match="'svgp' has intercepts"):
        bm.MultiTaskGP("y ~ 0 + x", task="task").fit(data, inference="svgp")


def test_story() -> None:
    plain = str(bm.MultiTaskGP("y ~ x", task="task"))
    assert plain.startswith("y_i ~ Normal(a_t + f_t(x_i), noise_t), row i of task t")
    assert "k = matern52 of variance 1" in plain
    assert "of more than 12 tasks up to 3 factors" in plain
    several = str(bm.MultiTaskGP("y ~ x", task="task", rank=2, coregionalization="lmc"))
    assert "B_q: 2 factors and a part of each task's own" in several
    lmc = str(bm.MultiTaskGP("y ~ 0 + x", task="t", coregionalization="lmc", noise="shared"))
    assert "sum_q B_qts k_q(x, x'), 2 kernels" in lmc
    assert "a_t" not in lmc
    given = bm.MultiTaskGP("y ~ x", task="t", task_covariance=np.eye(2), lengthscale=2.0)
    assert "a_t ~ 0, as B is given" in str(given)
    same = str(bm.MultiTaskGP("y ~ x", task="t", intercept=bm.Prior("Normal", mu=0, sigma=1)))
    assert "u_t: sd of the response within tasks" in same
    assert "length-scales ~ 2" in str(given)
    counts = str(bm.MultiTaskGP("y ~ x", task="t", likelihood=bm.Poisson(), rank=2))
    assert "u_t = 1, functions are of the predictor" in counts
    assert "B: up to 2 factors" in counts
    robust = str(bm.MultiTaskGP("y ~ x", task="t", likelihood=bm.StudentT()))
    assert "a_t ~ Normal(median(y), u_t)" in robust
