"""Feature selection: its prior, its settings and what it finds."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad

import bayesmtl as bm
from bayesmtl.numerics.densities import log_regularised
from bayesmtl.relations.exchangeable.selection import SelectionPrior, draw_selection

pytestmark = pytest.mark.filterwarnings("ignore:.*(CHECK|single|effective|one task).*")
FORMULA = "y ~ " + " + ".join(f"x{j}" for j in range(6))
KINDS: dict[str, Any] = {
    "Exchangeable": bm.Exchangeable,
    "MatrixNormal": bm.MatrixNormal,
    "LowRank": bm.LowRank,
}


def tasks(n_tasks: int = 8, n_rows: int = 25, seed: int = 3) -> pd.DataFrame:
    """One feature with the same effect in all tasks, one with different effects, four without."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((n_tasks, 6))
    weights[:, 0] = 1.0
    weights[:, 1] = np.resize([1.0, -1.0], n_tasks)
    task = np.repeat(np.arange(n_tasks), n_rows)
    x = rng.normal(size=(len(task), 6))
    frame = pd.DataFrame(x, columns=[f"x{j}" for j in range(6)])
    frame["task"] = [f"t{t}" for t in task]
    frame["y"] = (x * weights[task]).sum(axis=1) + 0.5 * rng.normal(size=len(task))
    return frame


@pytest.mark.parametrize(("scale", "slab"), [(0.3, 2.0), (5.0, 0.7)])
def test_the_regularised_half_cauchy_is_a_density(scale: float, slab: float) -> None:
    def density(x: float) -> float:
        return float(2.0 / np.pi * np.exp(log_regularised(x, scale, slab)))

    # The density has a pole at the slab that can be integrated.
    angles = quad(lambda a: density(slab * np.sin(a)) * slab * np.cos(a), 0.0, np.pi / 2.0)
    assert angles[0] == pytest.approx(1.0, abs=1e-6)
    assert log_regularised(slab, scale, slab) == -np.inf
    assert log_regularised(0.0, scale, slab) == -np.inf


def test_prior_draws_follow_the_hierarchy() -> None:
    """Scales over their global scale, the slab taken out, are half-Cauchy: median 1."""
    member = np.array([False, True, True])
    prior = SelectionPrior(member, member[:, None], np.array([0.1, 0.4]))
    rng, ratios = np.random.default_rng(0), []
    for _ in range(4000):
        state, spread = draw_selection(prior, 1, rng)
        slab = state.hyper[2]
        assert spread[0] == 1.0
        assert state.local[0, 0] == 1.0
        assert spread[1:].max() < slab
        raw = [1.0 / np.sqrt(1.0 / x**2 - 1.0 / slab**2) for x in (state.local[1, 0], spread[2])]
        ratios.append([raw[0] / state.hyper[0], raw[1] / state.hyper[1], state.hyper[0] / 0.1])
    np.testing.assert_allclose(np.median(ratios, axis=0), 1.0, atol=0.1)


@pytest.mark.mcmc
@pytest.mark.parametrize("kind", KINDS)
def test_features_that_matter_are_told_from_others(kind: str) -> None:
    model = bm.Model(FORMULA, task="task", relation=KINDS[kind](feature_selection=True))
    idata = model.fit(tasks(), draws=300, tune=300, chains=2, random_seed=1, progressbar=False)
    table = bm.task_relations(idata)["feature_inclusion"].sel(statistic="mean")
    some = table.sel(part="any").to_series()
    assert (some[["x0", "x1"]] > 0.95).all()
    assert (some[["x2", "x3", "x4", "x5"]] < 0.8).all()
    assert table.sel(part="mean", feature="x0") > 0.95
    assert table.sel(part="deviations", feature="x0") < 0.5
    assert table.sel(part="deviations", feature="x1") > 0.9
    drawn = idata["posterior"]["inclusion"]
    assert drawn.dims == ("chain", "draw", "feature")
    np.testing.assert_allclose(drawn.mean(("chain", "draw")), table.sel(part="any"), rtol=1e-6)


@pytest.mark.calibration
def test_nuts_and_gibbs_agree() -> None:
    frame = tasks(n_tasks=4, n_rows=12)
    model = bm.Model(FORMULA, task="task", relation=bm.Exchangeable(feature_selection=2))
    settings: dict[str, Any] = {"draws": 1000, "tune": 1000, "chains": 4, "random_seed": 2}
    fits = [
        model.fit(frame, inference=method, progressbar=False, **settings)
        for method in ("gibbs", "nuts")
    ]
    means, errors = [], []
    for fit in fits:
        drawn = fit["posterior"]["inclusion"]
        chains = drawn.mean("draw")
        means.append(chains.mean("chain").to_numpy())
        errors.append(chains.std("chain", ddof=1).to_numpy() / 2.0)
    gap = np.abs(means[0] - means[1])
    assert (gap < 0.03 + 5.0 * np.hypot(*errors)).all()


def test_a_single_task_is_a_regression() -> None:
    model = bm.Model(FORMULA, task="task", relation=bm.Exchangeable(feature_selection=True))
    frame = tasks(n_tasks=1, n_rows=60)
    idata = model.fit(frame, draws=200, tune=200, chains=2, random_seed=1, progressbar=False)
    weights = idata["posterior"]["weights"].mean(("chain", "draw")).to_numpy()[0]
    np.testing.assert_allclose(weights[:2], [1.0, 1.0], atol=0.25)
    assert np.abs(weights[2:]).max() < 0.2


def test_the_settings_survive_json_and_are_told() -> None:
    for chosen in (True, 2.0):
        model = bm.Model(FORMULA, task="task", relation=bm.LowRank(feature_selection=chosen))
        again = bm.Model.from_dict(model.to_dict())
        assert again == model
        assert "regularised by a slab" in str(model)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"feature_selection": -1}, "number of features that are expected"),
        ({"feature_selection": "all"}, "number of features that are expected"),
        ({"feature_selection": np.nan}, "number of features that are expected"),
        ({"feature_selection": True, "scale": 1.0}, "leave mean=, scale=, r2="),
        (
            {"feature_selection": True, "feature_covariance": "full"},
            "feature_covariance='diagonal'",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(bm.InvalidModelError, match=match):
        bm.Exchangeable(**settings)


def test_more_relevant_features_than_there_are_are_refused() -> None:
    model = bm.Model(FORMULA, task="task", relation=bm.Exchangeable(feature_selection=6))
    with pytest.raises(bm.InvalidModelError, match="give a smaller number"):
        model.fit(tasks(), draws=5, tune=5, chains=1, progressbar=False)


def test_coordinate_ascent_selects_no_features() -> None:
    model = bm.Model(FORMULA, task="task", relation=bm.MatrixNormal(feature_selection=True))
    with pytest.raises(bm.UnsupportedError, match="does not select features"):
        model.fit(tasks(), inference="cavi", draws=5, chains=1, progressbar=False)


def test_a_fixed_feature_covariance_leaves_nothing_to_select() -> None:
    with pytest.raises(bm.InvalidModelError, match="feature_selection= goes with"):
        bm.MatrixNormal(feature_covariance="identity", feature_selection=True)


def test_prior_predictive_draws_have_both_kinds_of_features() -> None:
    model = bm.Model(FORMULA, task="task", relation=bm.Exchangeable(feature_selection=True))
    prior = model.prior_predictive(tasks(), draws=400, random_seed=1)
    sd = prior["prior"]["population_sd"].to_numpy().reshape(-1)
    assert np.isfinite(sd).all()
    assert np.quantile(sd, 0.05) < 0.02 < np.quantile(sd, 0.9)
