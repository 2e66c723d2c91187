"""The one place that asks whether PyTorch is there, and where it computes."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmtl.errors import UnsupportedError

__all__ = ["choose_device", "require_torch", "torch_generator"]


def require_torch(what: str) -> Any:
    """Import PyTorch.

    Parameters
    ----------
    what : str
        What needs it, the subject of the message.

    Returns
    -------
    module
        ``torch``.

    Raises
    ------
    UnsupportedError
        When it is not installed.
    """
    try:
        import torch
    except ImportError:
        raise UnsupportedError(
            f"{what} needs PyTorch, which is not installed: `pip install 'bayesmtl[gp]'`"
        ) from None
    return torch


def choose_device(torch: Any, device: str | None) -> Any:
    """Give the device that was asked for, or CUDA where there is one, else the processor.

    Raises
    ------
    UnsupportedError
        When CUDA is asked for and not there.
    """
    there = torch.cuda.is_available()
    if device is not None and str(device).startswith("cuda") and not there:
        raise UnsupportedError(
            f"device={device!r} needs a GPU that PyTorch can use, and there is none: device='cpu'"
        )
    return torch.device(device or ("cuda" if there else "cpu"))


def torch_generator(torch: Any, rng: np.random.Generator) -> Any:
    """Make a generator of PyTorch that ``rng`` seeds; global state is not read."""
    return torch.Generator().manual_seed(int(rng.integers(2**62)))
