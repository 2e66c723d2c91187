"""BoTorch's fully Bayesian multi-task Gaussian process, in a Python that has it."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

__all__ = ["SaasRun", "botorch_missing", "run_saas"]

_SCRIPT = Path(__file__).with_name("botorch_script.py")
_CHECK = "import botorch.models.fully_bayesian_multitask, jax, numpyro"


class SaasRun(NamedTuple):
    """Version, seconds of each fit and correlations of tasks (chain, draw, task, task)."""

    version: str
    seconds: np.ndarray
    correlation: np.ndarray


def botorch_missing(python: str) -> str | None:
    """Why the peer cannot run, or None."""
    try:
        found = subprocess.run([python, "-c", _CHECK], capture_output=True, check=False)
    except OSError:
        return f"there is no {python}"
    if found.returncode != 0:
        return "the Python of --peer-python has no BoTorch with JAX and NumPyro"
    return None


def run_saas(
    python: str,
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
    *,
    fits: int,
    thinning: int,
    limit: float,
    seed: int,
) -> SaasRun | None:
    """One chain with the default lengths of its manual; None where all fits take too long.

    Parameters
    ----------
    python : str
        Path of an interpreter.
    rows : (n, input), (n,), (n,)
        Inputs in [0, 1], codes of tasks and response, standardised by task.
    fits : int
        The first compiles, as little as it keeps for the next.
    thinning : int
        16 is its default; draws in between cost the same.
    limit : float
        Seconds.
    seed : int
    """
    x, task, y = rows
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name) / "rows.npz", Path(name) / "draws.npz"
        np.savez(source, x=x, task=task, y=y, fits=fits, thinning=thinning, seed=seed)
        try:
            done = subprocess.run(
                [python, str(_SCRIPT), str(source), str(target)],
                capture_output=True,
                check=False,
                text=True,
                timeout=limit,
            )
        except subprocess.TimeoutExpired:
            return None
        if done.returncode != 0:
            raise RuntimeError(f"BoTorch failed: {done.stderr.strip()}")
        found = np.load(target)
        return SaasRun(str(found["version"]), found["seconds"], found["correlation"][None])
