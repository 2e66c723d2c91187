"""Basis terms: what they learn from the data, as JSON, and the columns they make of rows."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from bayesmtl.errors import InvalidDataError, InvalidModelError, warn
from bayesmtl.formulas.expressions import Basis, Expression
from bayesmtl.numerics.bases import (
    complement_of,
    fourier_basis,
    functions_needed,
    gaussian_process_basis,
    pivoted_centers,
    quantile_knots,
    radial_basis,
    shortest_lengthscale,
    spacing_width,
    spline_basis,
)

__all__ = ["basis_columns", "basis_scales"]

# Of the default length-scale, in half ranges of the input: a fifth of its range.
_LENGTHSCALE = 0.4
# Part of the range by which inputs may lie beyond it without a warning.
_BEYOND = 0.05


def basis_columns(
    text: str, basis: Basis, inputs: np.ndarray, state: dict[str, Any]
) -> dict[str, np.ndarray]:
    """Make the columns of a basis term.

    Parameters
    ----------
    text : str
        The term as the user knows it.
    basis : Basis
        Its options.
    inputs : numpy.ndarray, shape (row, input)
        Finite values of its inputs.
    state : dict
        What terms learned, by their texts; a term that is not in it yet is learned from these rows
        and added.

    Returns
    -------
    dict of str to numpy.ndarray, shape (row,)
        Columns by their labels, which stand in brackets behind the term.

    Raises
    ------
    InvalidDataError
        If a term is learned from inputs that do not vary, or vary too little for its columns.
    InvalidModelError
        If the state does not fit the term.

    Warns
    -----
    BayesMTLWarning
        If the functions are too few for the length-scale, or rows lie beyond the range of those
        from which the term was learned.
    """
    learn, compute = _KINDS[basis.name]
    learned = text not in state
    own = dict(learn(text, basis, inputs) if learned else state[text])
    try:
        columns = compute(basis.options, own, inputs)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InvalidModelError(
            f"what the saved design learned of {text} does not fit it ({error}); it was changed by "
            "hand: learn it again"
        ) from error
    if learned:
        own["size"] = float(np.mean((columns**2).sum(axis=1)))
        state[text] = own
    elif "low" in own:
        _warn_beyond(text, basis, inputs, own)
    return dict(zip(_labels(basis, columns.shape[1]), columns.T, strict=True))


def _warn_beyond(text: str, basis: Basis, inputs: np.ndarray, state: Mapping[str, Any]) -> None:
    """Say that curves end at the range, of inputs further from it than a small part of it."""
    low, high = np.atleast_1d(state["low"]), np.atleast_1d(state["high"])
    room = _BEYOND * (high - low)
    beyond = (inputs < low - room) | (inputs > high + room)
    if beyond.any():
        row, j = np.argwhere(beyond)[0]
        warn(
            f"{int(beyond.any(axis=1).sum()):,} rows lie beyond the range of the fit, as "
            f"{basis.inputs[j].text} = {inputs[row, j]:g} where it was {low[j]:g} to {high[j]:g}: "
            f"there {text} keeps the value of its edge, and intervals are too narrow"
        )


def basis_scales(
    bases: Mapping[str, Mapping[str, Any]], names: Sequence[str], features: np.ndarray
) -> np.ndarray:
    """Scales of the features that hold a column of a basis.

    A basis has the size that its weights are meant for, so that it is not rescaled. In an
    interaction, such as `hsgp(x):z`, one scale for all columns makes up for the size of z.

    Parameters
    ----------
    bases : mapping of str to mapping
        What each basis term learned, by its text.
    names : sequence of str
        Of the features.
    features : numpy.ndarray, shape (row, feature)

    Returns
    -------
    numpy.ndarray, shape (feature,)
        NaN where the feature holds no basis; 1 where it holds nothing else.
    """
    scales = np.full(len(names), np.nan)
    blocks: dict[str, list[int]] = {}
    for j, name in enumerate(names):
        block = name
        for text in bases:
            block = re.sub(re.escape(text) + r"\[\w+\]", f"\x00{text}\x00", block)
        if block != name:
            blocks.setdefault(block, []).append(j)
    for block, columns in blocks.items():
        inside = [text for text in bases if f"\x00{text}\x00" in block]
        rest = block
        for text in inside:
            rest = rest.replace(f"\x00{text}\x00", "")
        scales[columns] = 1.0
        if rest.strip(":"):
            size = float(np.prod([bases[text]["size"] for text in inside]))
            square = float(np.mean((features[:, columns] ** 2).sum(axis=1)))
            if size > 0.0 and square > 0.0:
                scales[columns] = np.sqrt(square / size)
    return scales


def _labels(basis: Basis, count: int) -> list[str]:
    if basis.name == "fourier":
        return [f"{wave}{k}" for k in range(1, count // 2 + 1) for wave in ("sin", "cos")]
    return [str(k) for k in range(1, count + 1)]


def _ranges(text: str, inputs: Sequence[Expression], values: np.ndarray) -> np.ndarray:
    """Lowest and highest value of each input (2, input).

    Raises
    ------
    InvalidDataError
        If an input does not vary by more than its rounding.
    """
    low, high = values.min(axis=0), values.max(axis=0)
    flat = high / 2.0 - low / 2.0 <= 1e-13 * np.maximum(np.abs(low), np.abs(high))
    for j in np.flatnonzero(flat).tolist():
        raise InvalidDataError(
            f"{text} in the formula needs values that vary, but {inputs[j].text} is {low[j]:g} in "
            "every row; leave the term out"
        )
    return np.stack([low, high])


def _require_distinct(text: str, option: str, found: int, needed: int, fits: int) -> None:
    """Refuse more columns than the data have points.

    Raises
    ------
    InvalidDataError
        With the largest value of the option that fits.
    """
    if found < needed:
        advice = f"use {option}={fits} or fewer" if fits > 0 else "use the input itself, or C(...)"
        raise InvalidDataError(
            f"{text} in the formula needs {needed} distinct values or more, but the data have "
            f"{found}; {advice}"
        )


def _learn_hsgp(text: str, basis: Basis, inputs: np.ndarray) -> dict[str, Any]:
    low, high = _ranges(text, basis.inputs, inputs)
    half = high / 2.0 - low / 2.0
    kernel, c, m = (basis.options[key] for key in ("kernel", "c", "m"))
    given = basis.options["lengthscale"]
    if given is None:
        carried = [shortest_lengthscale(kernel, count, c) for count in m]
        lengthscale = half * np.maximum(_LENGTHSCALE, carried)
    else:
        lengthscale = np.array(given)
        needed = [functions_needed(kernel, a, c) for a in lengthscale / half]
        if any(count > some for count, some in zip(needed, m, strict=True)):
            shown = ", ".join(map(str, needed))
            warn(
                f"{text} has too few functions for its length-scale: m={m if len(m) > 1 else m[0]} "
                f"where {shown} or more are needed, so that the process is smoother than asked "
                "for; raise m=, or leave lengthscale= out"
            )
    return {
        "low": low.tolist(),
        "high": high.tolist(),
        "lengthscale": np.asarray(lengthscale, dtype=np.float64).tolist(),
    }


def _hsgp(options: Mapping[str, Any], state: Mapping[str, Any], inputs: np.ndarray) -> np.ndarray:
    low, high = np.array(state["low"]), np.array(state["high"])
    half = high / 2.0 - low / 2.0
    # Outside of the range the process keeps its value: beyond the box the functions would repeat.
    inside = np.clip(inputs, low, high)
    unit = (inside - (low / 2.0 + high / 2.0)) / half
    scale = np.array(state["lengthscale"]) / half
    return gaussian_process_basis(unit, options["m"], options["kernel"], scale, options["c"])


def _learn_spline(text: str, basis: Basis, inputs: np.ndarray) -> dict[str, Any]:
    df, degree = basis.options["df"], basis.options["degree"]
    (low,), (high,) = _ranges(text, basis.inputs, inputs)
    distinct = len(np.unique(inputs))
    # A spline of the lowest df has no interior knot and is a polynomial.
    _require_distinct(text, "df", distinct, df + 1, distinct - 1 if distinct > degree else 0)
    unit = (inputs[:, 0] - low) / (high - low)
    knots = quantile_knots(unit, df - degree)
    values = spline_basis(unit, knots, degree)
    return {
        "low": float(low),
        "high": float(high),
        "knots": (low + knots * (high - low)).tolist(),
        "mean": values.mean(axis=0).tolist(),
    }


def _spline(options: Mapping[str, Any], state: Mapping[str, Any], inputs: np.ndarray) -> np.ndarray:
    low, width = state["low"], state["high"] - state["low"]
    knots = (np.array(state["knots"]) - low) / width
    # Once for each value: rows of the same inputs then have the same features to the last bit.
    points, which = np.unique(inputs[:, 0], return_inverse=True)
    values = spline_basis((points - low) / width, knots, options["degree"])
    return (values @ complement_of(np.array(state["mean"])))[which]


def _learn_rbf(text: str, basis: Basis, inputs: np.ndarray) -> dict[str, Any]:
    _ranges(text, basis.inputs, inputs)
    count, width = basis.options["centers"], basis.options["width"]
    sd = inputs.std(axis=0)
    if width is None:
        width = spacing_width(count, inputs.shape[1])
    distinct = len(np.unique(inputs, axis=0))
    _require_distinct(text, "centers", distinct, count, distinct)
    centers = pivoted_centers(inputs / sd, count, partial(radial_basis, width=width))
    if len(centers) < count:
        raise InvalidDataError(
            f"{text} in the formula finds {len(centers)} centers that differ at width={width:g} "
            f"(in standard deviations of the inputs); use centers={len(centers)} or a smaller width"
        )
    return {"centers": (centers * sd).tolist(), "sd": sd.tolist(), "width": float(width)}


def _rbf(options: Mapping[str, Any], state: Mapping[str, Any], inputs: np.ndarray) -> np.ndarray:
    sd = np.array(state["sd"])
    return radial_basis(inputs / sd, np.array(state["centers"]) / sd, state["width"])


def _learn_fourier(text: str, basis: Basis, inputs: np.ndarray) -> dict[str, Any]:
    _ranges(text, basis.inputs, inputs)
    period, terms = float(basis.options["period"]), basis.options["terms"]
    phases = len(np.unique(np.round(np.remainder(inputs, period) / period, 9) % 1.0))
    _require_distinct(text, "terms", phases, 2 * terms + 1, (phases - 1) // 2)
    return {"period": period}


def _fourier(
    options: Mapping[str, Any], state: Mapping[str, Any], inputs: np.ndarray
) -> np.ndarray:
    return fourier_basis(inputs[:, 0], state["period"], options["terms"])


_KINDS: Mapping[str, tuple[Callable[..., dict[str, Any]], Callable[..., np.ndarray]]] = {
    "hsgp": (_learn_hsgp, _hsgp),
    "spline": (_learn_spline, _spline),
    "rbf": (_learn_rbf, _rbf),
    "fourier": (_learn_fourier, _fourier),
}
