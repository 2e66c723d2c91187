"""Text beside points without overlaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmtl.plots.common import INK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox
    from numpy.typing import NDArray

__all__ = ["place_labels"]

FONT_SIZE = 7.5
DISTANCES = (6, 14, 26, 42, 62, 86)  # points
DISTANCE_PRICE = 0.05  # a covered obstacle costs as much as 20 points of distance
DIRECTIONS = [(dx, dy) for dx in (1.0, -1.0, 0.3, -0.3, 0.0) for dy in (0, 1, -1) if dx or dy]
DOT_RADIUS = 3.0  # points
N_ALONG = 41  # points that stand for a line
# Its first points, which lines of other dots may meet, and which other dots may be near.
AT_DOT, NEAR_DOT = 4, 13
MOST_LAYOUTS = 8
CLEARER = 2.0  # how much farther than its own all other dots are of a text without a line
SIDES_X = {1: "left", -1: "right", 0: "center"}
SIDES_Y = {1: "bottom", -1: "top", 0: "center"}
NEAREST = {1: 0.0, -1: 1.0, 0: 0.5}  # where on the text its line begins


def place_labels(
    ax: Axes,
    points: NDArray[np.float64],
    texts: Sequence[str],
    obstacles: NDArray[np.float64],
    dots: NDArray[np.float64],
) -> list[Annotation]:
    """Write texts beside points, each where it covers no text and no dot, and few obstacles.

    Parameters
    ----------
    ax
        Axes with its final limits; the layout of the figure is settled here.
    points : (text, 2)
        The points to name, in data coordinates.
    texts
        Their names; a name without room is left out.
    obstacles : (point, 2)
        What the names should not cover, in data coordinates.
    dots : (point, 2)
        What they must not cover, in data coordinates.

    Returns
    -------
    list of Annotation
        The texts written.
    """
    _settle(ax)
    pixels, marks = ax.transData.transform(obstacles), ax.transData.transform(dots)
    lines = np.empty((0, N_ALONG, 2))
    legend = ax.get_legend()
    taken = [legend.get_window_extent()] if legend is not None else []
    written = []
    for point, text in zip(points.tolist(), texts, strict=True):
        held = Held(taken, marks, lines, pixels)
        place = _best_place(ax, (point[0], point[1]), text, held)
        if place is None:
            continue
        written.append(_annotate(ax, (point[0], point[1]), text, place.offset))
        taken.append(place.box)
        if _is_far(place.offset):
            lines = np.concatenate([lines, place.line[None]])
    return written


def _settle(ax: Axes) -> None:
    """Lay the figure out until the axes stay: in small figures one time is not enough.

    Texts that were placed before that stood on dots once the axes had become narrower.
    """
    for _ in range(MOST_LAYOUTS):
        before = ax.get_window_extent().bounds
        ax.figure.draw_without_rendering()  # type: ignore[union-attr]
        if np.allclose(before, ax.get_window_extent().bounds, rtol=0.0, atol=0.5):
            return


class Held(NamedTuple):
    """What is in the way of a text, in pixels."""

    texts: list[Bbox]
    dots: NDArray[np.float64]  # (point, 2)
    lines: NDArray[np.float64]  # (line, point, 2), along the lines that lead to texts
    obstacles: NDArray[np.float64]  # (point, 2), what may be covered


class Place(NamedTuple):
    """A candidate for the place of a text."""

    price: float
    offset: tuple[float, float]  # points
    box: Bbox  # pixels
    line: NDArray[np.float64]  # (point, 2), pixels along the leading line


def _best_place(
    ax: Axes,
    point: tuple[float, float],
    text: str,
    held: Held,
) -> Place | None:
    """Return the cheapest place for a text: covers little and is near; None without room."""
    probe = ax.text(*point, text, fontsize=FONT_SIZE)
    size = probe.get_window_extent().size
    probe.remove()
    anchor = ax.transData.transform(point)
    scale = ax.figure.dpi / 72
    places = []
    for distance in DISTANCES:
        for dx, dy in DIRECTIONS:
            offset = (dx * distance, dy * distance)
            box = _text_box(anchor + scale * np.array(offset), np.asarray(size), offset)
            if not (_is_far(offset) or _is_beside(box, anchor, held.dots, scale)):
                continue
            line = _leader(anchor, box) if _is_far(offset) else np.empty((0, 2))
            price = DISTANCE_PRICE * distance + _price(box, line, ax.bbox, held, scale)
            places.append(Place(price, offset, box, line))
    best = min(places, key=lambda place: place.price)  # the far places are always among them
    return best if np.isfinite(best.price) else None


def _text_box(
    position: NDArray[np.float64], size: NDArray[np.float64], offset: tuple[float, float]
) -> Bbox:
    """Return the box in pixels, with a small margin, of a text that grows along its offset."""
    from matplotlib.transforms import Bbox

    corner = position + size * (np.sign(offset) - 1) / 2
    return Bbox([corner - 2, corner + size + 2])


def _annotate(
    ax: Axes, point: tuple[float, float], text: str, offset: tuple[float, float]
) -> Annotation:
    """Write a text at an offset from a point, with a line where it is far."""
    right, up = (int(sign) for sign in np.sign(offset))
    line: dict[str, Any] = {"arrowstyle": "-", "color": INK, "lw": 0.5, "shrinkA": 0, "shrinkB": 2}
    line["relpos"] = (NEAREST[right], NEAREST[up])
    note = ax.annotate(
        text,
        point,
        offset,
        textcoords="offset points",
        fontsize=FONT_SIZE,
        color=INK,
        ha=SIDES_X[right],
        va=SIDES_Y[up],
        arrowprops=line if _is_far(offset) else None,
    )
    note.set_in_layout(False)
    return note


def _is_far(offset: tuple[float, float]) -> bool:
    """Tell whether a text needs a line to its point."""
    return max(map(abs, offset)) > DISTANCES[0]


def _is_beside(
    box: Bbox, point: NDArray[np.float64], dots: NDArray[np.float64], scale: float
) -> bool:
    """Tell whether a text is seen to belong to its point: all other dots are clearly farther."""
    others = dots[np.linalg.norm(dots - point, axis=1) > DOT_RADIUS * scale]  # not one with it
    own, away = (
        np.linalg.norm(np.clip(marks, box.min, box.max) - marks, axis=-1)
        for marks in (point, others)
    )
    return bool((away > CLEARER * own).all())


def _leader(point: NDArray[np.float64], box: Bbox) -> NDArray[np.float64]:
    """Return points (point, 2) in pixels on the line from a point to the nearest side of a box."""
    end = np.clip(point, box.min, box.max)
    return np.asarray(point + np.linspace(0.0, 1.0, N_ALONG)[:, None] * (end - point))


def _crosses(line: NDArray[np.float64], lines: NDArray[np.float64]) -> bool:
    """Tell whether a line (point, 2) crosses one of others (line, point, 2)."""

    def side(a: NDArray[Any], b: NDArray[Any], of: NDArray[Any]) -> NDArray[np.bool_]:
        along, to = np.moveaxis(b - a, -1, 0), np.moveaxis(of - a, -1, 0)
        return np.asarray(along[0] * to[1] > along[1] * to[0])

    start, end, first, last = line[0], line[-1], lines[:, 0], lines[:, -1]
    apart = side(start, end, first) != side(start, end, last)
    return bool((apart & (side(first, last, start) != side(first, last, end))).any())


def _n_inside(points: NDArray[np.float64], box: Bbox) -> int:
    """Count the points (point, 2) inside a box."""
    return int(np.all((points > box.min) & (points < box.max), axis=1).sum())


def _n_near(points: NDArray[np.float64], others: NDArray[np.float64], distance: float) -> int:
    """Count the points (point, 2) that are near to one of the others (point, 2)."""
    gaps = np.linalg.norm(points[:, None] - others, axis=2)
    return int((gaps < distance).any(axis=1).sum())


def _price(box: Bbox, line: NDArray[np.float64], frame: Bbox, held: Held, scale: float) -> float:
    """Return infinity for a place that cannot be used, else the number of obstacles covered."""
    radius = DOT_RADIUS * scale
    inside = bool(np.all(box.min >= frame.min) and np.all(box.max <= frame.max))
    blocked = (
        any(box.overlaps(other) or _n_inside(line, other) for other in held.texts)
        or _n_inside(held.dots, box.padded(radius))
        or _n_inside(held.lines.reshape(-1, 2), box)
        or _n_near(held.lines[:, AT_DOT:].reshape(-1, 2), line[AT_DOT:], radius)
        or (len(line) and _crosses(line, held.lines))
    )
    if blocked or not inside:
        return np.inf
    # The line begins at a dot of its own.
    return float(_n_inside(held.obstacles, box) + _n_near(held.dots, line[NEAR_DOT:], radius))
