"""Heat maps of co-clustering."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib import pyplot as plt

from bayesmtl.plots.blocks import Block, letters
from bayesmtl.plots.coclustering import draw_blocks, draw_pairs


def make_blocks(sizes: list[int]) -> list[Block]:
    members = np.split(np.arange(sum(sizes))[::-1], np.cumsum(sizes)[:-1])
    return [Block(letters(i), f"title {i}", part) for i, part in enumerate(members)]


def test_pairs_in_order_of_the_blocks_with_frames_and_letters() -> None:
    rng = np.random.default_rng(0)
    together = rng.random((5, 5))
    _, ax = plt.subplots()
    note = draw_pairs(ax, together, make_blocks([3, 2]), list("abcde"))
    drawn = np.ma.asarray(ax.images[0].get_array()).filled(np.nan)
    off = ~np.eye(5, dtype=bool)
    np.testing.assert_array_equal(drawn[off], together[::-1, ::-1][off])
    assert np.isnan(drawn.diagonal()).all()
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list("edcba")
    frames = [(patch.get_x(), patch.get_width()) for patch in ax.patches]  # type: ignore[attr-defined]
    assert frames == [(-0.5, 3), (2.5, 2)]
    right = ax.child_axes[0]
    assert [tick.get_text() for tick in right.get_yticklabels()] == ["A", "B"]
    assert note == "5 tasks in 2 clusters."


def test_letters_of_small_blocks_keep_apart() -> None:
    _, ax = plt.subplots(figsize=(5, 4), layout="constrained")
    draw_pairs(ax, np.eye(200), make_blocks([20] + [1] * 180), [str(i) for i in range(200)])
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    boxes = [tick.get_window_extent() for tick in ax.child_axes[0].get_yticklabels()]
    assert 5 < len(boxes) < 40
    assert all(a.y0 >= b.y1 - 1 for a, b in pairwise(boxes))


@pytest.mark.parametrize(("count", "numbers"), [(3, 7), (12, 0)])
def test_blocks_have_titles_and_few_of_them_numbers(count: int, numbers: int) -> None:
    cells = np.full((count, count), 0.25)
    cells[[0, 1], [0, 1]] = np.nan
    _, ax = plt.subplots()
    note = draw_blocks(ax, cells, make_blocks([2] * count), [""] * 5000)
    assert len(ax.texts) == numbers
    assert [tick.get_text() for tick in ax.get_yticklabels()][:2] == ["title 0", "title 1"]
    assert note.startswith(f"5,000 tasks in {count} clusters, of which the map shows all")


def test_only_the_largest_of_many_blocks_are_drawn() -> None:
    _, ax = plt.subplots()
    note = draw_blocks(ax, np.zeros((50, 50)), make_blocks([1] * 50), [""] * 50)
    assert np.ma.asarray(ax.images[0].get_array()).shape == (30, 30)
    assert "the 30 largest" in note
