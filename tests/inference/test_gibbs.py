"""The Gibbs sampler against quadrature, its mixing, its seeds, and interruption."""

import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayesmtl import DirichletProcess, Exchangeable, Gaussian, Model, Pooled, Prior
from bayesmtl.inference import gibbs, sampling
from bayesmtl.inference.chains import ChainControl, run_chains
from bayesmtl.inference.draws import Draws, join_chains
from tests.oracles import eight_schools
from tests.oracles.cases import agree, draw, fit, regression
from tests.oracles.monte_carlo import ess, mcse

SCHOOLS = pd.DataFrame(
    {
        "school": eight_schools.SCHOOLS,
        "y": eight_schools.EFFECT,
        "sigma": eight_schools.STANDARD_ERROR,
    }
)
MEAN, SCALE = Prior("Normal", mu=0, sigma=5), Prior("HalfCauchy", beta=5)


def meta_analysis(kind: str) -> Model:
    population = Exchangeable(mean=MEAN, scale=SCALE)
    likelihood = Gaussian(se="sigma")
    if kind == "relation":
        return Model("y ~ 1", "school", population, likelihood, intercept="relation")
    return Model("y ~ 1", "school", likelihood=likelihood, intercept=population)


@pytest.fixture(scope="module")
def reference() -> dict[str, tuple[float, float]]:
    return eight_schools.moments()


def test_quadrature_gives_the_documented_eight_schools(
    reference: dict[str, tuple[float, float]],
) -> None:
    documented = {"tau": (3.60, 3.22), "mu": (4.40, 3.32), "theta A": (6.21, 5.59)}
    for name, (mean, sd) in documented.items():
        first, second = reference[name]
        assert first == pytest.approx(mean, abs=0.02)
        assert np.sqrt(second - first**2) == pytest.approx(sd, abs=0.04)


@pytest.mark.mcmc
@pytest.mark.parametrize("kind", ["relation", "intercept"])
def test_eight_schools_equal_the_quadrature(
    kind: str, reference: dict[str, tuple[float, float]]
) -> None:
    idata = fit(meta_analysis(kind), SCHOOLS, draws=6000, tune=500, chains=4, cores=2)
    posterior = idata["posterior"]
    if kind == "relation":
        draws = {
            "tau": posterior["population_sd"].sel(feature="Intercept"),
            "mu": posterior["population_mean"].sel(feature="Intercept"),
        }
        effects = posterior["weights"].sel(feature="Intercept")
    else:
        draws = {"tau": posterior["intercept_sd"], "mu": posterior["intercept_mean"]}
        effects = posterior["intercept"]
    for school in eight_schools.SCHOOLS:
        draws[f"theta {school}"] = effects.sel(task=school)
        draws[f"share {school}"] = posterior["borrowing"].sel(task=school)
    assert set(draws) == set(reference)
    for name, (first, second) in reference.items():
        values = draws[name].values
        assert agree(values, first), name
        assert agree(values**2, second), name
        assert mcse(values) < 0.03 * values.std()


@pytest.mark.mcmc
@pytest.mark.parametrize("covariance", ["diagonal", "full"])
@pytest.mark.parametrize("tau", [0.02, 0.5])
def test_scales_mix_whether_tasks_are_alike_or_not(tau: float, covariance: str) -> None:
    model = Model("y ~ x0 + x1 + x2 + x3 + x4", "task", Exchangeable(feature_covariance=covariance))
    sweeps = 3000
    data = regression(40, 8, 5, spread=tau, noise=1.0, seed=3)
    draws = draw(model, data, draws=sweeps, tune=500, chains=1, keep_weights=False)
    # At least 0.1 is promised; below 0.2 an update that integrates the weights out is missing.
    assert min(ess(draws.scale[0, :, i]) for i in range(1, 6)) >= 0.2 * sweeps
    assert min(ess(draws.means[0, :, i, 0]) for i in range(1, 6)) >= 0.2 * sweeps


def flatten(draws: Draws) -> np.ndarray:
    parts = [part for part in draws[:-1] if isinstance(part, np.ndarray)]
    return np.concatenate([part.ravel() for part in (*parts, *(draws.partition or ()))])


@pytest.mark.parametrize("relation", [Exchangeable(), DirichletProcess()])
def test_the_draws_do_not_depend_on_the_number_of_cores(relation: Any) -> None:
    data, model = regression(), Model("y ~ x0 + x1", "task", relation)
    settings = {"chains": 3, "draws": 50, "tune": 20}
    one, two = (draw(model, data, cores=cores, **settings) for cores in (1, 2))
    np.testing.assert_array_equal(flatten(one), flatten(two))


def test_the_seed_decides_the_draws() -> None:
    data, model = regression(), Model("y ~ x0 + x1", "task")
    first, same, other = (
        flatten(draw(model, data, draws=20, tune=5, random_seed=seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.isin(first, other).any()


def test_chains_differ() -> None:
    draws = draw(Model("y ~ x0", "task"), regression(), chains=3, draws=20)
    assert np.unique(draws.lp).size == draws.lp.size


def stop_after(counts: dict[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C once every chain of ``counts`` has done its number of iterations, and no more."""

    def limited(chain: Any, **settings: Any) -> Any:
        def one(rng: np.random.Generator, control: ChainControl) -> Any:
            counter = control._replace(stop=_StopAfter(counts[control.chain]))
            return chain(rng, counter)

        run = run_chains(one, **settings)
        return run._replace(interrupted=True)

    monkeypatch.setattr(sampling, "run_chains", limited)


class _StopAfter(threading.Event):
    """An event that is set after a number of questions."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_interrupted_chains_are_cut_to_the_shortest(monkeypatch: pytest.MonkeyPatch) -> None:
    data, model = regression(), Model("y ~ x0", "task")
    whole = draw(model, data, draws=40, tune=10, chains=3)
    stop_after({0: 35, 1: 30, 2: 200}, monkeypatch)
    problem = model.prepare(data).problem
    part, interrupted = gibbs.sample_gibbs(
        problem,
        model.likelihood,
        draws=40,
        tune=10,
        chains=3,
        cores=1,
        random_seed=5,
        progressbar=False,
        keep_weights=True,
    )
    assert interrupted
    assert part.lp.shape == (3, 20)
    np.testing.assert_array_equal(part.lp, whole.lp[:, :20])
    np.testing.assert_array_equal(part.means, whole.means[:, :20])


def test_an_interrupted_fit_is_marked_incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    stop_after({0: 60, 1: 12}, monkeypatch)
    idata = fit(Model("y ~ x0", "task"), regression(), draws=100, tune=20)
    assert idata.attrs["incomplete"] == 1
    # The second chain was still tuning: it has nothing to give.
    assert dict(idata["posterior"].sizes)["chain"] == 1
    assert dict(idata["posterior"].sizes)["draw"] == 40


def test_a_finished_fit_is_complete() -> None:
    assert fit(Model("y ~ x0", "task"), regression(), draws=20).attrs["incomplete"] == 0


def test_interrupted_before_any_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    stop_after({0: 3, 1: 3}, monkeypatch)
    with pytest.raises(KeyboardInterrupt, match="before any draw"):
        draw(Model("y ~ x0", "task"), regression(), draws=10, tune=5)


def test_draws_have_the_parts_that_the_model_has() -> None:
    data = regression()
    hierarchical = draw(Model("y ~ x0", "task"), data, draws=5)
    assert hierarchical.log_noise is not None
    assert hierarchical.log_noise.shape == (2, 5, 4)
    assert hierarchical.correlation is None
    assert hierarchical.shared is not None
    shared = draw(Model("y ~ x0", "task", Pooled(), Gaussian(noise="shared")), data, draws=5)
    assert shared.log_noise is not None
    assert shared.log_noise.shape == (2, 5)
    assert shared.shared is None
    assert shared.noise_median is None
    fixed = draw(
        Model("y ~ x0", "task", likelihood=Gaussian(noise_sd=1.0)),
        data,
        draws=5,
        keep_weights=False,
    )
    assert fixed.log_noise is None
    assert fixed.weights is None


def test_recorded_correlations_have_a_unit_diagonal() -> None:
    model = Model("y ~ x0 + x1", "task", Exchangeable(feature_covariance="full"))
    draws = draw(model, regression(), draws=50)
    assert draws.correlation is not None
    np.testing.assert_allclose(np.diagonal(draws.correlation, axis1=2, axis2=3), 1.0, rtol=1e-12)
    off = draws.correlation[..., 1, 2]
    assert np.all(np.abs(off) < 1.0)
    assert np.unique(off).size == 100
    np.testing.assert_array_equal(draws.correlation[..., 0, 1:], 0.0)


def test_joining_cuts_and_stacks() -> None:
    parts = [Draws(*(np.full((4, 2), float(i)),) * 8, np.full(4, float(i))) for i in range(3)]
    joined = join_chains([part._replace(shared=None) for part in parts], 2)
    assert joined.means.shape == (3, 2, 2)
    assert joined.shared is None
    np.testing.assert_array_equal(joined.lp, [[0, 0], [1, 1], [2, 2]])
