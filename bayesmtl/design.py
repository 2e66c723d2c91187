"""Design: a formula and what it learned from the data, and the features it makes of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import narwhals as nw
import numpy as np

from bayesmtl.errors import InvalidDataError, InvalidModelError
from bayesmtl.formulas.bases import basis_scales
from bayesmtl.formulas.encoding import (
    build_matrix,
    compute_numbers,
    warn_constant,
    warn_many_levels,
)
from bayesmtl.formulas.levels import learn_levels
from bayesmtl.formulas.parsing import formula_columns, parse_formula, parse_response
from bayesmtl.frames.columns import Column
from bayesmtl.frames.labels import variable_text
from bayesmtl.frames.missing import missing_text, read_columns
from bayesmtl.frames.opening import open_frame, require_columns, shorten
from bayesmtl.trunk import check_trunk, forward

__all__ = [
    "Design",
    "feature_scales",
    "features_of",
    "formula_columns",
    "learn_design",
    "response_of",
    "response_variable",
]

_USED = np.False_
# Of variables that a fit holds beside the response or from which it is predicted.
_DIMENSIONS = {"chain", "draw", "obs", "task", "task_bis", "feature", "feature_bis", "task_feature"}
_DIMENSIONS |= {"level", "basis", "component"}


@dataclass(frozen=True)
class Design:
    """A formula with everything that it learned from data; makes the same features of new rows.

    Attributes
    ----------
    formula : str
        The formula as the user wrote it.
    response : str or None
        Text of the left side; None for a one-sided formula.
    features : tuple of str
        Names of the features, without the intercept.
    intercept : bool
        Whether the formula has an intercept.
    encoding : dict
        `levels` of each categorical factor, `state` of each `center`, `scale` and basis; JSON
        keeps it.
    trunk : dict or None
        A trained network, `bayesmtl.trunk.forward`, that makes `features` of those of the formula.
    """

    formula: str
    response: str | None
    features: tuple[str, ...]
    intercept: bool
    encoding: dict[str, Any]
    trunk: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the design as a dict that JSON can hold."""
        out = {**asdict(self), "features": list(self.features)}
        if self.trunk is None:
            del out["trunk"]
        return out

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Design:
        """Make a design from the dict of `to_dict`, also after a round trip through JSON.

        Parameters
        ----------
        d : mapping
            The dict.

        Raises
        ------
        InvalidModelError
            If the dict is not one of a design or its formula holds what is not allowed.
        """
        names = set(cls.__dataclass_fields__)
        needed = names - {"trunk"}
        if set(d) | {"trunk"} != names or set(d["encoding"]) != {"levels", "state"}:
            raise InvalidModelError(
                f"a saved design needs the entries {shorten(sorted(needed))} and in encoding "
                f"levels and state, but has {shorten(sorted(map(str, d)))}"
            )
        parsed = parse_formula(d["formula"])
        if (parsed.response_text, parsed.intercept) != (d["response"], d["intercept"]):
            raise InvalidModelError(
                f"the saved design does not fit its formula {d['formula']!r}; it was changed "
                "by hand or saved by another version"
            )
        if d.get("trunk") is not None:
            check_trunk(d["trunk"], len(d["features"]))
        return cls(**{**d, "features": tuple(d["features"])})


def learn_design(
    formula: str,
    data: Any,
    *,
    also: Sequence[str] = (),
    unused: Mapping[str, np.ndarray] = MappingProxyType({}),
    any_response: bool = False,
    counted: np.ndarray | None = None,
) -> Design:
    """Learn category levels, means and scales of a formula from data.

    Rows with a missing value in a column of the formula are left out here without a word; what to
    do about them is decided, and said, where the rows are read.

    Parameters
    ----------
    formula : str
        `"y ~ x1 + C(g) + I(x - 22)"`, or one-sided `"~ x"`.
    data : data frame
        Rows in long format.
    also : sequence of str, optional
        Further columns whose missing rows are left out.
    unused : mapping of str to numpy.ndarray, shape (row,)
        Rows of which some of these do not count; such columns may not be there at all.
    any_response : bool
        Whether the response may hold text and numbers side by side.
    counted : numpy.ndarray, shape (row,), optional
        Rows to learn from; all by default.

    Returns
    -------
    Design
        The formula and what it learned.

    Raises
    ------
    InvalidModelError
        If the formula cannot be read or names a column that the data do not have.
    InvalidDataError
        If a column cannot be used, or no row is complete.

    Warns
    -----
    BayesMTLWarning
        If a feature is constant, or a category has more levels than half of the rows.
    """
    parsed = parse_formula(formula)
    frame = open_frame(data)
    names = formula_columns(formula)
    where = f"the formula {formula!r}"
    require_columns(frame, names, role=where, error=InvalidModelError)
    also = [name for name in also if name in frame.columns or not unused.get(name, _USED).all()]
    require_columns(frame, also, role="the model", error=InvalidDataError)
    cells = parsed.response.columns if any_response and parsed.response is not None else ()
    columns = read_columns(frame, (*names, *also), cells=cells)
    masks = {name: column.missing & ~unused.get(name, _USED) for name, column in columns.items()}
    broken = sum(masks.values(), np.zeros(len(frame), dtype=bool))
    rows = np.flatnonzero(~broken if counted is None else ~broken & counted)
    if len(rows) == 0:
        raise InvalidDataError(
            f"no row is complete in the columns of {where}: {missing_text(masks)}; fill them in"
        )
    encoding: dict[str, Any] = {"levels": {}, "state": {}}
    for factor in parsed.factors.values():
        levels = learn_levels(frame, factor, columns, rows)
        if levels is not None:
            encoding["levels"][factor.text] = levels
    matrix = build_matrix(parsed, frame, columns, rows, encoding)
    features = tuple(str(name) for name in matrix.columns)
    if len(set(features)) < len(features) or "Intercept" in features:
        raise InvalidModelError(
            f"{where} makes features of the same name, or one named Intercept: "
            f"{shorten(features)}; rename the columns"
        )
    warn_constant(parsed, matrix, encoding)
    warn_many_levels(encoding, len(rows))
    return Design(formula, parsed.response_text, features, parsed.intercept, encoding)


def feature_scales(design: Design, features: np.ndarray) -> np.ndarray:
    """Scales of the features that a basis sets itself.

    Parameters
    ----------
    design : Design
        A learned design.
    features : numpy.ndarray, shape (row, feature)
        Features of its rows.

    Returns
    -------
    numpy.ndarray, shape (feature,)
        NaN for every other feature, which is centred and scaled by its values.
    """
    factors, state = parse_formula(design.formula).factors, design.encoding["state"]
    bases = {text: state[text] for text, factor in factors.items() if factor.basis is not None}
    return basis_scales(bases, design.features, features)


def features_of(
    design: Design, frame: nw.DataFrame[Any], columns: Mapping[str, Column], rows: np.ndarray
) -> np.ndarray:
    """Make the features of some complete rows of columns that are already read.

    Raises
    ------
    InvalidDataError
        If a value is unusable or a category has not been learned.
    InvalidModelError
        If the design was changed by hand and its names no longer fit.
    """
    parsed = parse_formula(design.formula)
    # A state that grows here was not saved with the design.
    state = dict(design.encoding["state"])
    matrix = build_matrix(parsed, frame, columns, rows, {**design.encoding, "state": state})
    names = design.features if design.trunk is None else tuple(design.trunk["inputs"])
    if tuple(matrix.columns) != names or len(state) > len(design.encoding["state"]):
        raise InvalidModelError(
            f"the design of {design.formula!r} holds the features {shorten(names)} but "
            f"makes {shorten(list(matrix.columns))}; it was changed by hand: learn it again"
        )
    values = np.ascontiguousarray(matrix.to_numpy(dtype=np.float64))
    return values if design.trunk is None else forward(design.trunk, values)


def response_of(
    design: Design, frame: nw.DataFrame[Any], columns: Mapping[str, Column], rows: np.ndarray
) -> np.ndarray:
    """Compute the response of some complete rows of columns that are already read.

    Raises
    ------
    InvalidDataError
        If a value is unusable.
    InvalidModelError
        If the formula has no left side.
    """
    return compute_numbers(parse_response(design.formula), frame, columns, rows, {})


def response_variable(design: Design) -> str:
    """Name of the response among the variables of a fit: its text in the formula.

    It is ``y`` where that is the name of a dimension; "/", which would name a group of a tree, is
    written "per".
    """
    name = variable_text(str(design.response))
    return "y" if name in _DIMENSIONS else name
