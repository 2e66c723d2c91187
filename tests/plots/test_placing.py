"""Text beside points without overlaps."""

import numpy as np
from matplotlib.text import Text

from bayesmtl.plots.common import new_figure
from bayesmtl.plots.placing import place_labels


def test_texts_avoid_each_other_the_obstacles_and_the_frame() -> None:
    figure, axes = new_figure(1, 1, (5.0, 4.0))
    ax = axes[0, 0]
    ax.set(xlim=(0, 1), ylim=(0, 1))
    points = np.array([[0.02, 0.98], [0.5, 0.5], [0.52, 0.5], [0.98, 0.02]])
    wall = np.column_stack([np.linspace(0.55, 1, 40), np.full(40, 0.5)])
    notes = place_labels(ax, points, ["first", "second", "third", "fourth"], wall, points)
    assert [note.get_text() for note in notes] == ["first", "second", "third", "fourth"]
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(note) for note in notes]
    frame = ax.get_window_extent()
    pixels = ax.transData.transform(wall)
    for i, box in enumerate(boxes):
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert not any(box.contains(*pixel) for pixel in pixels)


def test_a_text_without_room_is_left_out() -> None:
    _, axes = new_figure(1, 1, (2.0, 2.0))
    points = np.array([[0.5, 0.5]])
    assert place_labels(axes[0, 0], points, ["far too long a name " * 5], points, points) == []


def test_lines_to_the_texts_do_not_cross() -> None:
    figure, axes = new_figure(1, 1, (5.0, 4.0))
    ax = axes[0, 0]
    ax.set(xlim=(0, 1), ylim=(0, 1))
    points = np.random.default_rng(11).uniform(0.35, 0.65, (25, 2))
    notes = place_labels(ax, points, [f"a name {i}" for i in range(25)], points, points)
    figure.draw_without_rendering()
    assert len(notes) >= 4
    lines = [
        note.arrow_patch.get_path().transformed(note.arrow_patch.get_transform())
        for note in notes
        if note.arrow_patch is not None
    ]
    assert len(lines) >= 2
    assert not any(a.intersects_path(b) for i, a in enumerate(lines) for b in lines[:i])


def test_a_text_covers_no_dot() -> None:
    _, axes = new_figure(1, 1, (5.0, 4.0))
    ax = axes[0, 0]
    ax.set(xlim=(0, 1), ylim=(0, 1))
    across = np.linspace(0, 1, 60)
    everywhere = np.stack([part.ravel() for part in np.meshgrid(across, across)], axis=1)
    point = np.array([[0.5, 0.5]])
    assert place_labels(ax, point, ["a name"], everywhere, point)
    assert place_labels(ax, point, ["a name"], point, everywhere) == []


def test_a_text_between_two_dots_has_a_line_to_its_own() -> None:
    _, axes = new_figure(1, 1, (5.0, 4.0))
    ax = axes[0, 0]
    ax.set(xlim=(0, 1), ylim=(0, 1))
    row = np.linspace(0.35, 0.65, 13)
    rows = [np.column_stack([row, np.full(13, y)]) for y in (0.415, 0.585)]
    dots = np.concatenate([[[0.5, 0.5], [0.375, 0.5], [0.625, 0.5]], *rows])
    (between,) = place_labels(ax, dots[:1], ["a name"], dots, dots)
    assert between.arrow_patch is not None
    (alone,) = place_labels(ax, dots[:1], ["a name"], dots[:1], dots[[0, 0]])
    assert alone.arrow_patch is None
