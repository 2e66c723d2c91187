"""Settings as JSON and back, and the generative story."""

import json
from typing import Any

import pytest

from bayesmtl import Exchangeable, Gaussian, Independent, InvalidModelError, Model, Pooled, Prior
from bayesmtl.specification import part_from_dict, part_to_dict

PARTS = [
    Independent(mean=[0.0, 1.0], scale={"x": 2.0}),
    Pooled(mean=Prior("StudentT", nu=4)),
    Exchangeable(),
    Exchangeable(r2=Prior("Beta", alpha=2, beta=1), shared=Prior("Beta", alpha=1, beta=2)),
    Exchangeable(
        mean={"x": Prior("Normal"), "family": 0.0},
        scale=Prior("TruncatedNormal", lower=0),
        feature_covariance="full",
        correlation=Prior("LKJ", eta=2),
        task_effects=0.5,
    ),
    Gaussian(),
    Gaussian(noise="shared", noise_sd=Prior("HalfNormal")),
    Gaussian(noise_sd={"a": 1.0, "b": 2.0}),
    Gaussian(noise_sd=1.0, noise_spread=Prior("Exponential")),
    Gaussian(se="sigma"),
]


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_parts_survive_json(part: Any) -> None:
    spec = json.loads(json.dumps(part_to_dict(part), allow_nan=False))
    assert part_from_dict(spec) == part
    assert type(part_from_dict(spec)) is type(part)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"type": "Cluster"}, "unknown part 'Cluster'; known: Bernoulli, Binomial, DirichletProcess"),
        ({}, "unknown part None"),
        ({"type": "Pooled", "scale": 1.0}, "Pooled has no setting 'scale'; its settings are mean"),
    ],
)
def test_specifications_that_are_wrong(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        part_from_dict(spec)


def text(relation: Any = None, likelihood: Gaussian | None = None, **settings: Any) -> str:
    relation = relation or Exchangeable()
    return str(Model("y ~ x", "t", relation, likelihood or Gaussian(), **settings))


@pytest.mark.parametrize(
    ("story", "lines"),
    [
        (
            text,
            [
                "w_t ~ Normal(mean, D)   [Exchangeable]",
                "R2 ~ Beta(1, 1), shared ~ Beta(1, 1)",
                "mean_j ~ Normal(0, sqrt(shared V / number of means) / s_xj)",
                "a_t ~ Normal(mean, D)   [Exchangeable]",
                "mean ~ Normal(mean(y), 2.5 s_y)",
                "y_i ~ Normal(a_t + (x_i - mean(x))'w_t, noise_t)",
                "log noise_t ~ Normal(log median, spread)",
                "median ~ LogNormal(log s_y, 1)",
                "spread ~ HalfNormal(0.5)",
            ],
        ),
        (
            lambda: text(
                Exchangeable(
                    mean=Prior("Normal", mu=1, sigma=3),
                    scale={"x": Prior("HalfCauchy", beta=5)},
                    feature_covariance="full",
                    correlation=Prior("LKJ", eta=2),
                ),
                Gaussian(noise="shared"),
                intercept="relation",
                task_features="~ z",
            ),
            [
                "w_t ~ Normal(mean + effects' z_t, D)",
                "mean ~ Normal(1, 3)",
                "scale ~ {x: HalfCauchy(5); others: default}",
                "D = diag(scale) R diag(scale)",
                "R ~ LKJ(2)",
                "the intercept is the feature 'Intercept' of w_t",
                "y_i ~ Normal(x_i'w_t, noise)",
                "noise ~ HalfNormal(s_y)",
                "z_t: ~ z, one value per task, centred",
            ],
        ),
        (
            lambda: text(Exchangeable(task_effects=Prior("Laplace", b=3)), task_features="~ z"),
            ["Laplace(0, 3)"],
        ),
        (
            lambda: text(Exchangeable(feature_covariance="full"), Gaussian(se="sigma")),
            [
                "D ~ Huang-Wand: sds half-t(2) of scale s_y / s_x, uniform correlations",
                "sigma: known standard errors",
            ],
        ),
        (
            lambda: text(Independent(scale=2.0), Gaussian(noise_sd=1.5), intercept=Pooled()),
            [
                "w_t ~ Normal(mean, scale)   [Independent: tasks share nothing]",
                "mean  = 0",
                "scale = 2",
                "a_t = mean   [Pooled: one value for all tasks]",
                "noise_t = 1.5",
            ],
        ),
        (
            lambda: text(Exchangeable(scale=0.5), intercept="none"),
            ["scale ~ 0.5", "D = diag(scale)^2", "y_i ~ Normal(x_i'w_t, noise_t)"],
        ),
    ],
    ids=["default", "user", "effects", "huang-wand", "independent", "fixed scale"],
)
def test_the_story_tells_the_actual_priors(story: Any, lines: list[str]) -> None:
    told = story()
    for line in lines:
        assert line in told, told


def test_a_formula_without_intercept_has_none_in_its_story() -> None:
    assert "a_t" not in str(Model("y ~ 0 + x", "t"))


def test_settings_with_mappings_have_a_hash() -> None:
    first, second = (
        Model(
            "y ~ x",
            task="t",
            relation=Exchangeable(mean={"x": Prior("Normal", mu=0, sigma=1)}),
            likelihood=Gaussian(noise_sd={"a": 1, "b": 2}),
        )
        for _ in range(2)
    )
    assert len({first, second}) == 1
    assert Model.from_dict(first.to_dict()) == second
