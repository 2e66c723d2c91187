"""Sparse multi-task Gaussian processes: seconds an epoch against GPyTorch; torques of SARCOS."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import bayesmtl as bm
from bayesmtl.errors import BayesMTLWarning
from bayesmtl.gp.inducing import choose_inducing
from bayesmtl.gp.variational import SparseSettings, SparseStart, fit_sparse, sparse_predict
from benchmarks.data import Example, formula_of, read_sarcos
from benchmarks.peers.gpytorch_lmc import BY_HAND, STRATEGY, epoch_of
from benchmarks.reporting import heading, headline, load_average, print_table

__all__ = ["PARTS", "SparseGPSettings", "compare_epochs", "run", "sarcos"]

PARTS = ("epochs", "torques")
_Z90 = 1.6449


@dataclass(frozen=True)
class SparseGPSettings:
    """Parts and sizes.

    Parameters
    ----------
    parts : tuple of str
        Any of `PARTS`.
    peers : bool
        Whether to run GPyTorch.
    n_rows, n_inputs, n_tasks, n_latents, n_inducing, batch_size, repeats : int
        Of the epochs, on simulated rows with an input of their own each.
    test_share : float
        Of the states of the robot arm.
    epochs, rank : int
        Of the Gaussian processes of the torques.
    draws, tune, chains : int
        Of the linear model.
    seed : int
    """

    parts: tuple[str, ...] = PARTS
    peers: bool = True
    n_rows: int = 8192
    n_inputs: int = 21
    n_tasks: int = 7
    n_latents: int = 3
    n_inducing: int = 256
    batch_size: int = 1024
    repeats: int = 3
    test_share: float = 0.25
    epochs: int = 150
    rank: int = 7
    draws: int = 250
    tune: int = 250
    chains: int = 2
    seed: int = 1


def run(settings: SparseGPSettings) -> None:
    """Print the parts that are asked for."""
    if "epochs" in settings.parts:
        heading(
            f"seconds an epoch: {settings.n_rows:,} rows, {settings.n_inputs} inputs, "
            f"{settings.n_tasks} tasks, {settings.n_latents} latent functions, "
            f"{settings.n_inducing} inducing points, batches of {settings.batch_size}, float64, "
            f"load {load_average()}"
        )
        rows = compare_epochs(settings)
        print_table(("latent kernels", "peer", "seconds", "ours", "ratio"), rows)
        for kernels, peer, theirs, ours, _ in rows:
            headline(f"seconds an epoch, latent kernels: {kernels}", ours, str(peer), theirs)
    if "torques" in settings.parts:
        example = read_sarcos()
        if example is None:
            print("torques: skipped, its file is not in ../shared/data")
            return
        heading(f"torques of SARCOS: nMSE % on {100 * settings.test_share:.0f}% of the states")
        names = sorted(example.frame["task"].unique())
        columns = ("model", *names, "mean", "90% intervals hold", "seconds")
        rows = sarcos(example, settings)
        print_table(columns, rows)
        linear = rows[-1]
        for row in rows[:-1]:
            headline(f"nMSE %, SARCOS, {row[0]}", row[-3], str(linear[0]), linear[-3])
            headline(f"90% intervals hold, SARCOS, {row[0]}", row[-2])


def compare_epochs(settings: SparseGPSettings) -> list[tuple[object, ...]]:
    """A row for each kind of latent functions and peer; one epoch of ours over one of theirs."""
    rng = np.random.default_rng(settings.seed)
    x = rng.normal(size=(settings.n_rows, settings.n_inputs))
    task = rng.integers(0, settings.n_tasks, settings.n_rows)
    y = np.sin(x[:, 0]) * (task - 3) / 3 + 0.1 * rng.normal(size=settings.n_rows)
    inducing = choose_inducing(x, settings.n_inducing, rng)
    rows: list[tuple[object, ...]] = []
    for kind in ("icm", "lmc"):
        ours = _own_epoch(settings, kind, (x, task, y), inducing)
        kernels = "one" if kind == "icm" else "one each"
        if not settings.peers:
            rows.append((kernels, "-", float("nan"), ours, float("nan")))
            continue
        for how in (STRATEGY, BY_HAND):
            epoch = epoch_of(
                x,
                task,
                y,
                inducing,
                n_latents=settings.n_latents,
                own_kernels=kind == "lmc",
                batch_size=settings.batch_size,
                how=how,
            )
            epoch()
            theirs = statistics.median(_seconds(epoch) for _ in range(settings.repeats))
            rows.append((kernels, how, theirs, ours, ours / theirs))
    return rows


def _seconds(action: Callable[[], Any]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _own_epoch(
    settings: SparseGPSettings,
    kind: str,
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
    inducing: np.ndarray,
) -> float:
    """Seconds of an epoch."""
    import torch

    from bayesmtl.gp.sparse_steps import Batch
    from bayesmtl.gp.sparse_train import Choices, Trainer

    x, task, y = (torch.tensor(value) for value in rows)
    n, rng = len(y), np.random.default_rng(settings.seed)
    n_kernels = settings.n_latents if kind == "lmc" else 1
    start = SparseStart(
        inducing,
        np.full((n_kernels, settings.n_inputs), np.sqrt(settings.n_inputs)),
        rng.normal(size=(settings.n_tasks, settings.n_latents)),
        np.ones(settings.n_tasks),
        np.zeros(settings.n_tasks),
    )
    trainer = Trainer(
        Choices("matern52", kind, "gaussian", SparseSettings(batch_size=settings.batch_size)),
        Batch(x, torch.arange(n), task, y, torch.zeros_like(y)),
        start,
        rng,
    )

    def epoch() -> None:
        for batch in trainer.batches(shuffle=True):
            trainer.step(batch, 1.0)

    epoch()
    return statistics.median(_seconds(epoch) for _ in range(settings.repeats))


def sarcos(example: Example, settings: SparseGPSettings) -> list[tuple[object, ...]]:
    """A row for each model, on one split of the states."""
    rng = np.random.default_rng(settings.seed)
    labels, codes = np.unique(example.frame["task"], return_inverse=True)
    n_states = len(example.frame) // len(labels)
    tested = rng.permutation(n_states) < settings.test_share * n_states
    test = np.tile(tested, len(labels))
    x = example.frame[list(example.features)].to_numpy(dtype=float)
    x = (x - x[~test].mean(axis=0)) / x[~test].std(axis=0)
    y = example.frame["y"].to_numpy(dtype=float, copy=True)
    for code in range(len(labels)):
        mine = codes == code
        y[mine] = (y[mine] - y[mine & ~test].mean()) / y[mine & ~test].std()
    rows = []
    for name, kind in (("GP, one kernel", "icm"), ("GP, a kernel each", "lmc")):
        started = time.perf_counter()
        fit = fit_sparse(
            x[~test],
            codes[~test],
            y[~test],
            len(labels),
            rng=rng,
            rank=settings.rank,
            coregionalization=kind,
            settings=SparseSettings(epochs=settings.epochs),
            progressbar=False,
        )
        took = time.perf_counter() - started
        mean, variance = sparse_predict(fit, x[test], codes[test])
        sd = np.sqrt(variance + fit.noise_sd[codes[test]] ** 2)
        inside = np.abs(y[test] - mean) < _Z90 * sd
        rows.append(_row(name, mean, y[test], codes[test], inside, took))
    rows.append(_linear(example, x, y, codes, test, settings))
    return rows


def _linear(
    example: Example,
    x: np.ndarray,
    y: np.ndarray,
    codes: np.ndarray,
    test: np.ndarray,
    settings: SparseGPSettings,
) -> tuple[object, ...]:
    frame = pd.DataFrame(x, columns=list(example.features)).assign(task=codes, y=y)
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesMTLWarning)
        fit = bm.Model(formula_of(example.features), "task", bm.MatrixNormal()).fit(
            frame[~test],
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            random_seed=settings.seed,
            progressbar=False,
        )
    took = time.perf_counter() - started
    found = bm.predict(fit, frame[test], kind="response", random_seed=1, as_frame=True)
    response = frame["y"].to_numpy()[test]
    inside = (found["lower"].to_numpy() <= response) & (response <= found["upper"].to_numpy())
    mean = found["mean"].to_numpy()
    return _row("linear, MatrixNormal()", mean, response, codes[test], inside, took)


def _row(
    name: str,
    mean: np.ndarray,
    response: np.ndarray,
    codes: np.ndarray,
    inside: np.ndarray,
    took: float,
) -> tuple[object, ...]:
    errors = [
        100.0 * float(np.mean((response - mean)[codes == t] ** 2) / response[codes == t].var())
        for t in range(codes.max() + 1)
    ]
    return (name, *errors, float(np.mean(errors)), f"{100 * inside.mean():.0f}%", took)
