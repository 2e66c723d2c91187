"""MCMCpack's Gibbs sampler of the hierarchical regression, where R has it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.data import Example
from benchmarks.effective import Mixing, correlation_elements, mixing

__all__ = ["PackRun", "mcmcpack_missing", "run_mcmcpack"]

_SCRIPT = Path(__file__).with_name("mcmcpack.R")


class PackRun(NamedTuple):
    """Version, seconds of the slowest chain (burn-in counts) and the mixing of all chains."""

    version: str
    seconds: float
    mixing: Mixing


def mcmcpack_missing() -> str | None:
    """Why the peer cannot run, or None."""
    program = shutil.which("Rscript")
    if program is None:
        return "Rscript is not on the path"
    check = [program, "-e", "quit(status = !requireNamespace('MCMCpack', quietly = TRUE))"]
    if subprocess.run(check, capture_output=True, check=False).returncode != 0:
        return "R has no package MCMCpack"
    return None


def run_mcmcpack(example: Example, *, tune: int, draws: int, chains: int, seed: int) -> PackRun:
    """Run one R process for each chain, all at the same time, on standardised rows.

    Its intercept is one more random coefficient of the full covariance; it is not a quantity here.
    """
    table = example.frame[["task", "y", *example.features]].copy()
    for name in ("y", *example.features):
        table[name] = (table[name] - table[name].mean()) / table[name].std()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table.to_csv(folder / "rows.csv", index=False)
        outputs = [folder / f"chain{i}.csv" for i in range(chains)]
        processes = [
            subprocess.Popen(
                [
                    shutil.which("Rscript") or "Rscript",
                    str(_SCRIPT),
                    str(folder / "rows.csv"),
                    str(output),
                    str(tune),
                    str(draws),
                    str(seed + i),
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for i, output in enumerate(outputs)
        ]
        reports = []
        for process in processes:
            out, err = process.communicate()
            if process.returncode != 0:
                raise RuntimeError(f"MCMCpack failed: {err.strip()}")
            reports.append(out.split())
        values = np.stack([pd.read_csv(output).to_numpy() for output in outputs])
    seconds = max(float(report[-2]) for report in reports)
    return PackRun(reports[0][-1], seconds, mixing(_quantities(values, len(example.features))))


def _quantities(values: np.ndarray, n_features: int) -> dict[str, np.ndarray]:
    """Columns are beta (p), VCV (p x p) and sigma2, the intercept first."""
    p = n_features + 1
    covariance = values[..., p : p + p * p].reshape(*values.shape[:2], p, p)[..., 1:, 1:]
    sd = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
    return {
        "mean": values[..., 1:p],
        "sd": sd,
        "correlation": correlation_elements(covariance / (sd[..., :, None] * sd[..., None, :])),
        "noise": np.sqrt(values[..., -1]),
    }
