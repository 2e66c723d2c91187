"""What the panels of the weights show."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from bayesmtl.errors import InvalidDataError, UnsupportedError
from bayesmtl.plots.estimates import (
    Estimates,
    choose_names,
    find_limits,
    find_outside,
    panel_names,
    read_intercept,
    read_weight,
    unpooled_intercept,
)

MakeFit = Callable[..., xr.DataTree]


def groups(fit: xr.DataTree) -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    names = ("posterior", "constant_data", "observed_data")
    return tuple(fit[name].to_dataset() for name in names)  # type: ignore[return-value]


def test_weight_is_summarised(make_fit: MakeFit) -> None:
    posterior, constant, _ = groups(make_fit(list("abc"), ["x", "z"]))
    panel = read_weight(posterior, constant, "z")
    draws = posterior["weights"].sel(feature="z").to_numpy().reshape(-1, 3)
    np.testing.assert_allclose(panel.mean, draws.mean(axis=0))
    np.testing.assert_allclose(panel.quantiles[0], np.quantile(draws, 0.05, axis=0))
    np.testing.assert_array_equal(panel.unpooled, constant["unpooled_weights"].sel(feature="z"))
    assert panel.population[1] == pytest.approx(float(posterior["population_sd"][..., 1].mean()))


def test_weight_without_unpooled_estimates_or_population(make_fit: MakeFit) -> None:
    posterior, constant, _ = groups(make_fit(list("abc"), ["x"]))
    panel = read_weight(
        posterior.drop_vars("population_sd"), constant.drop_vars("unpooled_weights"), "x"
    )
    assert np.isnan(panel.unpooled).all()
    assert np.isnan(panel.population).all()


def test_unpooled_intercept_is_the_least_squares_one(make_fit: MakeFit) -> None:
    _, constant, observed = groups(make_fit(range(12), ["x", "z"]))
    intercepts = unpooled_intercept(constant, observed)
    y, x = observed["y"].to_numpy(), constant["features"].to_numpy()
    task = constant["task_index"].to_numpy()
    known = np.isfinite(constant["unpooled_weights"].to_numpy()).all(axis=1)
    np.testing.assert_array_equal(np.isfinite(intercepts), known)
    for t in np.flatnonzero(known):
        rows = task == t
        design = np.column_stack([np.ones(rows.sum()), x[rows]])
        expected = np.linalg.lstsq(design, y[rows])[0][0]
        assert intercepts[t] == pytest.approx(expected, abs=1e-9)


def test_unpooled_intercept_of_a_meta_analysis_is_the_weighted_mean() -> None:
    constant = xr.Dataset(
        {
            "task_index": ("obs", [0, 0, 1]),
            "standard_error": ("obs", [1.0, 2.0, 3.0]),
            "row_weight": ("obs", [2.0, 4.0, 1.0]),
            "offset": ("obs", [0.0, 1.0, 0.5]),
        },
        {"task": ["a", "b", "empty"]},
    )
    observed = xr.Dataset({"effect": ("obs", [3.0, 7.0, 2.5])})
    expected = [(2 * 3.0 + 1 * 6.0) / 3, 2.0, np.nan]
    np.testing.assert_allclose(unpooled_intercept(constant, observed), expected)
    assert np.isnan(unpooled_intercept(constant, xr.Dataset())).all()


def test_unpooled_intercept_needs_the_unpooled_weights(make_fit: MakeFit) -> None:
    _, constant, observed = groups(make_fit(range(4), ["x"]))
    assert np.isnan(unpooled_intercept(constant.drop_vars("unpooled_weights"), observed)).all()


@pytest.mark.parametrize("name", ["feature_correlation", "population_correlation"])
@pytest.mark.parametrize("correlation", [None, 0.5])
def test_population_intercept_is_moved_to_zero(
    make_fit: MakeFit, correlation: float | None, name: str
) -> None:
    posterior, constant, observed = groups(make_fit(range(4), ["x", "z"]))
    constant["feature_center"] = ("feature", [3.0, -1.0])
    matrix = np.eye(2)
    if correlation is not None:
        matrix = np.array([[1.0, correlation], [correlation, 1.0]])
        drawn = np.broadcast_to(matrix, (*posterior["sharing"].shape, 2, 2))
        posterior[name] = (("chain", "draw", "feature", "feature_bis"), drawn)
        posterior = posterior.assign_coords(feature_bis=["x", "z"])
    mean, sd = read_intercept(posterior, constant, observed).population
    scaled = np.array([3.0, -1.0]) * posterior["population_sd"].to_numpy()
    spread = np.einsum("cdf,fg,cdg->cd", scaled, matrix, scaled)
    expected = np.sqrt(posterior["intercept_sd"].to_numpy() ** 2 + spread).mean()
    assert sd == pytest.approx(expected)
    shift = posterior["population_mean"].to_numpy() @ [3.0, -1.0]
    assert mean == pytest.approx((posterior["intercept_mean"].to_numpy() - shift).mean())


def test_population_is_unknown_without_its_variables(make_fit: MakeFit) -> None:
    posterior, constant, observed = groups(make_fit(range(4), []))
    panel = read_intercept(posterior.drop_vars("intercept_sd"), constant, observed)
    assert np.isnan(panel.population).all()
    assert panel.title == "intercept"


def test_panels_stand_in_order_of_their_spread(make_fit: MakeFit) -> None:
    posterior, constant, _ = groups(make_fit(range(5), ["low", "middle", "high"]))
    assert panel_names(posterior, constant, True) == ["intercept", "high", "middle", "low"]
    constant["feature_scale"] = ("feature", [100.0, 1.0, 1.0])
    assert panel_names(posterior, constant, True)[1] == "low"


def test_without_population_sd_the_spread_of_the_means_decides(make_fit: MakeFit) -> None:
    posterior, constant, _ = groups(make_fit(range(5), ["x", "z"]))
    bare = posterior.drop_vars("population_sd")
    bare["weights"] = bare["weights"].mean("task") + bare["weights"] * [5.0, 0.0]
    assert panel_names(bare, constant, True) == ["intercept", "x", "z"]


def test_intercept_among_the_features_comes_first(make_fit: MakeFit) -> None:
    posterior, constant, _ = groups(make_fit(range(5), ["Intercept", "x"]))
    names = panel_names(posterior.drop_vars("intercept"), constant, True)
    assert names == ["Intercept", "x"]


def test_weights_that_are_not_there(make_fit: MakeFit) -> None:
    posterior, constant, _ = groups(make_fit(range(5), ["x"]))
    bare = posterior.drop_vars("weights")
    assert panel_names(bare, constant, True) == ["intercept"]
    with pytest.raises(UnsupportedError, match=r"weights are not stored.*Fit fewer draws"):
        panel_names(bare, constant, False)
    with pytest.raises(InvalidDataError, match="neither 'weights' nor 'intercept'"):
        panel_names(bare.drop_vars("intercept"), constant, True)


def test_features_asked_for() -> None:
    assert choose_names("x", ["intercept", "x"]) == ["x"]
    assert choose_names(["x", "intercept", "x"], ["intercept", "x"]) == ["x", "intercept"]
    with pytest.raises(InvalidDataError, match=r"Unknown features \['q'\].*'intercept', 'x'"):
        choose_names(["x", "q"], ["intercept", "x"])
    with pytest.raises(InvalidDataError, match=r"No features were given"):
        choose_names([], ["x"])


def test_limits_ignore_wild_estimates_and_keep_near_ones() -> None:
    quantiles = np.array([[-1.0, 0.0], [-0.5, 0.2], [0.5, 0.8], [1.0, 1.0]])
    unpooled = np.array([1.9, 500.0])
    panel = Estimates("x", np.array([0.0, 0.5]), quantiles, unpooled, (np.nan, np.nan))
    low, high = find_limits(panel)
    assert low < -1.0
    assert 1.9 < high < 3.0
    assert find_outside(panel).tolist() == [False, True]


def test_limits_of_a_constant_have_a_width() -> None:
    quantiles = np.zeros((4, 2))
    low, high = find_limits(Estimates("x", np.zeros(2), quantiles, np.zeros(2), (0.0, 0.0)))
    assert low < 0 < high
