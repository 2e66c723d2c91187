"""Sharing, borrowing, differences and correlations against their definitions, in plain loops."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmtl.posterior.relations as relations
from bayesmtl import Exchangeable, Gaussian, Model, Prior
from tests.oracles import dense
from tests.oracles.cases import fit, regression

ROWS = regression(4, 5, 2).assign(
    z=np.repeat([0.0, 1.0, 3.0, 7.0], 5),
    x0=lambda d: 2.0 + 3.0 * d["x0"],
    w=np.tile([1.0, 2.0, 1.0, 0.5, 1.0], 4),
)
FULL = Exchangeable(feature_covariance="full")
CASES: dict[str, Model] = {
    "default": Model("y ~ x0 + x1", "task"),
    "full": Model("y ~ x0 + x1", "task", FULL, Gaussian(noise="shared")),
    "relation": Model("y ~ x0 + x1", "task", FULL, intercept="relation"),
    "task features": Model("y ~ x0 + x1", "task", task_features="~ z"),
    "none": Model("y ~ 0 + x0 + x1", "task", weights="w"),
    "fixed": Model("y ~ x0 + x1", "task", likelihood=Gaussian(noise_sd=[0.5, 1.0, 2.0, 0.3])),
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Model, Any]:
    model = CASES[request.param]
    return model, fit(model, ROWS, draws=15, tune=20)


class Draw:
    """One draw on the user's scale: columns of the rows, weights, population and noise."""

    def __init__(self, model: Model, idata: Any, chain: int, draw: int) -> None:
        one = idata["posterior"].to_dataset().isel(chain=chain, draw=draw)
        self.features = ROWS[["x0", "x1"]].to_numpy()
        self.names = list(one["feature"].values)
        if "Intercept" in self.names:
            self.features = np.column_stack([np.ones(len(ROWS)), self.features])
        self.separate = "intercept" in one
        self.center = self.features.mean(axis=0) * self.separate
        self.weights = one["weights"].values
        self.mean = np.tile(one["population_mean"].values, (4, 1))
        if "task_effects" in one:
            z = np.array([0.0, 1.0, 3.0, 7.0])
            self.mean = self.mean + np.outer(z - z.mean(), one["task_effects"].values[:, 0])
        correlation = (
            one["feature_correlation"].values
            if "feature_correlation" in one
            else np.eye(len(self.names))
        )
        sd = one["population_sd"].values
        self.covariance = np.outer(sd, sd) * correlation
        self.intercept = one["intercept"].values if self.separate else np.zeros(4)
        self.intercept_sd = float(one["intercept_sd"]) if self.separate else 0.0
        self.noise = np.broadcast_to(one["noise_sd"].values, (4,))


def draws(model: Model, idata: Any) -> list[Draw]:
    sizes = idata["posterior"].sizes
    return [
        Draw(model, idata, chain, draw)
        for chain in range(sizes["chain"])
        for draw in range(sizes["draw"])
    ]


def test_sharing_is_its_definition(case: tuple[Model, Any]) -> None:
    found = case[1]["posterior"]["sharing"].values.ravel()
    for value, draw in zip(found, draws(*case), strict=True):
        centred = draw.features - draw.center
        second = centred.T @ centred / len(centred)
        common = sum(m @ second @ m for m in draw.mean)
        own = 4 * np.trace(second @ draw.covariance)
        assert value == pytest.approx(common / (common + own), rel=1e-9)


def test_borrowing_is_its_definition(case: tuple[Model, Any]) -> None:
    model, idata = case
    found = idata["posterior"]["borrowing"].values.reshape(-1, 4)
    weight = ROWS["w"].to_numpy() if model.weights else np.ones(len(ROWS))
    for values, draw in zip(found, draws(*case), strict=True):
        columns, covariance = draw.features - draw.center, draw.covariance
        first = int(draw.separate)
        if first:
            columns = np.column_stack([np.ones(len(ROWS)), columns])
            whole = np.zeros((3, 3))
            whole[0, 0], whole[1:, 1:] = draw.intercept_sd**2, covariance
            covariance = whole
        for t, label in enumerate(sorted(set(ROWS["task"]))):
            mine = (ROWS["task"] == label).to_numpy()
            gram = (columns[mine].T * weight[mine]) @ columns[mine] / draw.noise[t] ** 2
            assert values[t] == pytest.approx(
                dense.borrowing(gram, covariance, first), rel=1e-7, abs=1e-10
            )


def summaries(values: np.ndarray) -> list[float]:
    lower, upper = np.quantile(values, [0.05, 0.95])
    return [values.mean(), values.std(), lower, upper]


def test_differences_are_root_mean_squares_over_the_rows(case: tuple[Model, Any]) -> None:
    """Two tasks' predictors over all rows, in the pooled noise sd of the two."""
    group = case[1]["task_relations"]["difference"]
    all_draws = draws(*case)
    for s in range(4):
        for t in range(4):
            values = []
            for draw in all_draws:
                gap = draw.intercept[s] - draw.intercept[t]
                gap = gap + draw.features @ (draw.weights[s] - draw.weights[t])
                noise = np.sqrt(0.5 * (draw.noise[s] ** 2 + draw.noise[t] ** 2))
                values.append(np.sqrt(np.mean(gap**2)) / noise)
            found = group.values[s, t]
            np.testing.assert_allclose(found[:4], summaries(np.array(values)), rtol=1e-6, atol=1e-7)
            assert np.isnan(found[4])


def test_correlations_are_those_of_predictors_over_the_rows(
    case: tuple[Model, Any],
) -> None:
    group = case[1]["task_relations"]["correlation"]
    all_draws = draws(*case)
    for s in range(4):
        np.testing.assert_array_equal(group.values[s, s], [1.0, 0.0, 1.0, 1.0, 1.0])
        for t in range(s):
            values = np.array(
                [
                    np.corrcoef(draw.features @ draw.weights[s], draw.features @ draw.weights[t])[
                        0, 1
                    ]
                    for draw in all_draws
                ]
            )
            expected = [*summaries(values), np.mean(values > 0)]
            np.testing.assert_allclose(group.values[s, t], expected, rtol=1e-7, atol=1e-9)
            np.testing.assert_allclose(group.values[t, s], expected, rtol=1e-7, atol=1e-9)


def test_summaries_of_sharing_and_borrowing(case: tuple[Model, Any]) -> None:
    idata = case[1]
    group = idata["task_relations"]
    expected = summaries(idata["posterior"]["sharing"].values.ravel())
    np.testing.assert_allclose(group["sharing"].values[:4], expected, rtol=1e-9)
    for t in range(4):
        expected = summaries(idata["posterior"]["borrowing"].values[..., t].ravel())
        np.testing.assert_allclose(group["borrowing"].values[t, :4], expected, rtol=1e-9)
    assert list(group["statistic"].values) == ["mean", "sd", "lower", "upper", "p_positive"]


def test_without_features_sharing_and_borrowing_speak_of_the_intercept() -> None:
    idata = fit(Model("y ~ 1", "task", likelihood=Gaussian(noise="shared")), ROWS, draws=10)
    one = idata["posterior"].to_dataset()
    mean, sd = one["intercept_mean"].values, one["intercept_sd"].values
    np.testing.assert_allclose(one["sharing"], mean**2 / (mean**2 + sd**2), rtol=1e-9)
    data_precision = 5.0 / one["noise_sd"].values ** 2
    expected = sd**-2.0 / (sd**-2.0 + data_precision)
    np.testing.assert_allclose(one["borrowing"].values[..., 2], expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("formula", "data", "reason"),
    [
        ("y ~ x0", ROWS, "there is one effective feature: .* need two or more"),
        ("y ~ 1", ROWS, "no feature varies"),
        ("y ~ x0 + k", ROWS.assign(k=2.0 * ROWS["x0"]), "there is one effective feature"),
    ],
)
def test_correlations_are_absent_with_a_reason(
    formula: str, data: pd.DataFrame, reason: str
) -> None:
    group = fit(Model(formula, "task"), data, draws=5)["task_relations"]
    assert "correlation" not in group.data_vars
    assert "difference" in group.data_vars
    assert pd.Series([group.attrs["correlation_absent"]]).str.match(reason).all()


def test_borrowing_of_known_standard_errors() -> None:
    data = pd.DataFrame({"y": [1.0, 2.0, 4.0], "se": [0.5, 1.0, 3.0], "task": ["a", "b", "c"]})
    relation = Exchangeable(mean=Prior("Normal", mu=0, sigma=5), scale=2.0)
    model = Model("y ~ 1", "task", relation, Gaussian(se="se"), intercept="relation")
    values = fit(model, data, draws=4)["posterior"]["borrowing"].values
    expected = data["se"] ** 2 / (data["se"] ** 2 + 4.0)
    np.testing.assert_allclose(values, np.broadcast_to(expected, values.shape), rtol=1e-10)


class TestManyTasks:
    """Above the limit the nearest tasks stand in place of the dense arrays."""

    model = Model("y ~ x0 + x1", "task", likelihood=Gaussian(noise="shared"))

    def group(self, monkeypatch: pytest.MonkeyPatch, data: pd.DataFrame) -> Any:
        dense_group = fit(self.model, data, draws=40)["task_relations"].to_dataset()
        monkeypatch.setattr(relations, "DENSE_LIMIT", 5)
        return dense_group, fit(self.model, data, draws=40)["task_relations"].to_dataset()

    def test_nearest_tasks_and_their_differences(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = regression(12, 6, 2, spread=2.0)
        full, near = self.group(monkeypatch, data)
        assert "difference" not in near
        assert near["nearest_task"].shape == (12, 5)
        for t, label in enumerate(near["task"].values):
            names = near["nearest_task"].values[t]
            assert label not in names
            assert len(set(names)) == 5
            for j, name in enumerate(names):
                np.testing.assert_allclose(
                    near["nearest_difference"].values[t, j, :4],
                    full["difference"].sel(task=label, task_bis=name).values[:4],
                    rtol=1e-7,
                )
            others = full["difference"].sel(task=label, statistic="mean").drop_sel(task_bis=label)
            closest = others["task_bis"].values[np.argsort(others.values)[:5]]
            assert len(set(closest) & set(names)) >= 3

    def test_equal_tasks_are_not_their_own_neighbours(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(relations, "DENSE_LIMIT", 2)
        left, noise = np.zeros((10, 4, 2)), np.ones((10, 4))
        labels = np.array(list("abcd"), dtype=object)
        out = relations._nearest(left, noise, labels)
        names = out["nearest_task"][1]
        assert all(label not in row for label, row in zip(labels, names, strict=True))


def test_borrowing_of_spaced_draws_when_all_are_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model("y ~ x0", "task")
    whole = fit(model, ROWS, draws=100)["posterior"]["borrowing"].values.reshape(200, 4)
    monkeypatch.setattr(relations, "_BORROWING_BUDGET", 1.0)
    idata = fit(model, ROWS, draws=100)
    assert "borrowing" not in idata["posterior"].data_vars
    picks = np.linspace(0, 199, 50).astype(int)
    expected = whole[picks].mean(axis=0)
    found = idata["task_relations"]["borrowing"].sel(statistic="mean").values
    np.testing.assert_allclose(found, expected, rtol=1e-9)
