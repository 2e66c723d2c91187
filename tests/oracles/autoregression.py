"""Parts of Leroux's autoregression that the densities of tests need."""

import numpy as np

from bayesmtl.relations.graph.leroux import CarBasis, car_basis

__all__ = ["car_log_det", "scaled_laplacian"]


def scaled_laplacian(adjacency: np.ndarray) -> np.ndarray:
    """L (task, task), see `car_basis`."""
    basis = car_basis(adjacency)
    return np.asarray((basis.vectors * basis.values) @ basis.vectors.T)


def car_log_det(basis: CarBasis, rho: float) -> float:
    """``log |K(rho)|``."""
    return float(np.log(rho * basis.values + (1.0 - rho)).sum())
