"""Settings of the cluster relations and their defaults."""

import json
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from bayesmtl import (
    DirichletProcess,
    Exchangeable,
    FiniteMixture,
    InvalidModelError,
    Model,
    PitmanYor,
    Prior,
)
from bayesmtl.relations.exchangeable.prior import Features
from bayesmtl.specification import part_from_dict, part_to_dict
from tests.oracles.cases import regression

FEATURES = Features(("Intercept", "x"), (5.0, 0.0), (2.0, 0.5), (4.0,))
GAMMA, BETA = Prior("Gamma", alpha=2, beta=2), Prior("Beta", alpha=2, beta=1)
NORMAL, HALF = Prior("Normal"), Prior("HalfNormal")
RELATIONS = (DirichletProcess, PitmanYor, FiniteMixture)


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mean": "0"}, "mean must be a number or a prior"),
        ({"scale": NORMAL}, r"scale must be at least 0, got Normal\(0, 1\)"),
        ({"scale": -1.0}, "scale must be at least 0, got -1.0"),
        ({"r2": 0.5}, "r2 must be a Beta prior, got 0.5"),
        ({"shared": HALF}, r"shared must be a Beta prior, got HalfNormal\(1\)"),
        (
            {"r2": BETA, "mean": 0.0},
            "r2= belongs to the joint default prior: leave mean= and scale= out, or leave it out",
        ),
        ({"shared": BETA, "scale": HALF}, "shared= belongs to the joint default prior"),
        ({"between": 1.5}, r"between must be in \[0, 1\], got 1.5; priors such as Beta fit"),
        ({"between": -0.1}, r"between must be in \[0, 1\], got -0.1"),
        ({"between": HALF}, r"between must be in \[0, 1\], got HalfNormal\(1\)"),
        ({"between": [0.5]}, r"between must be one prior or one number, got \[0.5\]"),
        ({"between": {"x": 0.5}}, "between must be one prior or one number"),
        ({"between": Prior("LKJ")}, r"between: LKJ\(1\) is a prior of correlation matrices"),
        ({"concentration": 0.0}, "concentration must be above 0, got 0"),
        ({"concentration": -2.0}, "concentration must be at least 0, got -2.0"),
        ({"concentration": NORMAL}, r"concentration must be at least 0, got Normal\(0, 1\)"),
        ({"concentration": (1.0, 2.0)}, "concentration must be one prior or one number"),
        ({"concentration": float("inf")}, "concentration must be"),
    ],
)
def test_settings_that_do_not_fit(relation: Any, settings: Any, message: str) -> None:
    with pytest.raises(InvalidModelError, match=rf"^{relation.__name__} .*{message}"):
        relation(**settings)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: DirichletProcess(expected_clusters=3, concentration=1.0),
            "DirichletProcess: set concentration= or expected_clusters=, not both",
        ),
        (
            lambda: DirichletProcess(expected_clusters=1),
            "DirichletProcess expected_clusters must be a number above 1, got 1",
        ),
        (
            lambda: DirichletProcess(expected_clusters=GAMMA),
            "DirichletProcess expected_clusters must be a number above 1, got Prior",
        ),
        (
            lambda: DirichletProcess(expected_clusters=4).partition(4),
            "expected_clusters=4.0: use a number above 1 and below the number of tasks, 4",
        ),
        (lambda: PitmanYor(discount=1.0), "PitmanYor discount must be below 1, got 1"),
        (lambda: PitmanYor(discount=-0.2), r"PitmanYor discount must be in \[0, 1\], got -0.2"),
        (lambda: PitmanYor(discount=HALF), r"PitmanYor discount must be in \[0, 1\]"),
        (lambda: PitmanYor(discount=[0.1]), "PitmanYor discount must be one prior or one number"),
        *(
            (
                lambda wrong=wrong: FiniteMixture(components=wrong),
                "FiniteMixture components must be a positive integer or None, got ",
            )
            for wrong in (0, -1, 2.5, True, "3", "many", [2], float("nan"), float("inf"), GAMMA)
        ),
    ],
)
def test_numbers_of_clusters_that_do_not_fit(make: Any, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        make()


def test_defaults() -> None:
    for relation in RELATIONS:
        part = relation()
        assert part.concentration == GAMMA
        assert part.between == BETA
        assert part.resolve(FEATURES) == Exchangeable().resolve(FEATURES)
    assert DirichletProcess().partition(5)[:3] == (GAMMA, 0.0, BETA)
    assert DirichletProcess().partition(5).log_components is None
    assert PitmanYor().partition(5)[:3] == (GAMMA, Prior("Beta", alpha=1, beta=4), BETA)
    assert PitmanYor(discount=0).partition(5).discount == 0.0
    assert DirichletProcess(between=1).between == 1.0


def test_population_settings_are_those_of_one_population() -> None:
    settings: list[dict[str, Any]] = [
        {"mean": NORMAL},
        {"scale": {"x": HALF}},
        {"mean": 0.0, "scale": [1.0, 2.0], "task_effects": NORMAL},
        {"r2": BETA, "shared": Prior("Beta", alpha=3, beta=1)},
    ]
    for relation in RELATIONS:
        for each in settings:
            block = relation(**each).resolve(FEATURES)
            assert block == Exchangeable(**each).resolve(FEATURES)
        with pytest.raises(InvalidModelError, match="'q' is no feature of the model"):
            relation(mean={"q": 0.0}).resolve(FEATURES)


def test_numbers_of_components() -> None:
    log_prior = FiniteMixture().partition(3).log_components
    assert log_prior is not None
    m = np.arange(1, len(log_prior) + 1)
    # P(M = 1) = E[p] for a geometric number of failures with p ~ Beta(4, 3).
    assert np.exp(log_prior[0]) == pytest.approx(4 / 7)
    assert np.exp(log_prior).sum() == pytest.approx(1.0, abs=1e-8)
    assert np.exp(log_prior) @ m == pytest.approx(2.0, abs=1e-5)
    many = FiniteMixture().partition(5000).log_components
    assert many is not None
    assert len(many) == 5000
    fixed = FiniteMixture(components=4.0).partition(3).log_components
    assert fixed is not None
    assert np.exp(fixed).tolist() == [0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize(("expected", "n_tasks"), [(1.2, 3), (3, 12), (3, 200), (49, 50)])
def test_the_prior_mean_of_the_number_of_clusters_is_as_asked(
    expected: float, n_tasks: int
) -> None:
    prior = DirichletProcess(expected_clusters=expected).partition(n_tasks).concentration
    assert isinstance(prior, Prior)
    assert (prior.family, dict(prior.params)["alpha"]) == ("Gamma", 2.0)
    law = stats.gamma(2.0, scale=1.0 / dict(prior.params)["beta"])

    def integrand(u: float) -> float:
        alpha = law.ppf(u)
        return float(np.sum(alpha / (alpha + np.arange(n_tasks))))

    mean = integrate.quad(integrand, 0.0, 1.0, limit=200)[0]
    assert mean == pytest.approx(expected, rel=1e-5)


PARTS = [
    DirichletProcess(),
    DirichletProcess(concentration=0.5, between=1.0, mean={"x0": NORMAL}, scale=HALF),
    DirichletProcess(expected_clusters=2.5, r2=BETA, shared=BETA),
    PitmanYor(),
    PitmanYor(discount=0.25, concentration=Prior("Exponential"), task_effects=NORMAL),
    FiniteMixture(),
    FiniteMixture(components=3, between=Prior("Uniform", lower=0.2, upper=0.9), scale=[1.0, 0.0]),
]


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_parts_and_models_survive_json(part: Any) -> None:
    spec = json.loads(json.dumps(part_to_dict(part), allow_nan=False))
    assert part_from_dict(spec) == part
    assert type(part_from_dict(spec)) is type(part)
    assert hash(part_from_dict(spec)) == hash(part)
    model = Model("y ~ x0 + x1", "task", relation=part)
    again = Model.from_dict(json.loads(json.dumps(model.to_dict(), allow_nan=False)))
    assert again == model


@pytest.mark.parametrize(
    ("relation", "lines"),
    [
        (
            DirichletProcess(),
            [
                "w_t ~ Normal(beta_c(t), (1 - between) D)   [DirichletProcess]",
                "beta_k ~ Normal(mean, between D), k = 1, 2, ...",
                "clusters c(t) from a Dirichlet process(concentration)",
                "concentration ~ Gamma(2, 2)",
                "between ~ Beta(2, 1)",
                "R2 ~ Beta(1, 1), shared ~ Beta(1, 1)",
            ],
        ),
        (
            DirichletProcess(
                concentration=Prior("Exponential", lam=3), mean=Prior("Normal", mu=1, sigma=3)
            ),
            ["concentration ~ Exponential(3)", "mean ~ Normal(1, 3)", "scale ~ HalfNormal(s_y"],
        ),
        (
            DirichletProcess(expected_clusters=2.5),
            ["concentration ~ Gamma(2, b), b for 2.5 clusters on average"],
        ),
        (
            PitmanYor(discount=Prior("Beta", alpha=2, beta=7), r2=Prior("Beta", alpha=3, beta=5)),
            [
                "clusters c(t) from a Pitman-Yor process(concentration, discount)",
                "discount ~ Beta(2, 7)",
                "R2 ~ Beta(3, 5)",
            ],
        ),
        (
            FiniteMixture(between=Prior("Beta", alpha=4, beta=3)),
            [
                "clusters c(t) from M components of weights Dirichlet(concentration / M, ...)",
                "M - 1 ~ beta-negative-binomial(1, 4, 3)",
                "between ~ Beta(4, 3)",
            ],
        ),
        (FiniteMixture(components=7), ["M = 7"]),
    ],
    ids=lambda value: "" if isinstance(value, list) else str(value),
)
def test_the_story_has_the_actual_priors(relation: Any, lines: list[str]) -> None:
    story = str(Model("y ~ x", "t", relation))
    for line in lines:
        assert line in story


def test_task_features_in_the_story() -> None:
    story = str(Model("y ~ x", "t", DirichletProcess(scale=HALF), task_features="~ z"))
    assert "w_t ~ Normal(beta_c(t) + effects' z_t, (1 - between) D)" in story
    assert "effects ~ Normal(0, 2.5" in story


def test_clusters_need_features() -> None:
    data = regression()
    with pytest.raises(InvalidModelError, match="intercept='relation' clusters them by their inte"):
        Model("y ~ 1", "task", DirichletProcess()).prepare(data)
    with pytest.raises(InvalidModelError, match="below the number of tasks, 4"):
        Model("y ~ x0", "task", DirichletProcess(expected_clusters=9)).prepare(data)
    assert Model("y ~ 1", "task", PitmanYor(), intercept="relation").prepare(data)
