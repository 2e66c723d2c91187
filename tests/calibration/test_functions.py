"""Prior draws of functions in a basis rank uniformly among the draws of their posteriors."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, log_expit

import bayesmtl as bm
from bayesmtl.gp.data import FunctionProblem
from bayesmtl.gp.gibbs import sample_functions
from bayesmtl.gp.weight_space import HilbertBasis
from tests.gp.joint import World, function_problem
from tests.oracles.calibration import p_values

FITS, DRAWS, KEPT, SEED = 200, 500, 100, 5
BASIS = HilbertBasis("matern52", (10,), (1.8,))


def quantities(
    functions: FunctionProblem,
    y: np.ndarray,
    covariance: np.ndarray,
    lengthscale: np.ndarray,
    noise: np.ndarray | None,
    values: np.ndarray,
) -> dict[str, np.ndarray]:
    """Of draws (draw, ...); `values` (draw, row) are those of the functions."""
    sd = np.sqrt(np.einsum("ntt->nt", covariance))
    correlation = covariance / (sd[:, :, None] * sd[:, None, :])
    out = {
        "correlation": correlation[:, 0, 1],
        "another correlation": correlation[:, 1, 2],
        "sd": sd[:, 0],
        "length-scale": lengthscale,
        "function": values[:, 0],
        "product of functions": values[:, 0] * values[:, -1],
    }
    if noise is None:
        out["log-likelihood"] = log_expit((2.0 * y - 1.0) * values).sum(axis=1)
    else:
        own = noise[:, functions.rows.task]
        out["noise sd"] = noise[:, 0]
        out["log-likelihood"] = -(np.log(own) + 0.5 * ((y - values) / own) ** 2).sum(axis=1)
    return out


def ranks(likelihood: Any, level: float) -> dict[str, np.ndarray]:
    """(fit,) ranks from 0 to 1 of each quantity."""
    rng = np.random.default_rng(SEED)
    gaussian = isinstance(likelihood, bm.Gaussian)
    functions = function_problem(level, 1.2, 3, 12)
    rows = functions.rows
    world = World(functions, FITS, rng, BASIS)
    columns = BASIS.columns(rows.inputs)
    noise = np.exp(world.log_noise) if gaussian else None
    values = (columns * world.weights[:, rows.task]).sum(axis=2) + world.level[:, rows.task]
    found: dict[str, list[float]] = {}
    for i in range(FITS):
        if noise is None:
            y = (rng.random(len(rows.task)) < expit(values[i])).astype(np.float64)
        else:
            y = values[i] + noise[i, rows.task] * rng.normal(size=len(rows.task))
        given = functions._replace(
            rows=rows._replace(response=y), table=functions.table._replace(response=y)
        )
        draws, _, _ = sample_functions(
            given,
            BASIS,
            likelihood,
            draws=DRAWS,
            tune=400,
            chains=1,
            cores=1,
            random_seed=i,
            progressbar=False,
        )
        kept = slice(0, None, DRAWS // KEPT)
        assert draws.weights is not None
        sampled = (columns * draws.weights[0, kept][:, rows.task]).sum(axis=2)
        if draws.level is not None:
            sampled = sampled + draws.level[0, kept][:, rows.task]
        drawn = quantities(
            functions,
            y,
            draws.covariance[0, kept, 0],
            draws.lengthscale[0, kept, 0, 0],
            None if draws.noise is None else draws.noise[0, kept],
            sampled,
        )
        true = quantities(
            functions,
            y,
            world.covariance[i : i + 1],
            np.exp(world.logs[i : i + 1]),
            None if noise is None else noise[i : i + 1],
            values[i : i + 1],
        )
        for name, one in true.items():
            rank = ((drawn[name] < one[0]).sum() + rng.random()) / (KEPT + 1)
            found.setdefault(name, []).append(float(rank))
    return {name: np.array(own) for name, own in found.items()}


@pytest.mark.calibration
@pytest.mark.parametrize(
    ("name", "likelihood", "level"),
    [
        ("Functions, Gaussian", bm.Gaussian(), 0.8),
        ("Functions, Bernoulli", bm.Bernoulli(), 0.0),
    ],
)
def test_prior_draws_of_functions_rank_uniformly(
    name: str, likelihood: Any, level: float, record_property: Callable[[str, object], None]
) -> None:
    begin = time.perf_counter()
    found = p_values(ranks(likelihood, level))
    smallest = min(found, key=lambda key: found[key])
    threshold = 0.01 / (3 * len(found))
    cells = (
        *(name, FITS, len(found), smallest),
        *(f"{found[smallest]:.2g}", f"{threshold:.2g}", f"{time.perf_counter() - begin:.0f}"),
    )
    record_property("calibration", f"| {' | '.join(map(str, cells))} |")
    assert found[smallest] > threshold, found
