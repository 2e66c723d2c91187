"""Labels of ordered levels to codes and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["level_codes", "level_labels"]


def level_codes(values: np.ndarray, levels: Sequence[Any]) -> np.ndarray:
    """Codes 0, 1, ... of labels; -1 for those that are no level."""
    position = {level: code for code, level in enumerate(levels)}
    return np.array([position.get(value, -1) for value in values.tolist()], dtype=np.float64)


def level_labels(codes: np.ndarray, levels: Sequence[Any]) -> np.ndarray:
    """Labels of codes of any shape."""
    return np.array(levels)[codes.astype(np.int64)]
