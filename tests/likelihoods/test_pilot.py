"""Pilot sites stand at the penalised mode of each task."""

import numpy as np
import pytest
from scipy.optimize import minimize

from bayesmtl import Bernoulli, Poisson
from bayesmtl.likelihoods.gaussian import Sites
from bayesmtl.likelihoods.pilot import pilot_sites
from bayesmtl.likelihoods.rows import sort_rows
from bayesmtl.numerics.lanes import unpack_symmetric, unpack_tasks
from tests.oracles.row_likelihoods import KINDS, NONE, Kind, Small, small

POOLED_SD, TASK_SD = 2.5, 1.0


def mode(kind: Kind, data: Small, rows: np.ndarray, start: np.ndarray, sd: float) -> np.ndarray:
    """Maximum of log-likelihood and Normal(start, sd) of some rows, by a general optimiser."""

    def loss(w: np.ndarray) -> float:
        eta = data.features[rows] @ w + data.offset[rows]
        density = kind.log_density(data.response[rows], eta)
        return float(0.5 * ((w - start) ** 2).sum() / sd**2 - data.weight[rows] @ density)

    return np.asarray(minimize(loss, start, tol=1e-12, options={"gtol": 1e-9}).x)


def dense(sites: Sites, n_tasks: int) -> tuple[np.ndarray, np.ndarray]:
    return unpack_symmetric(sites.gram, n_tasks), unpack_tasks(sites.moment, n_tasks)


@pytest.mark.parametrize("name", KINDS)
def test_sites_have_the_score_of_the_penalised_mode(name: str) -> None:
    kind = KINDS[name]
    data = small(kind)
    sites = pilot_sites(data.rows, kind.likelihood.kernels, NONE)
    gram, moment = dense(sites, 5)
    pooled = mode(kind, data, np.arange(len(data.task)), np.zeros(3), POOLED_SD)
    for t in range(5):
        w = mode(kind, data, np.flatnonzero(data.task == t), pooled, TASK_SD)
        score = moment[t] - gram[t] @ w
        # The gradient of the penalised log-likelihood is zero: the score is that of the penalty.
        np.testing.assert_allclose(score, (w - pooled) / TASK_SD**2, atol=2e-4)
    assert not gram[2].any()
    assert not moment[2].any()
    assert np.linalg.eigvalsh(gram).min() > -1e-12
    np.testing.assert_array_equal(sites.precision, 1.0)
    counts = np.bincount(data.task, data.weight, minlength=5)
    np.testing.assert_allclose(unpack_tasks(sites.rows, 5), counts)


@pytest.mark.parametrize("link", ["logit", "probit"])
def test_separable_data_have_finite_sites(link: str) -> None:
    x = np.linspace(-2.0, 2.0, 40)
    features = np.column_stack([np.ones(40), x, 1e3 * x])
    rows = sort_rows(
        features,
        (x > 0).astype(float),
        np.arange(40) % 3,
        3,
        offset=np.zeros(40),
        size=np.ones(40),
        weight=np.ones(40),
    )
    gram, moment = dense(pilot_sites(rows, Bernoulli(link=link).kernels, NONE), 3)
    assert np.isfinite(gram).all()
    assert np.isfinite(moment).all()


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_counts_of_any_size_have_finite_sites(scale: float) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=30)
    features = np.column_stack([np.ones(30), x])
    response = np.round(scale * np.exp(1.5 * x))
    rows = sort_rows(
        features,
        response,
        np.arange(30) % 3,
        3,
        offset=np.full(30, np.log((response.sum() + 0.5) / 30)),
        size=np.ones(30),
        weight=np.ones(30),
    )
    gram, moment = dense(pilot_sites(rows, Poisson().kernels, NONE), 3)
    assert np.isfinite(gram).all()
    assert np.isfinite(moment).all()
    if scale == 1e6:
        fitted = np.linalg.solve(gram, moment[..., None])[..., 0]
        np.testing.assert_allclose(fitted[:, 1], 1.5, atol=0.01)
