"""Arrays as short texts: quantised, deflated, base64; the page unpacks them."""

from __future__ import annotations

import base64
import math
import zlib
from typing import Any

import numpy as np

__all__ = ["json_number", "pack", "packed_size", "unpack"]

# Beyond so many numbers a byte each is enough for a colour and two digits, with few enough steps to
# deflate well.
_COARSE, _FEW_STEPS = 60_000, 127


def pack(values: np.ndarray, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    """Quantise an array to two bytes a number, one where there are very many.

    Parameters
    ----------
    values : array of any shape
        Read in C order; what is not finite is a gap.
    low, high : float, optional
        Ends of the scale; by default the smallest and the largest value.

    Returns
    -------
    dict
        ``data`` (text), ``bytes`` a number, ``low``, ``high`` and ``steps``: code k stands for
        ``low + (high - low) k / steps``, and the largest of its bytes for a gap.
    """
    flat = np.asarray(values, dtype=np.float64).ravel()
    finite = np.isfinite(flat)
    some = flat[finite]
    bottom = float(some.min()) if low is None and some.size else float(low or 0.0)
    top = float(some.max()) if high is None and some.size else float(high or 0.0)
    kind: Any = np.uint8 if flat.size > _COARSE else np.dtype("<u2")
    gap = np.iinfo(kind).max
    steps = _FEW_STEPS if flat.size > _COARSE else gap - 1
    share = (some - bottom) / (top - bottom) if top > bottom else np.zeros_like(some)
    codes = np.full(flat.size, gap, dtype=kind)
    codes[finite] = np.round(np.clip(share, 0.0, 1.0) * steps).astype(kind)
    text = base64.b64encode(zlib.compress(codes.tobytes(), 9)).decode()
    size = np.dtype(kind).itemsize
    return {"data": text, "bytes": size, "low": bottom, "high": top, "steps": steps}


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """Inverse of `pack`, to half a step of the scale: what the page does."""
    kind: Any = np.uint8 if packed["bytes"] == 1 else np.dtype("<u2")
    codes = np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), dtype=kind)
    values = packed["low"] + (packed["high"] - packed["low"]) * codes / packed["steps"]
    return np.where(codes == np.iinfo(kind).max, np.nan, values)


def packed_size(parts: Any) -> int:
    """Length of the packed texts in nested dicts and lists."""
    if isinstance(parts, dict | list):
        values = parts.values() if isinstance(parts, dict) else parts
        return sum(packed_size(value) for value in values)
    return len(parts) if isinstance(parts, str) else 0


def json_number(value: float, digits: int = 5) -> float | None:
    """Round to significant digits; None, which JSON knows, for what is not finite."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None
