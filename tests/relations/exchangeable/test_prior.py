"""Settings of the relations and their defaults."""

from typing import Any

import pytest

from bayesmtl import Exchangeable, Independent, InvalidModelError, Pooled, Prior
from bayesmtl.relations.exchangeable.prior import Features

FEATURES = Features(("Intercept", "x"), (5.0, 0.0), (2.0, 0.5), ())
WITH_EFFECTS = FEATURES._replace(effect_unit=(4.0,))
NORMAL, HALF, BETA = Prior("Normal"), Prior("HalfNormal"), Prior("Beta", alpha=2, beta=3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Independent(mean=NORMAL),
            r"Independent mean must be fixed numbers, got Normal.*bm.Exchangeable",
        ),
        (lambda: Independent(scale=HALF), "Independent scale must be fixed numbers"),
        (lambda: Independent(scale=-1.0), "Independent scale must be at least 0, got -1.0"),
        (lambda: Independent(mean="0"), "Independent mean must be a number or a prior"),
        (lambda: Pooled(mean="0"), "Pooled mean must be a number or a prior"),
        (lambda: Exchangeable(scale=NORMAL), r"Exchangeable scale must be at least 0, got Normal"),
        (
            lambda: Exchangeable(feature_covariance="dense"),
            "feature_covariance must be 'diagonal' or 'full', got 'dense'",
        ),
        (
            lambda: Exchangeable(
                scale=HALF, feature_covariance="full", correlation=Prior("Beta", alpha=1, beta=1)
            ),
            r"correlation must be Prior\('LKJ', eta=...\), got Beta\(1, 1\)",
        ),
        (
            lambda: Exchangeable(scale=HALF, feature_covariance="full", correlation=0.5),
            r"correlation must be Prior\('LKJ', eta=...\), got 0.5",
        ),
        (
            lambda: Exchangeable(scale=HALF, correlation=Prior("LKJ")),
            "correlation= goes with feature_covariance='full' and a scale= of your own",
        ),
        (
            lambda: Exchangeable(feature_covariance="full", correlation=Prior("LKJ")),
            "without a scale the Huang-Wand prior covers sds and correlations together",
        ),
        (lambda: Exchangeable(r2=0.5), "r2 must be a Beta prior, got 0.5"),
        (lambda: Exchangeable(shared=HALF), r"shared must be a Beta prior, got HalfNormal\(1\)"),
        (
            lambda: Exchangeable(mean=0.0, r2=BETA),
            "r2= belongs to the joint default prior: leave mean= and scale= out",
        ),
        (
            lambda: Exchangeable(feature_covariance="full", shared=BETA),
            "shared= belongs to the joint default prior",
        ),
    ],
)
def test_settings_that_do_not_fit(make: Any, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        make()


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="mean"):
        Exchangeable().mean = 1.0  # type: ignore[misc]


def test_independent_defaults() -> None:
    block = Independent().resolve(WITH_EFFECTS)
    assert block.mean == [[5.0, 0.0], [0.0, 0.0]]
    assert block.scale == [5.0, 1.25]
    assert Independent(mean=1.0, scale=[3.0, 4.0]).resolve(FEATURES).scale == [3.0, 4.0]


def test_pooled_defaults() -> None:
    block = Pooled().resolve(WITH_EFFECTS)
    assert block.mean == [
        [Prior("Normal", mu=5.0, sigma=5.0), 0.0],
        [Prior("Normal", mu=0.0, sigma=1.25), 0.0],
    ]
    assert block.scale == [0.0, 0.0]


def test_the_joint_default_leaves_the_intercept_out() -> None:
    block = Exchangeable(r2=BETA).resolve(WITH_EFFECTS)
    effect = Prior("Normal", mu=0.0, sigma=20.0)
    assert block.mean == [[Prior("Normal", mu=5.0, sigma=5.0), effect], [None, None]]
    assert block.scale == [Prior("HalfNormal", sigma=2.0), None]
    assert block.r2 == BETA
    assert block.shared == Prior("Beta", alpha=1, beta=1)


def test_effects_of_ones_own_beside_the_joint_default() -> None:
    block = Exchangeable(task_effects={"x": NORMAL}).resolve(WITH_EFFECTS)
    assert block.mean[1] == [None, NORMAL]


@pytest.mark.parametrize(
    ("relation", "mean", "scale"),
    [
        (Exchangeable(mean=NORMAL), NORMAL, Prior("HalfNormal", sigma=0.5)),
        (Exchangeable(scale=HALF), Prior("Normal", mu=0.0, sigma=1.25), HALF),
        (Exchangeable(mean=0.0), 0.0, Prior("HalfNormal", sigma=0.5)),
        (Exchangeable(scale={"Intercept": 1.0}), Prior("Normal", mu=0.0, sigma=1.25), None),
    ],
)
def test_setting_one_switches_the_other(relation: Exchangeable, mean: Any, scale: Any) -> None:
    block = relation.resolve(FEATURES)
    assert block.mean[1] == [mean]
    assert block.scale[1] == (Prior("HalfNormal", sigma=0.5) if scale is None else scale)
    assert block.covariance == "diagonal"


def test_full_covariances() -> None:
    block = Exchangeable(feature_covariance="full").resolve(FEATURES)
    assert block.covariance == "huang_wand"
    assert block.mean[1] == [Prior("Normal", mu=0.0, sigma=1.25)]
    assert None not in block.scale
    kept = Exchangeable(scale=HALF, feature_covariance="full", correlation=Prior("LKJ", eta=3))
    block = kept.resolve(FEATURES)
    assert (block.covariance, block.correlation_shape) == ("separate", 3.0)
    block = Exchangeable(scale=HALF, feature_covariance="full").resolve(FEATURES)
    assert block.correlation_shape == 1.0


def test_unknown_features_are_named() -> None:
    for relation in (Exchangeable(mean={"q": 0.0}), Exchangeable(task_effects={"q": 0.0})):
        with pytest.raises(InvalidModelError, match="'q' is no feature of the model"):
            relation.resolve(WITH_EFFECTS)
