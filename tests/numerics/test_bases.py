"""Bases of arrays: they give the kernel, the polynomials and the waves that they stand for."""

import math
from functools import partial

import numpy as np
import pytest
from scipy.interpolate import BSpline

from bayesmtl.numerics.bases import (
    complement_of,
    fourier_basis,
    functions_needed,
    gaussian_process_basis,
    pivoted_centers,
    quantile_knots,
    radial_basis,
    shortest_lengthscale,
    spacing_width,
    spline_basis,
)
from bayesmtl.numerics.kernels import KERNELS, kernel_values, scaled_distances

# Largest error of the covariance with as many functions as the rule asks for and a box as wide.
ACCURACY = {"rbf": 0.01, "matern52": 0.03, "matern32": 0.08, "matern12": 0.25}


@pytest.mark.parametrize("kernel", KERNELS)
def test_functions_of_the_rule_give_the_kernel(kernel: str) -> None:
    x, length = np.linspace(-1.0, 1.0, 41)[:, None], np.array([0.4])
    m = functions_needed(kernel, 0.4, 2.0)
    basis = gaussian_process_basis(x, [m], kernel, length, 2.0)
    exact = kernel_values(kernel, scaled_distances(x, x, length))
    assert np.abs(basis @ basis.T - exact).max() < ACCURACY[kernel]
    many = gaussian_process_basis(x, [16 * m], kernel, length, 2.0)
    assert np.abs(many @ many.T - exact).max() < max(0.1 * ACCURACY[kernel], 2e-3)


def test_two_inputs_give_their_kernel() -> None:
    x = np.random.default_rng(1).uniform(-1.0, 1.0, (30, 2))
    length = np.array([0.6, 0.8])
    basis = gaussian_process_basis(x, [14, 12], "rbf", length, 2.6)
    assert basis.shape == (30, 168)
    exact = kernel_values("rbf", scaled_distances(x, x, length))
    np.testing.assert_allclose(basis @ basis.T, exact, atol=5e-3)


def test_rule_of_functions_and_its_inverse() -> None:
    assert functions_needed("matern52", 0.2, 1.5) == 20
    assert functions_needed("rbf", 0.25, 1.2) == 9
    for kernel in KERNELS:
        assert functions_needed(kernel, shortest_lengthscale(kernel, 7, 1.5), 1.5) == 7


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
def test_splines_sum_to_one_and_give_polynomials(degree: int) -> None:
    x = np.random.default_rng(2).beta(0.5, 2.0, 200)
    x = (x - x.min()) / (x.max() - x.min())
    values = spline_basis(x, quantile_knots(x, 4), degree)
    assert values.shape == (200, degree + 5)
    np.testing.assert_allclose(values.sum(axis=1), 1.0, rtol=1e-12)
    for power in range(degree + 1):
        weights = np.linalg.lstsq(values, x**power)[0]
        np.testing.assert_allclose(values @ weights, x**power, atol=1e-10)


def test_splines_keep_their_edges() -> None:
    knots = np.array([0.2, 0.7])
    edges = spline_basis(np.array([0.0, 1.0]), knots, 3)
    np.testing.assert_array_equal(spline_basis(np.array([-1e9, 5.0]), knots, 3), edges)
    full = np.r_[np.zeros(4), knots, np.ones(4)]
    inside = np.linspace(0.0, 0.99, 7)
    for j in range(6):
        expected = BSpline.basis_element(full[j : j + 5], extrapolate=False)(inside)
        found = spline_basis(inside, knots, 3)[:, j]
        np.testing.assert_allclose(found, np.nan_to_num(expected), atol=1e-12)


def test_knots_at_quantiles_and_of_distinct_values_under_ties() -> None:
    np.testing.assert_allclose(quantile_knots(np.linspace(0.0, 1.0, 101), 3), [0.25, 0.5, 0.75])
    tied = np.r_[np.zeros(90), np.arange(1.0, 7.0)]
    np.testing.assert_allclose(quantile_knots(tied, 2), [2.0, 4.0])


def test_complement_is_orthonormal_and_leaves_out_the_direction() -> None:
    for direction in (np.array([0.2, 0.5, 0.3]), np.array([0.0, -1.0, 0.0]), np.array([-2.0, 1.0])):
        rest = complement_of(direction)
        np.testing.assert_allclose(rest.T @ rest, np.eye(len(direction) - 1), atol=1e-14)
        np.testing.assert_allclose(direction @ rest, 0.0, atol=1e-14)


def test_bumps_are_one_at_their_centers() -> None:
    centers = np.array([[0.0, 0.0], [1.0, 2.0]])
    values = radial_basis(np.array([[1.0, 2.0], [1.0, 0.0]]), centers, 0.5)
    np.testing.assert_allclose(values, [[math.exp(-10.0), 1.0], [math.exp(-2.0), math.exp(-8.0)]])


def test_spacing_of_a_grid_of_variance_one() -> None:
    count = 400
    grid = (np.arange(count) + 0.5) * spacing_width(count, 1)
    assert grid.std() == pytest.approx(1.0, rel=1e-4)
    assert spacing_width(count, 2) == pytest.approx(spacing_width(20, 1))


def test_centers_do_not_depend_on_the_order_of_rows() -> None:
    rng = np.random.default_rng(3)
    rows = np.round(rng.normal(size=(80, 2)), 1)
    centers = pivoted_centers(rows, 9, partial(radial_basis, width=0.8))
    shuffled = pivoted_centers(
        rows[rng.permutation(np.repeat(np.arange(80), 2))], 9, partial(radial_basis, width=0.8)
    )
    np.testing.assert_array_equal(centers, shuffled)
    apart = scaled_distances(centers, centers, np.ones(2)) + 9.0 * np.eye(9)
    assert apart.min() > 0.8


def test_centers_are_the_greedy_choice() -> None:
    rows = np.random.default_rng(4).normal(size=(25, 1))
    centers = pivoted_centers(rows, 5, partial(radial_basis, width=0.6))
    kernel = radial_basis(rows, rows, 0.6)
    cross, inner = radial_basis(rows, centers[:4], 0.6), radial_basis(centers[:4], centers[:4], 0.6)
    left = np.diag(kernel - cross @ np.linalg.solve(inner, cross.T))
    assert rows[np.argmax(left), 0] == centers[4, 0]


def test_centers_end_where_rows_are_exhausted() -> None:
    rows = np.array([[0.0], [1.0], [1.0 + 1e-9]])
    assert len(pivoted_centers(rows, 3, partial(radial_basis, width=1.0))) == 2


def test_waves() -> None:
    x = np.array([0.0, 1.0, 3.0, 4.0 + 1e12 * 4.0])
    expected = np.array([[0, 1, 0, 1], [1, 0, 0, -1], [-1, 0, 0, -1], [0, 1, 0, 1]], dtype=float)
    np.testing.assert_allclose(fourier_basis(x, 4.0, 2), expected, atol=1e-14)
