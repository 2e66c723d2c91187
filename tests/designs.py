"""What a design makes of whole tables."""

from typing import Any

import numpy as np

from bayesmtl.design import Design, features_of, response_of
from bayesmtl.formulas.parsing import parse_formula, parse_response
from bayesmtl.frames.missing import read_columns
from bayesmtl.frames.opening import open_frame

__all__ = ["feature_matrix", "response_vector"]


def feature_matrix(design: Design, data: Any) -> np.ndarray:
    """Features of all rows, (row, feature)."""
    return _compute(features_of, parse_formula(design.formula).columns, design, data)


def response_vector(design: Design, data: Any) -> np.ndarray:
    """Response of all rows, (row,)."""
    return _compute(response_of, parse_response(design.formula).columns, design, data)


def _compute(make: Any, names: tuple[str, ...], design: Design, data: Any) -> np.ndarray:
    frame = open_frame(data)
    columns = read_columns(frame, names)
    return np.asarray(make(design, frame, columns, np.arange(len(frame))))
