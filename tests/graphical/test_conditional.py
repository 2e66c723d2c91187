"""Missing entries and densities of rows against dense algebra."""

import numpy as np
from scipy.stats import multivariate_normal

from bayesmtl.graphical.conditional import conditional_draws, row_log_density
from bayesmtl.graphical.gibbs import draw_missing, row_sums, scatter_of, update_means

RNG = np.random.default_rng(0)
N_DRAWS, N_TASKS, N = 3, 2, 4
MEAN = RNG.normal(size=(N_DRAWS, N_TASKS, N))
ROOT = RNG.normal(size=(N_DRAWS, N_TASKS, N, N))
PRECISION = ROOT @ np.swapaxes(ROOT, -1, -2) + np.eye(N)
VALUES = RNG.normal(size=(6, N))
MISSING = np.array(
    [[0, 0, 1, 0], [0, 0, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 1], [0, 1, 0, 1]]
)
MISSING = MISSING.astype(bool)
TASK = np.array([0, 1, 1, 0, 0, 1])


def test_conditional_moments() -> None:
    counts = MISSING.sum(axis=1)
    means, sds = np.empty((2, counts.sum(), N_DRAWS))
    first = np.cumsum(counts) - counts
    hidden = np.where(MISSING, 99.0, VALUES)
    conditional_draws(hidden, MISSING, TASK, MEAN, PRECISION, first, means, sds)
    for s in range(N_DRAWS):
        for i in range(len(VALUES)):
            m, o = MISSING[i], ~MISSING[i]
            mu, c = MEAN[s, TASK[i]], np.linalg.inv(PRECISION[s, TASK[i]])
            gain = c[np.ix_(m, o)] @ np.linalg.inv(c[np.ix_(o, o)])
            center = mu[m] + gain @ (VALUES[i, o] - mu[o])
            spread = c[np.ix_(m, m)] - gain @ c[np.ix_(o, m)]
            here = slice(first[i], first[i] + counts[i])
            np.testing.assert_allclose(means[here, s], center, rtol=1e-9)
            np.testing.assert_allclose(sds[here, s], np.sqrt(np.diag(spread)), rtol=1e-9)


def test_density_of_what_is_there() -> None:
    out = np.empty((N_DRAWS, len(VALUES)))
    hidden = np.where(MISSING, 99.0, VALUES)
    row_log_density(hidden, MISSING, TASK, MEAN, PRECISION, out)
    for s in range(N_DRAWS):
        for i in range(len(VALUES)):
            o = ~MISSING[i]
            c = np.linalg.inv(PRECISION[s, TASK[i]])[np.ix_(o, o)]
            mu = MEAN[s, TASK[i], o]
            expected = multivariate_normal(mu, c).logpdf(VALUES[i, o]) if o.any() else 0.0
            np.testing.assert_allclose(out[s, i], expected, rtol=1e-9, atol=1e-12)


def test_drawn_entries_have_these_moments() -> None:
    n = 40_000
    values, missing = np.tile(VALUES[4], (n, 1)), np.tile(MISSING[4], (n, 1))
    zeros = np.zeros(n, dtype=np.int64)
    draw_missing(values, missing, zeros, zeros, MEAN[0], PRECISION[0], np.random.default_rng(1))
    means, sds = np.empty((2, 2, 1))
    one = (VALUES[4:5], MISSING[4:5], zeros[:1], MEAN[:1], PRECISION[:1])
    conditional_draws(*one, zeros[:1], means, sds)
    drawn = values[:, MISSING[4]]
    assert np.all(np.abs(drawn.mean(axis=0) - means[:, 0]) < 4 * sds[:, 0] / np.sqrt(n))
    np.testing.assert_allclose(drawn.std(axis=0), sds[:, 0], rtol=0.02)
    np.testing.assert_array_equal(values[:, ~missing[0]], np.tile(VALUES[4, ~missing[0]], (n, 1)))


def test_sums_of_squares_and_means() -> None:
    count, total, cross = np.empty(2), np.empty((2, N)), np.empty((2, N, N))
    row_sums(VALUES, TASK, count, total, cross)
    block, center = np.array([0, 0]), np.array([0, 1])
    scatter, rows = scatter_of(count, total, cross, block, center, MEAN[0], 1)
    centred = VALUES - MEAN[0][TASK]
    np.testing.assert_allclose(scatter[0], centred.T @ centred)
    assert rows.tolist() == [6.0]
    draws = np.empty((20_000, 1, N))
    rng, mean = np.random.default_rng(2), np.zeros((1, N))
    for i in range(len(draws)):
        update_means(count, total, block, np.array([0, 0]), 0.5, mean, PRECISION[0], rng)
        draws[i] = mean
    k = 6 * PRECISION[0, 0] + np.eye(N) / 0.25
    expected = np.linalg.solve(k, PRECISION[0, 0] @ VALUES.sum(axis=0))
    sd = np.sqrt(np.diag(np.linalg.inv(k)))
    assert np.all(np.abs(draws[:, 0].mean(axis=0) - expected) < 4 * sd / np.sqrt(len(draws)))
    np.testing.assert_allclose(draws[:, 0].std(axis=0), sd, rtol=0.03)
