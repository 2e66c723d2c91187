"""A trained network as a transformation of features, without the library that trained it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayesmtl.errors import InvalidModelError
from bayesmtl.frames.opening import shorten

__all__ = ["check_trunk", "forward", "learned_names"]

_ENTRIES = {"inputs", "center", "scale", "layers", "output_center", "output_scale"}


def learned_names(n_features: int) -> tuple[str, ...]:
    """Names of learned features."""
    return tuple(f"learned{k + 1}" for k in range(n_features))


def forward(trunk: Mapping[str, Any], features: np.ndarray) -> np.ndarray:
    """Learned features: ``h_0 = (x - center) / scale``, ``h_l = tanh(h_(l-1) W_l + b_l)``.

    Parameters
    ----------
    trunk : mapping
        ``inputs`` (names of the features that it reads), their ``center`` and ``scale``,
        ``layers`` (a ``weights`` (in, out) and a ``bias`` (out,) each) and ``output_center`` and
        ``output_scale`` of the last layer; lists or arrays.
    features : numpy.ndarray, shape (row, input)

    Returns
    -------
    numpy.ndarray, shape (row, feature)
        Of mean 0 and standard deviation 1 over the rows that trained the trunk.
    """
    h = (features - np.asarray(trunk["center"])) / np.asarray(trunk["scale"])
    for layer in trunk["layers"]:
        h = np.tanh(h @ np.asarray(layer["weights"]) + np.asarray(layer["bias"]))
    return (h - np.asarray(trunk["output_center"])) / np.asarray(trunk["output_scale"])


def check_trunk(trunk: Mapping[str, Any], n_features: int) -> None:
    """Check that a saved trunk is whole.

    Raises
    ------
    InvalidModelError
        If an entry is missing, or the sizes of the layers do not fit together.
    """
    if set(trunk) != _ENTRIES:
        raise InvalidModelError(
            f"a saved trunk needs the entries {shorten(sorted(_ENTRIES))}, but has "
            f"{shorten(sorted(map(str, trunk)))}"
        )
    width = len(trunk["inputs"])
    for layer in trunk["layers"]:
        if np.shape(layer["weights"]) != (width, len(layer["bias"])):
            raise InvalidModelError(
                f"the layers of the saved trunk do not fit together: one has weights of shape "
                f"{np.shape(layer['weights'])} after {width} values; it was changed by hand"
            )
        width = len(layer["bias"])
    if width != n_features:
        raise InvalidModelError(
            f"the saved trunk makes {width} features, and the design has {n_features}; it was "
            "changed by hand"
        )
