"""Cadmium in the soil of the Jura from what nickel and zinc tell: Gaussian processes of a task."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from scipy.linalg import cho_solve

import bayesmtl as bm
from bayesmtl.errors import BayesMTLWarning
from bayesmtl.gp.dense import factor, row_covariance
from bayesmtl.gp.hyperparameters import Hyper
from benchmarks.data import SHARED_DATA
from benchmarks.peers.gpytorch_icm import fit_icm

__all__ = ["COLUMNS", "Soil", "SoilSettings", "compare_soil", "leave_one_out", "read_soil"]

COLUMNS = (
    "model",
    "response",
    "kernel",
    "mean abs. error",
    "90% intervals hold",
    "width",
    "log density left out",
    "log posterior",
    "seconds",
    "",
)
TARGET, OTHERS, INPUTS = "Cd", ("Ni", "Zn"), ("Xloc", "Yloc")
RESPONSES = {"y": "y ~ Xloc + Yloc", "log(y)": "log(y) ~ Xloc + Yloc"}
_Z90 = 1.6449
_LEFT_OUT_DRAWS = 20


class Soil(NamedTuple):
    """Rows of the metals that are known, and of the target where it is not.

    Parameters
    ----------
    known, new : data frame
        Columns task, y and the inputs.
    """

    known: pd.DataFrame
    new: pd.DataFrame


@dataclass(frozen=True)
class SoilSettings:
    """Variants and sizes.

    Parameters
    ----------
    peers : bool
        Whether to run the peer.
    kernels : tuple of str
    coregionalizations : tuple of str
    draws, chains : int
    starts, iterations : int
        Of the peer.
    seed : int
    """

    peers: bool = True
    kernels: tuple[str, ...] = ("matern32", "matern52")
    coregionalizations: tuple[str, ...] = ("icm", "lmc")
    draws: int = 100
    chains: int = 2
    starts: int = 1
    iterations: int = 100
    seed: int = 1


def read_soil() -> Soil | None:
    """The classic split: the target at 259 sites, two other metals at all 359; None without it."""
    path = SHARED_DATA / "jura.csv.gz"
    if not path.is_file():
        return None
    rows = pd.read_csv(path)[["task", "y", *INPUTS, "split"]]
    held_out = (rows["task"] == TARGET) & (rows["split"] == "validation")
    used = rows["task"].isin((TARGET, *OTHERS))
    keep = ["task", "y", *INPUTS]
    return Soil(
        rows.loc[used & ~held_out, keep].reset_index(drop=True),
        rows.loc[held_out, keep].reset_index(drop=True),
    )


def compare_soil(soil: Soil, settings: SoilSettings) -> list[tuple[object, ...]]:
    """A row for each model; the last cell marks which of ours the known rows choose.

    It is the one that predicts each known row of the target best from all other rows, as the new
    ones are to be: the target is left out at a site whose other metals are known.
    """
    alone = soil.known[soil.known["task"] == TARGET].reset_index(drop=True)
    variants = [(response, kernel) for response in RESPONSES for kernel in settings.kernels]
    rows: list[tuple[object, ...]] = []
    ours: list[tuple[object, ...]] = []
    for variant in variants:
        rows.append((*_told(_own("target alone", alone, soil.new, *variant, settings)), ""))
    if settings.peers:
        rows.extend((*_told(_peer(soil, *variant, settings)), "") for variant in variants)
    for kind in settings.coregionalizations:
        ours.extend(
            _told(_own(kind, soil.known, soil.new, *variant, settings)) for variant in variants
        )
    best = int(np.argmax([float(str(row[6])) for row in ours]))
    marked = [(*row, "chosen by known rows" if i == best else "") for i, row in enumerate(ours)]
    return [*rows, *marked]


def _told(row: tuple[object, ...]) -> tuple[object, ...]:
    """The same row, its model said to be done: all take tens of minutes."""
    print(f"{row[0]}, {row[1]}, {row[2]}: error {row[3]:.3f}, {row[8]:.0f} s", flush=True)
    return row


def _scored(
    new: pd.DataFrame, center: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> tuple[float, str, float]:
    truth = new["y"].to_numpy()
    inside = (lower <= truth) & (truth <= upper)
    error = float(np.abs(truth - center).mean())
    return error, f"{100 * inside.mean():.0f}%", float((upper - lower).mean())


def _back(response: str, *values: np.ndarray) -> list[np.ndarray]:
    """On the scale of the measurements: medians and quantiles of a log are those of its exp."""
    return [np.exp(one) if response == "log(y)" else one for one in values]


def _own(
    name: str,
    known: pd.DataFrame,
    new: pd.DataFrame,
    response: str,
    kernel: str,
    settings: SoilSettings,
) -> tuple[object, ...]:
    kind = name if name in ("icm", "lmc") else "icm"
    model = bm.MultiTaskGP(RESPONSES[response], "task", kernel=kernel, coregionalization=kind)
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesMTLWarning)
        tree = model.fit(
            known,
            inference="map",
            draws=settings.draws,
            chains=settings.chains,
            random_seed=settings.seed,
            progressbar=False,
        )
        took = time.perf_counter() - started
        expected = bm.predict(tree, new, random_seed=1, as_frame=True)
        drawn = bm.predict(tree, new, kind="response", random_seed=1, as_frame=True)
        unit = model.prepare(known).log_unit
    center, lower, upper = _back(
        response,
        *(
            frame[column].to_numpy()
            for frame, column in ((expected, "mean"), (drawn, "lower"), (drawn, "upper"))
        ),
    )
    y = known["y"].to_numpy()
    jacobian = np.log(y) if response == "log(y)" else np.zeros(len(y))
    left_out = leave_one_out(tree, kernel, TARGET) - jacobian[known["task"] == TARGET]
    lp = float(tree["sample_stats"]["lp"].max())
    lp -= unit + float(jacobian.sum())
    scores = _scored(new, center, lower, upper)
    return (name, response, kernel, *scores, float(left_out.mean()), lp, took)


def leave_one_out(tree: xr.DataTree, kernel: str, target: str) -> np.ndarray:
    """Log density of each row of a task given all other rows, averaged over some draws.

    Rasmussen and Williams 2006, eqs. 5.10 to 5.12, in the unit of the response of the formula.
    Hyperparameters are those of all rows.
    """
    posterior, constant = tree["posterior"].to_dataset(), tree["constant_data"].to_dataset()
    sample = posterior.stack(sample=("chain", "draw"), create_index=False)
    step = max(1, sample.sizes["sample"] // _LEFT_OUT_DRAWS)
    sample = sample.isel(sample=slice(None, None, step)).transpose("sample", ...)
    scale, center = (constant[f"response_{name}"].to_numpy() for name in ("scale", "center"))
    task = constant["task_index"].to_numpy().astype(np.int64)
    x = constant["features"].to_numpy() - constant["input_center"].to_numpy()
    x = x / constant["input_scale"].to_numpy()
    response = next(iter(tree["observed_data"].to_dataset().data_vars.values())).to_numpy()
    y = (response - center[task]) / scale[task]
    several = "component_covariance" in sample
    covariance = sample["component_covariance" if several else "task_covariance"].to_numpy()
    lengthscale = sample["lengthscale"].to_numpy() / constant["input_scale"].to_numpy()
    if not several:
        covariance, lengthscale = covariance[:, None], lengthscale[:, None]
    covariance = covariance / np.outer(scale, scale)
    noise = sample["noise_sd"].to_numpy() / scale
    mine = np.flatnonzero(posterior["task"].to_numpy()[task] == target)
    known, logs = (x, task), []
    for s in range(sample.sizes["sample"]):
        hyper = Hyper(covariance[s], covariance[s], lengthscale[s], noise[s])
        total = row_covariance(kernel, hyper, known, known, constant["level_sd"].to_numpy())
        total[np.diag_indices(len(y))] += noise[s, task] ** 2
        inverse = cho_solve((factor(total), True), np.eye(len(y)))
        precision = np.diag(inverse)[mine]
        residual = (inverse @ y)[mine] / precision
        logs.append(0.5 * np.log(precision / (2.0 * np.pi)) - 0.5 * residual**2 * precision)
    average = np.logaddexp.reduce(logs, axis=0) - np.log(len(logs))
    return np.asarray(average - np.log(scale[task[mine]]))


def _peer(soil: Soil, response: str, kernel: str, settings: SoilSettings) -> tuple[object, ...]:
    labels, codes = np.unique(soil.known["task"], return_inverse=True)
    y = soil.known["y"].to_numpy()
    inputs = list(INPUTS)
    started = time.perf_counter()
    found = fit_icm(
        (soil.known[inputs].to_numpy(), codes, np.log(y) if response == "log(y)" else y),
        (
            soil.new[inputs].to_numpy(),
            np.searchsorted(labels, soil.new["task"].to_numpy(dtype=str)),
        ),
        kernel=kernel,
        starts=settings.starts,
        iterations=settings.iterations,
        seed=settings.seed,
    )
    took = time.perf_counter() - started
    bounds = found.mean - _Z90 * found.sd, found.mean + _Z90 * found.sd
    scores = _scored(soil.new, *_back(response, found.mean, *bounds))
    nothing = float("nan")
    name = "icm, maximum likelihood (GPyTorch)"
    return (name, response, kernel, *scores, nothing, nothing, took)
