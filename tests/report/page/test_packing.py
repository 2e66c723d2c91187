"""Packed arrays."""

import numpy as np
import pytest

from bayesmtl.report.page.packing import json_number, pack, packed_size, unpack


def test_values_come_back_to_half_a_step() -> None:
    values = np.random.default_rng(0).normal(size=(20, 5))
    values[3, 2] = np.nan
    packed = pack(values)
    assert packed["bytes"] == 2
    step = (packed["high"] - packed["low"]) / packed["steps"]
    np.testing.assert_allclose(unpack(packed), values.ravel(), atol=0.51 * step)
    assert step < 1e-3


def test_many_values_take_a_byte_and_keep_two_digits() -> None:
    values = np.random.default_rng(0).uniform(-1.0, 1.0, 70_000)
    packed = pack(values, -1.0, 1.0)
    assert packed["bytes"] == 1
    np.testing.assert_allclose(unpack(packed), values, atol=0.008)


@pytest.mark.parametrize("values", [[2.0, 2.0], [np.nan, np.nan], []])
def test_no_range(values: list[float]) -> None:
    np.testing.assert_array_equal(unpack(pack(np.array(values))), values)


def test_values_beyond_the_scale_are_at_its_ends() -> None:
    np.testing.assert_allclose(unpack(pack(np.array([-9.0, 9.0]), 0.0, 1.0)), [0.0, 1.0])


def test_values_beyond_the_scale_may_be_kept() -> None:
    values = np.array([-9.0, 0.25, np.nan, 1234.5])
    packed = pack(values, 0.0, 1.0, beyond=True)
    assert packed["beyond"] == [[0, -9.0], [3, 1234.5]]
    np.testing.assert_allclose(unpack(packed), values, atol=1e-4)


@pytest.mark.parametrize("n", [50, 70_000])
def test_one_large_distance_leaves_the_others_two_digits(n: int) -> None:
    values = np.random.default_rng(0).uniform(0.0, 0.5, n)
    values[7] = 50.0
    np.testing.assert_allclose(unpack(pack(values, 0.0, 50.0, root=True)), values, atol=0.005)


def test_sizes_count_texts_wherever_they_are() -> None:
    assert packed_size({"a": "123", "b": [{"c": "45"}], "d": 6.0}) == 5


def test_numbers_of_json() -> None:
    assert json_number(1.23456789) == 1.2346
    assert json_number(float("inf")) is None
