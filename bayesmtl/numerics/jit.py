"""How kernels are compiled: cached, without the interpreter lock, IEEE division."""

from collections.abc import Callable
from typing import Any

import numba

__all__ = [
    "exact_kernel",
    "inlined_kernel",
    "inner_kernel",
    "kernel",
    "lane_kernel",
    "named_after",
    "row_kernel",
]

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "no_cfunc_wrapper": True,
}
_NO_ENTRY: dict[str, Any] = {"no_cpython_wrapper": True}


def named_after(target: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Name a closure after the compiled function that it is made for.

    Numba numbers functions of one name and the same types, but each process anew: cached in several
    processes and loaded by another, closures of one name would be taken for each other.
    """
    owner = target.py_func

    def rename(function: Callable[..., Any]) -> Callable[..., Any]:
        function.__qualname__ = f"{owner.__module__}.{owner.__qualname__}.{function.__name__}"
        return function

    return rename


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that is called from Python too."""
    return numba.njit(**_OPTIONS)(function)


def inner_kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that only kernels call; saves its entry point for Python."""
    return numba.njit(**_OPTIONS, **_NO_ENTRY)(function)


def inlined_kernel(function: Callable[..., Any]) -> Any:
    """Compile a function into its callers, whatever its size: else their loops stay scalar."""
    return numba.njit(forceinline=True, **_OPTIONS, **_NO_ENTRY)(function)


def exact_kernel(function: Callable[..., Any]) -> Any:
    """As `inlined_kernel`, but not in any order where that is allowed in its caller."""
    return numba.njit(forceinline=True, fastmath={"contract"}, **_OPTIONS, **_NO_ENTRY)(function)


def lane_kernel(function: Callable[..., Any]) -> Any:
    """Compile a kernel over lanes; fused multiply-add only, so NaN and infinity stay."""
    return numba.njit(fastmath={"contract"}, **_OPTIONS)(function)


def row_kernel(function: Callable[..., Any]) -> Any:
    """Compile a loop over rows, whose sums may be taken in any order."""
    return numba.njit(fastmath={"contract", "reassoc"}, **_OPTIONS)(function)
