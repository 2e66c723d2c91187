"""Data of the benchmarks: simulated ones, and those that lie beside the checkout."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import brentq

__all__ = [
    "SHARED_DATA",
    "SPLITS",
    "Example",
    "clustered",
    "correlated",
    "formula_of",
    "generalised",
    "read_computer",
    "read_digits",
    "read_landmine",
    "read_parkinsons",
    "read_sarcos",
    "read_school",
    "school_like",
    "standardised",
]

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SPLITS = tuple(f"train{i}" for i in range(1, 11))


class Example(NamedTuple):
    """A data frame with columns ``task``, ``y`` and the features."""

    name: str
    frame: pd.DataFrame
    features: tuple[str, ...]


def formula_of(features: tuple[str, ...]) -> str:
    """``y`` on all features and an intercept."""
    return "y ~ " + " + ".join(features)


def school_like(
    n_tasks: int, n_features: int, n_rows: int, seed: int = 0, *, equal: bool = False
) -> Example:
    """Tasks whose weights correlate over features (four factors and a rest).

    Parameters
    ----------
    n_tasks, n_features, n_rows : int
    seed : int
    equal : bool
        Whether all tasks have the same number of rows; by default they differ.
    """
    rng = np.random.default_rng(seed)
    if equal:
        sizes = n_rows // n_tasks + (np.arange(n_tasks) < n_rows % n_tasks)
    else:
        sizes = rng.multinomial(n_rows, rng.dirichlet(np.full(n_tasks, 5.0)))
    loadings = 0.3 * rng.normal(size=(n_features, 4))
    covariance = loadings @ loadings.T + 0.05 * np.eye(n_features)
    mean = 0.5 * rng.normal(size=n_features)
    weights = rng.multivariate_normal(mean, covariance, size=n_tasks)
    intercept = 0.5 * rng.normal(size=n_tasks)
    task = np.repeat(np.arange(n_tasks), sizes)
    values = rng.normal(size=(n_rows, n_features))
    predictor = intercept[task]
    for j in range(n_features):
        predictor += values[:, j] * weights[task, j]
    names = tuple(f"x{j + 1}" for j in range(n_features))
    frame = pd.DataFrame(values, columns=list(names))
    frame["task"] = task
    frame["y"] = predictor + rng.normal(size=n_rows)
    return Example("simulated", frame, names)


def clustered(
    n_tasks: int, n_features: int, n_rows: int, *, n_clusters: int, sd: float, seed: int = 0
) -> Example:
    """Tasks of very different size in clusters of uneven size, the weights of a cluster the same.

    Parameters
    ----------
    n_tasks, n_features, n_rows : int
    n_clusters : int
    sd : float
        Of the weights over clusters; that of the noise is 1, and there is no intercept.
    seed : int
    """
    rng = np.random.default_rng(seed)
    sizes = 1 + rng.multinomial(n_rows - n_tasks, rng.dirichlet(np.ones(n_tasks)))
    share = rng.dirichlet(np.full(n_clusters, 3.0))
    weights = sd * rng.normal(size=(n_clusters, n_features))
    task = np.repeat(np.arange(n_tasks), sizes)
    cluster = rng.choice(n_clusters, size=n_tasks, p=share)[task]
    values = rng.normal(size=(n_rows, n_features))
    names = tuple(f"x{j + 1}" for j in range(n_features))
    frame = pd.DataFrame(values, columns=list(names))
    frame["task"] = task
    frame["y"] = (values * weights[cluster]).sum(axis=1) + rng.normal(size=n_rows)
    return Example("simulated", frame, names)


def correlated(
    n_tasks: int,
    n_features: int,
    rows_per_task: int,
    *,
    rank: int = 2,
    noise_sd: float = 1.0,
    seed: int = 0,
) -> Example:
    """Tasks whose weights correlate over tasks, positively and negatively.

    ``W = mean + sd (A F + U)``: loadings A of the tasks on ``rank`` factors over features, own
    parts U of half their sd, features of different sd, about 0.3.

    Parameters
    ----------
    n_tasks, n_features, rows_per_task, rank : int
    noise_sd : float
    seed : int
    """
    rng = np.random.default_rng(seed)
    sd = 0.3 * np.exp(0.3 * rng.normal(size=n_features))
    loadings = rng.normal(size=(n_tasks, rank)) / np.sqrt(rank)
    own = 0.5 * rng.normal(size=(n_tasks, n_features))
    mean = 0.3 * rng.normal(size=n_features)
    weights = mean + sd * (loadings @ rng.normal(size=(rank, n_features)) + own)
    intercept = 0.5 * rng.normal(size=n_tasks)
    task = np.repeat(np.arange(n_tasks), rows_per_task)
    values = rng.normal(size=(len(task), n_features))
    names = tuple(f"x{j + 1}" for j in range(n_features))
    frame = pd.DataFrame(values, columns=list(names))
    frame["task"] = task
    predictor = intercept[task] + np.einsum("ij,ij->i", values, weights[task])
    frame["y"] = predictor + noise_sd * rng.normal(size=len(task))
    return Example("simulated", frame, names)


def generalised(
    n_rows: int, n_features: int, *, share: float, family: str, seed: int = 0
) -> Example:
    """One task: yes or no under the logit link, or counts under the log link.

    Parameters
    ----------
    n_rows, n_features : int
    share : float
        Mean of the expected response, which sets the intercept.
    family : {"bernoulli", "poisson"}
    seed : int
    """
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_rows, n_features))
    values -= values.mean(axis=0)
    slope = values @ (0.5 * rng.normal(size=n_features))

    def expected(intercept: float) -> np.ndarray:
        e = np.exp(intercept + slope)
        return e if family == "poisson" else e / (1.0 + e)

    mean = expected(brentq(lambda value: expected(value).mean() - share, -20.0, 20.0))
    names = tuple(f"x{j + 1}" for j in range(n_features))
    frame = pd.DataFrame(values, columns=list(names))
    frame["task"] = 0
    drawn = rng.poisson(mean) if family == "poisson" else rng.random(n_rows) < mean
    frame["y"] = drawn.astype("int64")
    return Example(family, frame, names)


def standardised(example: Example) -> Example:
    """Features of mean 0 and sd 1 over all rows."""
    columns = list(example.features)
    x = example.frame[columns]
    frame = example.frame.copy()
    frame[columns] = (x - x.mean()) / x.std(ddof=0)
    return example._replace(frame=frame)


def read_school(folder: Path = SHARED_DATA) -> Example | None:
    """Exam scores of 15,362 pupils in 139 schools and the splits; None where the file is not."""
    path = folder / "school.csv.gz"
    if not path.is_file():
        return None
    frame = pd.read_csv(path)
    frame["task"] = frame["task"].astype("int64")
    features = tuple(c for c in frame.columns if c not in ("task", "y", *SPLITS))
    return Example("School", frame, features)


def read_landmine(folder: Path = SHARED_DATA) -> Example | None:
    """Radar features of 14,820 objects in 29 fields, mine or clutter; None where the file is not.

    Fields 1 to 15 are foliated, 16 to 29 bare earth (Xue et al. 2007, J. Mach. Learn. Res. 8).
    """
    path = folder / "landmine.csv.gz"
    if not path.is_file():
        return None
    frame = pd.read_csv(path)
    return Example("Landmine", frame, tuple(c for c in frame.columns if c not in ("task", "y")))


def read_digits(folder: Path = SHARED_DATA) -> Example | None:
    """Principal components of 2,000 MNIST digits, columns digit and split; None without the file.

    Of Kang, Grauman and Sha (2011, ICML): 87 components, their variance falling.
    """
    path = folder / "mnist_digits.csv.gz"
    if not path.is_file():
        return None
    frame = pd.read_csv(path)
    return Example("MNIST", frame, tuple(c for c in frame.columns if c not in ("digit", "split")))


def read_sarcos(folder: Path = SHARED_DATA) -> Example | None:
    """Torques of 7 joints (the tasks) at the same 4,449 states of a robot arm, 21 features.

    The test file of the data. None where it is not there.
    """
    path = folder / "sarcos_wide.csv.gz"
    if not path.is_file():
        return None
    wide = pd.read_csv(path)
    torques = [c for c in wide.columns if c.startswith("torque")]
    features = tuple(c for c in wide.columns if c.startswith(("pos", "vel", "acc")))
    frame = wide.melt([*features], torques, var_name="task", value_name="y")
    return Example("SARCOS", frame, features)


def read_parkinsons(folder: Path = SHARED_DATA) -> Example | None:
    """Total UPDRS of 42 patients over time, with voice measures; None where the file is not.

    Age and sex, constant in a patient, are left out, and so are Jitter:DDP and Shimmer:DDA, three
    times Jitter:RAP and Shimmer:APQ3.
    """
    path = folder / "parkinsons.csv.gz"
    if not path.is_file():
        return None
    frame = pd.read_csv(path).drop(columns=["y_motor", "age", "sex", "Jitter:DDP", "Shimmer:DDA"])
    frame.columns = frame.columns.str.replace(r"\W+", "_", regex=True).str.strip("_")
    return Example("Parkinsons", frame, tuple(c for c in frame.columns if c not in ("task", "y")))


def read_computer(folder: Path = SHARED_DATA) -> Example | None:
    """Ratings (0 to 10) of 20 computers by 190 people, 13 attributes of -1 or 1 (Lenk et al. 1996).

    Beside them stand ``profile``, the computer, and ``holdout_profile``. None without the file.
    """
    path = folder / "computer_survey.csv.gz"
    if not path.is_file():
        return None
    frame = pd.read_csv(path)
    features = tuple(frame.columns[2 : frame.columns.get_loc("profile")])
    keep = ["task", "y", *features, "profile", "holdout_profile"]
    return Example("Computer survey", frame[keep], features)
