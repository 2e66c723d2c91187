"""Settings as JSON and back, and the generative story."""

import json
from typing import Any

import pytest

from bayesmtl import (
    Bernoulli,
    Binomial,
    Decomposition,
    Exchangeable,
    Gaussian,
    Independent,
    InvalidModelError,
    LowRank,
    MatrixNormal,
    Model,
    NegativeBinomial,
    Ordinal,
    Poisson,
    Pooled,
    Prior,
)
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
    Binomial(trials="n"),
    NegativeBinomial(),
    NegativeBinomial(exposure="e", dispersion=2.5),
    Ordinal(levels=["low", "high"]),
    Ordinal(levels=[1, 2, 2.5]),
]


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_parts_survive_json(part: Any) -> None:
    spec = json.loads(json.dumps(part_to_dict(part), allow_nan=False))
    assert part_from_dict(spec) == part
    assert type(part_from_dict(spec)) is type(part)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"type": "Cluster"},
            "unknown part 'Cluster'; known: Bernoulli, Binomial, Decomposition",
        ),
        ({}, "unknown part None"),
        ({"type": "Poolled"}, r"unknown part 'Poolled'; .*; did you mean 'Pooled'\?"),
        ({"type": ["Pooled"]}, r"unknown part \['Pooled'\]"),
        ({"type": "Binomial"}, "Binomial needs the setting 'trials'"),
        ({"type": "Mixed"}, "Mixed needs tasks, the likelihood of each task, got None"),
        ({"type": "Mixed", "tasks": {"a": 3}}, "Mixed needs tasks, .*, got {'a': 3}"),
        ({"type": "Mixed", "task": {}}, "Mixed has no setting 'task'; .*; did you mean 'tasks'"),
        ({"type": "Exchangeable", "mean": {"mu": 0}}, "a prior needs its family, .*got {'mu': 0}"),
        ({"type": "Pooled", "mean": {"by_name": 3}}, "a prior needs its family"),
        ({"type": "Pooled", "scale": 1.0}, "Pooled has no setting 'scale'; its settings are mean"),
    ],
)
def test_specifications_that_are_wrong(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        part_from_dict(spec)


def text(relation: Any = None, likelihood: Any = None, **settings: Any) -> str:
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
        (
            lambda: text(likelihood=Bernoulli(link="probit"), task_features="~ z"),
            [
                "noise^2 = pi / 2: one over the information of an average row",
                "mean ~ Normal(0, 2.5)\n",
                "scale ~ HalfNormal(1)\n",
                "effects ~ Normal(0, 2.5 / s_z)",
                "\ns_x: pooled standard deviation",
            ],
        ),
        (
            lambda: text(Exchangeable(scale=1.0), Poisson(exposure="e")),
            ["mean ~ Normal(0, 2.5 / s_x)", "mean ~ Normal(log(sum(y) / sum(e)), 2.5)"],
        ),
        (
            lambda: text(likelihood=NegativeBinomial(dispersion=2)),
            [
                "noise^2 = 1 / mean(y) + 1 / 2:",
                "y_i ~ NegativeBinomial(mu_i = exp(",
                "    dispersion = 2\n",
            ],
        ),
        (
            lambda: text(Independent(), Binomial(trials="n"), intercept=Independent()),
            ["scale = 2.5 / s_x", "scale = 2.5\n", "y_i ~ Binomial(n, logit^-1("],
        ),
        (
            lambda: text(likelihood=Ordinal(levels=[1, 2, 3]), intercept="relation"),
            [
                "noise^2 = 3.375:",
                "mean ~ 0 (the thresholds take its place), scale ~ HalfNormal(1)",
                "P(y_i <= level k) = logit^-1(threshold_k - (x_i'w_t)), row i of task t",
                "    levels 1 < 2 < 3",
                "level probabilities at predictor 0 ~ Dirichlet(1, ..., 1)",
            ],
        ),
        (
            lambda: text(LowRank()) + text(MatrixNormal("low_rank")),
            [
                "    a_th ~ Normal(0, sqrt(theta_h)), sqrt(psi) half-t(3) of scale 0.6\n",
                "    A_th ~ Normal(0, sqrt(theta_h)), sqrt(psi_t) half-t(3) of scale 0.6\n",
                "    theta_h ~ InverseGamma(2, 0.5) of an active factor, 0.0125 of another",
            ],
        ),
    ],
    ids=[
        "default",
        "user",
        "effects",
        "huang-wand",
        "independent",
        "fixed scale",
        "bernoulli",
        "poisson",
        "negative binomial",
        "binomial",
        "ordinal",
        "factors",
    ],
)
def test_the_story_tells_the_actual_priors(story: Any, lines: list[str]) -> None:
    told = story()
    for line in lines:
        assert line in told, told


@pytest.mark.parametrize(
    ("relation", "own"),
    [
        (Exchangeable(), "mean ~ Normal(mean(y), 2.5 s_y), scale ~ HalfNormal(s_y)"),
        (
            Exchangeable(feature_covariance="full"),
            "mean ~ Normal(mean(y), 2.5 s_y), sd half-t(2) of scale s_y in D",
        ),
        (
            MatrixNormal(feature_covariance="identity"),
            "mean ~ Normal(mean(y), 2.5 s_y), sd s_y in D",
        ),
        (Exchangeable(scale=1.0), "mean ~ Normal(mean(y), 2.5 s_y)"),
        (Exchangeable(mean={"Intercept": 0.0}), "scale ~ HalfNormal(s_y)"),
        (Pooled(), "mean ~ Normal(mean(y), 2.5 s_y)"),
        (Decomposition(common=Pooled()), "mean ~ Normal(mean(y), 2.5 s_y)"),
        (Independent(), "mean = mean(y), scale = 2.5 s_y"),
        (Independent(mean=0.0, scale=1.0), ""),
    ],
    ids=str,
)
def test_defaults_of_an_intercept_among_the_weights(relation: Any, own: str) -> None:
    lines = text(relation, intercept="relation").splitlines()
    told = f"; defaults of its own: {own}" if own else ""
    assert f"the intercept is the feature 'Intercept' of w_t{told}" in lines


def test_a_number_of_factors_asks_for_factors() -> None:
    told = text(MatrixNormal(n_factors=2))
    assert "Omega = A A' + diag(psi): a number of factors to be learned, at most 2\n" in told
    assert "    A_th ~ Normal(0, sqrt(theta_h))" in told
    assert "up to 12 tasks as" in text(MatrixNormal())


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
