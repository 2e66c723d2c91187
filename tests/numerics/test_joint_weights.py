"""Joint draws of the weights of correlated tasks against dense algebra."""

from typing import Any

import numpy as np
import pytest

from bayesmtl.numerics.joint_weights import (
    CONJUGATE_GRADIENTS,
    DENSE,
    EIGEN,
    Blocks,
    choose_route,
    draw_eigen,
    draw_perturbed,
    factor_dense,
    place_dense,
)

N_TASKS, P, FIRST = 4, 4, 1


def spd(rng: np.random.Generator, n: int) -> np.ndarray:
    root = rng.normal(size=(n, n + 2))
    return root @ root.T


def make_blocks(same: bool, first: int = FIRST) -> tuple[Blocks, np.ndarray]:
    """Blocks, of one design for all tasks if ``same``, and noise precisions."""
    rng = np.random.default_rng(4)
    noise = rng.uniform(0.5, 2.0, N_TASKS)
    gram = np.array([spd(rng, P) for _ in range(N_TASKS)])
    if same:
        gram[:] = gram[0]
        gram[:, :first, first:] = gram[:, first:, :first] = 0.0
    gram = noise[:, None, None] * gram
    d = P - first
    return (
        Blocks(gram, rng.normal(size=(N_TASKS, P)), spd(rng, N_TASKS), spd(rng, d), first),
        noise,
    )


def dense_posterior(blocks: Blocks) -> tuple[np.ndarray, np.ndarray]:
    """Mean (task p,) and covariance of the deviations."""
    whole = np.zeros((N_TASKS, P, N_TASKS, P))
    first = blocks.first
    assert blocks.feature_precision is not None
    whole[:, first:, :, first:] = np.einsum(
        "st,ij->sitj", blocks.task_precision, blocks.feature_precision
    )
    for t in range(N_TASKS):
        whole[t, :, t] += blocks.gram[t]
        whole[t, range(first), t, range(first)] += 1.0
    covariance = np.linalg.inv(whole.reshape(N_TASKS * P, -1))
    return covariance @ blocks.score.reshape(-1), covariance


def linear_map(draw: Any) -> tuple[np.ndarray, np.ndarray]:
    """Constant and matrix of an affine function of normals (task, p)."""
    constant = draw(np.zeros((N_TASKS, P))).reshape(-1)
    units = np.eye(N_TASKS * P).reshape(-1, N_TASKS, P)
    return constant, np.array([draw(unit).reshape(-1) - constant for unit in units]).T


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("route", [DENSE, EIGEN])
def test_draws_have_mean_and_covariance_of_the_posterior(route: str, first: int) -> None:
    blocks, noise = make_blocks(same=route == EIGEN, first=first)
    mean, covariance = dense_posterior(blocks)

    def draw(normals: np.ndarray) -> np.ndarray:
        if route == EIGEN:
            return draw_eigen(blocks, noise, normals)
        lower, half = factor_dense(*blocks)
        return np.asarray(place_dense(lower, half, normals.reshape(-1))).reshape(N_TASKS, P)

    constant, matrix = linear_map(draw)
    np.testing.assert_allclose(constant, mean, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(matrix @ matrix.T, covariance, rtol=1e-8, atol=1e-10)


class Normals:
    """A generator that hands out given arrays of normals."""

    def __init__(self, *arrays: np.ndarray) -> None:
        self._arrays = list(arrays)

    def normal(self, size: tuple[int, ...]) -> np.ndarray:
        return self._arrays.pop(0).reshape(size)


@pytest.mark.parametrize("first", [0, 1])
def test_perturb_and_solve_has_mean_and_covariance_of_the_posterior(first: int) -> None:
    blocks, _ = make_blocks(same=False, first=first)
    root = np.linalg.cholesky(blocks.gram)
    mean, covariance = dense_posterior(blocks)
    zero = np.zeros((N_TASKS, P))

    def draw(rows: np.ndarray, prior: np.ndarray) -> np.ndarray:
        perturbation = (root @ rows.reshape(N_TASKS, P, 1))[..., 0]
        return draw_perturbed(blocks, perturbation, Normals(prior))  # type: ignore[arg-type]

    of_rows = linear_map(lambda x: draw(x, zero))
    of_prior = linear_map(lambda x: draw(zero, x))
    np.testing.assert_allclose(of_rows[0], mean, rtol=1e-7, atol=1e-8)
    total = sum(matrix @ matrix.T for _, matrix in (of_rows, of_prior))
    np.testing.assert_allclose(total, covariance, rtol=1e-6, atol=1e-8)


def test_a_hopeless_system_is_refused() -> None:
    blocks, _ = make_blocks(same=False)
    broken = blocks._replace(score=np.full_like(blocks.score, np.nan))
    with pytest.raises(FloatingPointError, match="nearly singular"):
        draw_perturbed(broken, np.zeros((N_TASKS, P)), np.random.default_rng(0))


def test_the_route_depends_on_designs_and_size() -> None:
    rng = np.random.default_rng(0)
    gram = np.array([spd(rng, 3)] * 4)
    assert choose_route(gram, 0) == EIGEN
    # The intercept must not interact with the features.
    assert choose_route(gram, 1) == DENSE
    gram[2] *= 1.001
    assert choose_route(gram, 0) == DENSE
    assert choose_route(np.concatenate([gram] * 300), 0) == CONJUGATE_GRADIENTS
    assert choose_route(gram[:1], 0) == DENSE
