"""How kernels are compiled: cached, without the interpreter lock, IEEE division."""

from collections.abc import Callable
from typing import Any

import numba

__all__ = ["inlined_kernel", "inner_kernel", "kernel", "lane_kernel", "row_kernel"]

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "no_cfunc_wrapper": True,
}
_NO_ENTRY: dict[str, Any] = {"no_cpython_wrapper": True}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that is called from Python too."""
    return numba.njit(**_OPTIONS)(function)


def inner_kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that only kernels call; saves its entry point for Python."""
    return numba.njit(**_OPTIONS, **_NO_ENTRY)(function)


def inlined_kernel(function: Callable[..., Any]) -> Any:
    """Compile a function into its callers, whatever its size: else their loops stay scalar."""
    return numba.njit(forceinline=True, **_OPTIONS, **_NO_ENTRY)(function)


def lane_kernel(function: Callable[..., Any]) -> Any:
    """Compile a kernel over lanes; fused multiply-add only, so NaN and infinity stay."""
    return numba.njit(fastmath={"contract"}, **_OPTIONS)(function)


def row_kernel(function: Callable[..., Any]) -> Any:
    """Compile a loop over rows, whose sums may be taken in any order."""
    return numba.njit(fastmath={"contract", "reassoc"}, **_OPTIONS)(function)
