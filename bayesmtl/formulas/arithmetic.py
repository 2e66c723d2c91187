"""The arithmetic of formulas: the functions that exist, computed by walking a checked tree."""

import ast
from collections.abc import Callable, Mapping

import numpy as np

from bayesmtl.errors import InvalidDataError

__all__ = ["FUNCTIONS", "LEARNED", "OPERATORS", "called", "compute"]

FUNCTIONS: Mapping[str, Callable[..., np.ndarray]] = {
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "log10": np.log10,
    "log1p": np.log1p,
    "log2": np.log2,
    "sqrt": np.sqrt,
}
LEARNED = ("center", "scale")
OPERATORS: Mapping[type[ast.operator], Callable[..., np.ndarray]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}


def called(node: ast.expr) -> str | None:
    """Return the name of the function of a call, `np.` and `numpy.` aside."""
    if not isinstance(node, ast.Call):
        return None
    function = node.func
    if (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id in {"np", "numpy"}
        and function.attr in FUNCTIONS
    ):
        return function.attr
    return function.id if isinstance(function, ast.Name) else None


def compute(
    node: ast.expr, values: Mapping[str, np.ndarray], state: dict[str, dict[str, float]]
) -> np.ndarray:
    """Compute a checked expression.

    Parameters
    ----------
    node : ast.expr
        A tree from `parse_expression`.
    values : mapping of str to numpy.ndarray, shape (row,)
        The columns that it reads.
    state : dict
        Means and standard deviations of `center` and `scale` by the text of the call; a call that
        is not in it yet is learned from these rows and added.

    Returns
    -------
    numpy.ndarray, shape (row,)
        Values, possibly not finite.

    Raises
    ------
    InvalidDataError
        If `scale` is learned from values that do not vary.
    """
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.Constant):
        assert isinstance(node.value, int | float)
        return np.asarray(node.value, dtype=np.float64)
    if isinstance(node, ast.BinOp):
        left, right = compute(node.left, values, state), compute(node.right, values, state)
        return OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.UnaryOp):
        operand = compute(node.operand, values, state)
        return -operand if isinstance(node.op, ast.USub) else operand
    assert isinstance(node, ast.Call)
    inner = compute(node.args[0], values, state)
    name = called(node)
    if name in LEARNED:
        return _transform(ast.unparse(node), inner, state, rescale=name == "scale")
    return inner if name == "I" else FUNCTIONS[str(name)](inner)


def _transform(
    text: str, values: np.ndarray, state: dict[str, dict[str, float]], *, rescale: bool
) -> np.ndarray:
    """Subtract the learned mean and, for `scale`, divide by the learned standard deviation."""
    if text not in state:
        mean = float(np.mean(values))
        sd = float(np.std(values, ddof=1)) if rescale and np.size(values) > 1 else 1.0
        # Equal values may differ from their mean by rounding.
        if rescale and not sd > 1e-13 * float(np.abs(values).max()):
            raise InvalidDataError(
                f"{text} in the formula divides by the standard deviation of values that are all "
                "equal; use center instead, or leave it out"
            )
        state[text] = {"mean": mean, "sd": sd}
    learned = state[text]
    return (values - learned["mean"]) / learned["sd"]
