"""Where default priors of one likelihood are centred, with offsets in the predictor."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmtl.likelihoods.protocol import Reference
from bayesmtl.likelihoods.student_t import StudentT

__all__ = ["reference_of", "total_exposure"]


def reference_of(
    likelihood: Any,
    response: np.ndarray,
    size: np.ndarray,
    offset: np.ndarray,
    weight: np.ndarray,
) -> Reference:
    """Centre of the predictor without its offset, and noise variance of an average row.

    Parameters
    ----------
    likelihood : RowLikelihood
    response, size, offset, weight : (row,)
    """
    if isinstance(likelihood, StudentT):
        return likelihood.reference(response - offset, size, weight)
    total = total_exposure(likelihood, size, offset)
    center, noise = likelihood.reference(response, total, weight)
    shift = float(offset.max()) if "exposure" in likelihood.columns else 0.0
    return Reference(center - shift, noise)


def total_exposure(likelihood: Any, size: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Sizes of which, under a log link, the offset is a part: e to its power, the largest 1."""
    return size * np.exp(offset - offset.max()) if "exposure" in likelihood.columns else size
