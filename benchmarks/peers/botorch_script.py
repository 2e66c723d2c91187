"""Fit `SaasFullyBayesianMultiTaskGP` as its manual does: inputs and outputs are files of NumPy."""

from __future__ import annotations

import sys
import time
from importlib.metadata import version

import numpy as np
import torch
from botorch.fit import fit_fully_bayesian_model_nuts
from botorch.models.fully_bayesian_multitask import SaasFullyBayesianMultiTaskGP

__all__ = ["main"]


def main(source: str, target: str) -> None:
    """Fit the rows of a file; write correlations of tasks (draw, task, task) and seconds."""
    given = np.load(source)
    x = torch.tensor(np.column_stack([given["x"], given["task"]]), dtype=torch.float64)
    y = torch.tensor(given["y"][:, None], dtype=torch.float64)
    seconds = []
    for _ in range(int(given["fits"])):
        model = SaasFullyBayesianMultiTaskGP(x, y, task_feature=-1)
        started = time.perf_counter()
        fit_fully_bayesian_model_nuts(
            model, thinning=int(given["thinning"]), disable_progbar=True, seed=int(given["seed"])
        )
        seconds.append(time.perf_counter() - started)
    root = model.covar_module.kernels[1].covar_factor.detach().numpy()
    covariance = root @ np.swapaxes(root, -1, -2)
    sd = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
    correlation = covariance / (sd[..., :, None] * sd[..., None, :])
    np.savez(target, correlation=correlation, seconds=seconds, version=version("botorch"))


if __name__ == "__main__":
    main(*sys.argv[1:])
