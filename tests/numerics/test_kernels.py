"""Kernels against closed forms, their slopes, their spectra, and the basis made of these."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gamma, kv

from bayesmtl.numerics.kernels import (
    KERNELS,
    hilbert_basis,
    hilbert_frequencies,
    hilbert_sums,
    kernel_and_slope,
    kernel_values,
    scaled_distances,
    spectral_density,
)

NU = {"matern12": 0.5, "matern32": 1.5, "matern52": 2.5}


@pytest.mark.parametrize("name", NU)
def test_matern_kernels_are_those_of_the_bessel_function(name: str) -> None:
    r, nu = np.array([0.01, 0.3, 1.0, 2.5]), NU[name]
    a = math.sqrt(2 * nu) * r
    expected = 2 ** (1 - nu) / gamma(nu) * a**nu * kv(nu, a)
    np.testing.assert_allclose(kernel_values(name, r), expected, rtol=1e-12)


@pytest.mark.parametrize("name", KERNELS)
def test_slope_is_the_derivative(name: str) -> None:
    r, step = np.array([0.05, 0.4, 1.0, 3.0]), 1e-6
    value, slope = kernel_and_slope(name, r)
    numeric = (kernel_values(name, r + step) - kernel_values(name, r - step)) / (2 * step)
    np.testing.assert_allclose(value, kernel_values(name, r), rtol=1e-14)
    np.testing.assert_allclose(-slope * r, numeric, rtol=1e-8)
    assert np.isfinite(kernel_and_slope(name, np.zeros(1))[1]).all()


@pytest.mark.parametrize("name", KERNELS)
def test_spectral_density_is_the_transform_of_the_kernel(name: str) -> None:
    length = 0.7

    def density(frequency: float) -> float:
        return float(spectral_density(name, np.array([[frequency]]), np.array([length]))[0])

    for lag in (0.0, 0.5, 1.3):
        value = quad(
            lambda w, lag=lag: density(w) * math.cos(w * lag) / math.pi, 0, 400, limit=2000
        )[0]
        slack = 3e-3 if name == "matern12" else 1e-6
        assert value == pytest.approx(float(kernel_values(name, np.array(lag / length))), abs=slack)


def test_distances_of_near_points_far_from_zero_do_not_round_away() -> None:
    left = np.array([[1e8, 0.0]])
    right = np.array([[1e8 + 1.0, 2.0]])
    assert scaled_distances(left, right, np.array([1.0, 2.0]))[0, 0] == pytest.approx(2**0.5)


@pytest.mark.parametrize(("name", "slack"), [("matern32", 0.02), ("matern52", 4e-3), ("rbf", 1e-4)])
def test_basis_of_two_inputs_gives_the_kernel(name: str, slack: float) -> None:
    rng = np.random.default_rng(1)
    inputs, length = rng.uniform(-1.0, 1.0, (30, 2)), np.array([0.7, 1.1])
    half = np.array([3.5, 5.0])
    frequencies = hilbert_frequencies((48, 40), half)
    basis = hilbert_basis(inputs, frequencies, half)
    found = (basis * spectral_density(name, frequencies, length)) @ basis.T
    exact = kernel_values(name, scaled_distances(inputs, inputs, length))
    assert np.abs(found - exact).max() < slack


@pytest.mark.parametrize("counts", [(7,), (5, 3), (2, 4, 3)])
def test_sums_of_the_basis_are_those_of_its_columns(counts: tuple[int, ...]) -> None:
    rng, p = np.random.default_rng(1), len(counts)
    half = np.array([1.2, 1.7, 2.5])[:p]
    # More rows than are held at once.
    inputs, response = rng.uniform(-1.0, 1.0, (20_000, p)), rng.normal(3.0, 1.0, 20_000)
    frequencies = hilbert_frequencies(counts, half)
    numbers = np.stack(np.meshgrid(*[np.arange(1, k + 1) for k in counts], indexing="ij"), axis=-1)
    gram, moment, total = hilbert_sums(inputs, response, numbers.reshape(-1, p), half)
    columns = hilbert_basis(inputs, frequencies, half)
    np.testing.assert_allclose(gram, columns.T @ columns, atol=1e-9)
    np.testing.assert_allclose(moment, columns.T @ response, atol=1e-9)
    np.testing.assert_allclose(total, columns.sum(axis=0), atol=1e-9)
