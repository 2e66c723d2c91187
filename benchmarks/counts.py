"""Rare events and counts: effective draws a sweep of the intercept; digits against scikit-learn."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.model_selection import GridSearchCV  # type: ignore[import-untyped]
from sklearn.multiclass import OneVsRestClassifier  # type: ignore[import-untyped]
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

import bayesmtl as bm
from benchmarks.data import Example, formula_of, generalised, read_digits
from benchmarks.effective import mixing
from benchmarks.own import timed_fit
from benchmarks.peers.polya_gamma import polya_gamma_missing, run_polya_gamma
from benchmarks.reporting import heading, headline, load_average, print_table

__all__ = ["PARTS", "CountsSettings", "digits", "logistic", "poisson", "run"]

PARTS = ("logistic", "poisson", "digits")
SWEEP_COLUMNS = (
    "sampler",
    "ESS/sweep",
    "target",
    "worst ESS/sweep",
    "R-hat",
    "intercept",
    "s",
    "load",
)
DIGIT_COLUMNS = ("method", "accuracy %", "s", "tuned to")
_PRIOR_SD = 2.5
_CS = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0)


@dataclass(frozen=True)
class CountsSettings:
    """Parts, sizes and lengths.

    Parameters
    ----------
    parts : tuple of str
        Any of `PARTS`.
    n_rows, n_features : int
        Of the simulated data, one task.
    share, mean_count : float
        Share of ones, and the mean of the counts.
    draws, tune, chains : int
        Of all samplers on them.
    peers : bool
    digit_rows, digit_components : int
        Training rows of each digit at most, and leading principal components.
    digit_draws, digit_tune, digit_chains : int
    seed : int
    """

    parts: tuple[str, ...] = PARTS
    n_rows: int = 5000
    n_features: int = 5
    share: float = 0.01
    mean_count: float = 0.3
    draws: int = 1000
    tune: int = 1000
    chains: int = 4
    peers: bool = True
    digit_rows: int = 100
    digit_components: int = 50
    digit_draws: int = 300
    digit_tune: int = 300
    digit_chains: int = 2
    seed: int = 1


def run(settings: CountsSettings) -> None:
    """Print the parts that are asked for."""
    if "logistic" in settings.parts:
        logistic(settings)
    if "poisson" in settings.parts:
        poisson(settings)
    if "digits" in settings.parts:
        example = read_digits()
        if example is None:
            print("MNIST: skipped, ../shared/data/mnist_digits.csv.gz is not there", flush=True)
        else:
            digits(example, settings)


def logistic(settings: CountsSettings) -> None:
    """Print effective draws a sweep of the intercept of a rare event, ours and Polya-Gamma."""
    example = generalised(
        settings.n_rows, settings.n_features, share=settings.share, family="bernoulli"
    )
    _heading(f"rare event, {example.frame['y'].sum()} ones", settings)
    rows = _own_rows(example, bm.Bernoulli(), settings)
    missing = polya_gamma_missing()
    if settings.peers and missing is not None:
        print(f"Polya-Gamma: skipped, {missing}")
    elif settings.peers:
        found = run_polya_gamma(
            example,
            prior_sd=_PRIOR_SD,
            tune=settings.tune,
            draws=settings.draws,
            chains=settings.chains,
            seed=settings.seed,
        )
        drawn = found.coefficients
        rows.append(_sweep_row("Polya-Gamma", drawn[..., 0], drawn, found.seconds))
    print_table(SWEEP_COLUMNS, rows)
    other = rows[-1] if len(rows) > 2 else ("", "")
    headline(f"ESS a sweep of the intercept, rare event, {rows[0][0]}", rows[0][1], *other[:2])


def poisson(settings: CountsSettings) -> None:
    """Print effective draws a sweep of the intercept of low counts."""
    example = generalised(
        settings.n_rows, settings.n_features, share=settings.mean_count, family="poisson"
    )
    _heading(f"counts of mean {example.frame['y'].mean():.2f}", settings)
    rows = _own_rows(example, bm.Poisson(), settings)
    print_table(SWEEP_COLUMNS, rows)
    headline(f"ESS a sweep of the intercept, low counts, {rows[0][0]}", rows[0][1])


def _heading(what: str, settings: CountsSettings) -> None:
    heading(
        f"{what}: one task, {settings.n_rows:,} rows, {settings.n_features} features, "
        f"{settings.chains} chains x ({settings.tune} + {settings.draws})"
    )
    print(
        f"Intercept and weights Normal(0, {_PRIOR_SD:g}); 'ESS/sweep' is the bulk ESS of the "
        "intercept over the draws kept.",
        flush=True,
    )


def _own_rows(
    example: Example, likelihood: bm.Bernoulli | bm.Poisson, settings: CountsSettings
) -> list[tuple[object, ...]]:
    """The same posterior in two ways: the weights as the population's mean, and as the task's."""
    relations = {
        "Pooled": bm.Pooled(mean=bm.Prior("Normal", mu=0.0, sigma=_PRIOR_SD)),
        "Independent": bm.Independent(mean=0.0, scale=_PRIOR_SD),
    }
    rows = []
    for name, relation in relations.items():
        model = bm.Model(
            formula_of(example.features), "task", relation, likelihood, intercept=relation
        )
        fit = timed_fit(
            model,
            example.frame,
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            seed=settings.seed,
        )
        intercept, weights = _coefficients(fit.tree)
        rows.append(_sweep_row(f"bm.{name}", intercept, weights, fit.sampling_seconds))
    return rows


def _coefficients(tree: xr.DataTree) -> tuple[np.ndarray, np.ndarray]:
    posterior = tree["posterior"]
    return posterior["intercept"].to_numpy()[..., 0], posterior["weights"].to_numpy()[..., 0, :]


def _sweep_row(
    name: str, intercept: np.ndarray, others: np.ndarray, seconds: float
) -> tuple[object, ...]:
    alone, every = mixing({"intercept": intercept}), mixing({"intercept": intercept, "w": others})
    kept = intercept.size
    estimate = f"{intercept.mean():.2f} ± {intercept.std():.2f}"
    after = (every.rhat, estimate, seconds, load_average())
    return (name, alone.ess / kept, "0.5", every.ess / kept, *after)


def digits(example: Example, settings: CountsSettings) -> None:
    """Print the accuracy of one-versus-rest tasks, ours and tuned ridge-logistic regressions."""
    features = example.features[: settings.digit_components]
    inside = example.frame["split"] == "train"
    inside &= example.frame.groupby(["split", "digit"]).cumcount() < settings.digit_rows
    train, test = example.frame[inside], example.frame[example.frame["split"] != "train"]
    heading(
        f"digits one versus rest: {train['digit'].nunique()} tasks, {len(train):,} training rows "
        f"(at most {settings.digit_rows} a digit), {len(features)} principal components"
    )
    print(
        f"Accuracy on {len(test):,} other rows, the digit of highest probability. Ours: "
        f"bm.Exchangeable(), default priors,\n{settings.digit_chains} chains x "
        f"({settings.digit_tune} + {settings.digit_draws}).",
        flush=True,
    )
    rows = [_own_digits(train, test, features, settings)]
    for name, steps in (("standardised", (StandardScaler(),)), ("as they are", ())):
        rows.append(_ridge_digits(name, steps, train, test, features))
    print_table(DIGIT_COLUMNS, rows)
    best = max(rows[1:], key=lambda row: float(str(row[1])))
    headline("accuracy, %, digits", rows[0][1], f"{best[0]}, tuned", best[1])


def _own_digits(
    train: pd.DataFrame, test: pd.DataFrame, features: tuple[str, ...], settings: CountsSettings
) -> tuple[object, ...]:
    model = bm.Model(formula_of(features), "task", bm.Exchangeable(), bm.Bernoulli())
    labels = np.unique(train["digit"])
    fit = timed_fit(
        model,
        _one_versus_rest(train, features, labels),
        draws=settings.digit_draws,
        tune=settings.digit_tune,
        chains=settings.digit_chains,
        seed=settings.seed,
    )
    started = time.perf_counter()
    expected = bm.predict(fit.tree, _one_versus_rest(test, features, labels), as_frame=True)
    best = labels[expected["mean"].to_numpy().reshape(labels.size, -1).argmax(axis=0)]
    seconds = fit.seconds + time.perf_counter() - started
    return "bayesmtl", f"{100.0 * (best == test['digit']).mean():.1f}", seconds, ""


def _one_versus_rest(
    frame: pd.DataFrame, features: tuple[str, ...], labels: np.ndarray
) -> pd.DataFrame:
    """All rows once for each digit, which is the task."""
    x = frame[list(features)]
    parts = [x.assign(task=digit, y=(frame["digit"] == digit).astype(int)) for digit in labels]
    return pd.concat(parts, ignore_index=True)


def _ridge_digits(
    name: str,
    steps: tuple[StandardScaler, ...],
    train: pd.DataFrame,
    test: pd.DataFrame,
    features: tuple[str, ...],
) -> tuple[object, ...]:
    """One penalty for all digits, of the highest accuracy in 5-fold cross-validation."""
    columns = list(features)
    started = time.perf_counter()
    ridge = OneVsRestClassifier(LogisticRegression(solver="newton-cholesky", max_iter=1000))
    search = GridSearchCV(
        make_pipeline(*steps, ridge), {"onevsrestclassifier__estimator__C": _CS}, cv=5
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(train[columns].to_numpy(), train["digit"].to_numpy())
    accuracy = 100.0 * search.score(test[columns].to_numpy(), test["digit"].to_numpy())
    seconds = time.perf_counter() - started
    tuned = f"C = {search.best_params_['onevsrestclassifier__estimator__C']:g}"
    return f"scikit-learn, features {name}", f"{accuracy:.1f}", seconds, tuned
