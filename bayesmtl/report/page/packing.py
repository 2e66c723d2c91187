"""Arrays as short texts: quantised, deflated, base64; the page unpacks them."""

from __future__ import annotations

import base64
import math
import zlib
from typing import Any

import numpy as np

__all__ = ["json_number", "pack", "packed_size", "unpack"]

# Beyond so many numbers a byte each is enough for a colour and two digits of what lies between -1
# and 1, with few enough steps to deflate well; on a scale of roots more of them.
_COARSE, _FEW_STEPS, _ROOT_STEPS = 60_000, 127, 1_000


def pack(
    values: np.ndarray,
    low: float | None = None,
    high: float | None = None,
    *,
    beyond: bool = False,
    root: bool = False,
) -> dict[str, Any]:
    """Quantise an array to two bytes a number, one where there are very many.

    Parameters
    ----------
    values : array of any shape
        Read in C order; what is not finite is a gap.
    low, high : float, optional
        Ends of the scale; by default the smallest and the largest value.
    beyond
        Keep values outside the scale as they are; otherwise they move to its ends.
    root
        Finer steps near the lower end, for distances among which one is large.

    Returns
    -------
    dict
        ``data`` (text), ``bytes`` a number, ``low``, ``high``, ``steps`` and ``power``: code k
        stands for ``low + (high - low) (k / steps)^power``, and the largest of its bytes for a gap;
        ``beyond``, place and value of those outside the scale.
    """
    flat = np.asarray(values, dtype=np.float64).ravel()
    finite = np.isfinite(flat)
    some = flat[finite]
    bottom = float(some.min()) if low is None and some.size else float(low or 0.0)
    top = float(some.max()) if high is None and some.size else float(high or 0.0)
    many = flat.size > _COARSE
    kind: Any = np.uint8 if many and not root else np.dtype("<u2")
    gap = np.iinfo(kind).max
    steps = (_ROOT_STEPS if root else _FEW_STEPS) if many else gap - 1
    share = (some - bottom) / (top - bottom) if top > bottom else np.zeros_like(some)
    share = np.clip(share, 0.0, 1.0)
    codes = np.full(flat.size, gap, dtype=kind)
    codes[finite] = np.round((np.sqrt(share) if root else share) * steps).astype(kind)
    text = base64.b64encode(zlib.compress(codes.tobytes(), 9)).decode()
    out = {"data": text, "bytes": np.dtype(kind).itemsize, "low": bottom, "high": top}
    out |= {"steps": steps, "power": 2 if root else 1}
    if beyond:
        outside = np.flatnonzero(finite & ((flat < bottom) | (flat > top)))
        out["beyond"] = [[int(k), json_number(float(flat[k]))] for k in outside]
    return out


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """Inverse of `pack`, to half a step of the scale: what the page does."""
    kind: Any = np.uint8 if packed["bytes"] == 1 else np.dtype("<u2")
    codes = np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), dtype=kind)
    share = (codes / packed["steps"]) ** packed["power"]
    values = packed["low"] + (packed["high"] - packed["low"]) * share
    values = np.where(codes == np.iinfo(kind).max, np.nan, values)
    for place, value in packed.get("beyond", ()):
        values[place] = value
    return values


def packed_size(parts: Any) -> int:
    """Length of the packed texts in nested dicts and lists."""
    if isinstance(parts, dict | list):
        values = parts.values() if isinstance(parts, dict) else parts
        return sum(packed_size(value) for value in values)
    return len(parts) if isinstance(parts, str) else 0


def json_number(value: float, digits: int = 5) -> float | None:
    """Round to significant digits; None, which JSON knows, for what is not finite."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None
