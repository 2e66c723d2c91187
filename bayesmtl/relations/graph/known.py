"""Known graphs and trees of tasks as structures of their covariance."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from bayesmtl.relations.covariance.structure import FeaturePart, ScaleDensity
from bayesmtl.relations.graph.components import (
    TaskTree,
    branch_variances,
    component_covariances,
)
from bayesmtl.relations.graph.leroux import (
    CarBasis,
    car_covariance,
    car_precision,
    update_rho_centred,
    update_rho_noncentred,
)
from bayesmtl.relations.graph.pruning import draw_nodes, leaf_values, prune
from bayesmtl.relations.graph.shares import (
    update_shares_centred,
    update_shares_collapsed,
    update_shares_noncentred,
)

__all__ = ["CarState", "CarStructure", "TreeState", "TreeStructure"]


class CarState(NamedTuple):
    """State of a known graph, updated in place.

    Parameters
    ----------
    rho : (1,)
        Dependence.
    """

    rho: np.ndarray


class CarStructure(NamedTuple):
    """Leroux's autoregression over a known graph, rho ~ Beta.

    Parameters
    ----------
    basis : CarBasis
    prior : (2,)
    """

    basis: CarBasis
    prior: np.ndarray

    def start(self, rng: np.random.Generator) -> tuple[np.ndarray, CarState]:
        """A rho anywhere."""
        rho = rng.uniform(0.05, 0.95)
        return car_precision(self.basis, rho), CarState(np.array([rho]))

    def simulate(self, rng: np.random.Generator) -> tuple[np.ndarray, CarState]:
        """From the prior, but for rounding to 1."""
        rho = min(rng.beta(*self.prior), 1.0 - 1e-8)
        return car_precision(self.basis, rho), CarState(np.array([rho]))

    def _place(self, own: CarState, tasks: Any) -> None:
        tasks.precision[:] = car_precision(self.basis, own.rho[0])
        tasks.covariance[:] = car_covariance(self.basis, own.rho[0])

    def given_weights(
        self, own: CarState, tasks: Any, features: FeaturePart, rng: np.random.Generator
    ) -> None:
        """Slice on rho."""
        args = (features.deviation, features.precision, self.prior, own.rho)
        update_rho_centred(self.basis, *args, rng)
        self._place(own, tasks)

    def with_weights(
        self,
        own: CarState,
        tasks: Any,
        sites: tuple[np.ndarray, np.ndarray],
        features: FeaturePart,
        *,
        exact: bool,
        rng: np.random.Generator,
    ) -> None:
        """Slice on rho, whitened deviations fixed."""
        del exact
        args = (*sites, features.deviation, self.prior, own.rho)
        update_rho_noncentred(self.basis, *args, rng)
        self._place(own, tasks)

    def scale_density(self, own: CarState, tasks: Any) -> ScaleDensity | None:
        """None: the graph sets the scale."""
        del own, tasks
        return None

    def log_prior(self, own: CarState, tasks: Any) -> float:
        """Of rho."""
        del tasks
        rho = own.rho[0]
        return (self.prior[0] - 1.0) * math.log(rho) + (self.prior[1] - 1.0) * math.log1p(-rho)

    def recorded(self, own: CarState) -> dict[str, np.ndarray]:
        """The dependence."""
        return {"dependence": np.array(own.rho[0])}


class TreeState(NamedTuple):
    """State of a known tree, updated in place.

    Parameters
    ----------
    share : (component,)
        Of the variance of a task.
    """

    share: np.ndarray


class TreeStructure(NamedTuple):
    """Weights spread along the branches of a known tree, shares of its components ~ Dirichlet.

    Parameters
    ----------
    tree : TaskTree
    parts : (component, task, task)
        Covariances, of which the shares are the coefficients.
    prior : (component,)
    names : tuple of str
        Of the components.
    """

    tree: TaskTree
    parts: np.ndarray
    prior: np.ndarray
    names: tuple[str, ...]

    @classmethod
    def of(cls, tree: TaskTree, prior: np.ndarray, names: tuple[str, ...]) -> TreeStructure:
        """With the covariances of the components."""
        return cls(tree, component_covariances(tree), prior, names)

    def covariance(self, share: np.ndarray) -> np.ndarray:
        """Covariance (task, task) of the tasks."""
        return np.tensordot(share, self.parts, axes=1)

    def start(self, rng: np.random.Generator) -> tuple[np.ndarray, TreeState]:
        """Shares anywhere."""
        share = rng.dirichlet(np.full(len(self.prior), 2.0))
        return np.linalg.inv(self.covariance(share)), TreeState(share)

    def simulate(self, rng: np.random.Generator) -> tuple[np.ndarray, TreeState]:
        """From the prior; a share of the tasks' own branches is kept from rounding to 0."""
        share = np.maximum(rng.dirichlet(self.prior), 1e-8)
        share /= share.sum()
        return np.linalg.inv(self.covariance(share)), TreeState(share)

    def _place(self, own: TreeState, tasks: Any) -> None:
        tasks.covariance[:] = self.covariance(own.share)
        tasks.precision[:] = np.linalg.inv(tasks.covariance)

    def given_weights(
        self, own: TreeState, tasks: Any, features: FeaturePart, rng: np.random.Generator
    ) -> None:
        """Slices on the shares, the inner nodes integrated out."""
        args = (features.deviation, features.precision, self.prior, own.share)
        update_shares_centred(self.tree, *args, rng)
        self._place(own, tasks)

    def with_weights(
        self,
        own: TreeState,
        tasks: Any,
        sites: tuple[np.ndarray, np.ndarray],
        features: FeaturePart,
        *,
        exact: bool,
        rng: np.random.Generator,
    ) -> None:
        """Shares with the weights integrated out, else whitened deviations fixed."""
        if exact:
            self._integrated(own, sites, features, rng)
        else:
            args = (*sites, features.deviation, self.prior, own.share)
            update_shares_noncentred(self.parts, *args, rng)
        self._place(own, tasks)

    def _integrated(
        self,
        own: TreeState,
        sites: tuple[np.ndarray, np.ndarray],
        features: FeaturePart,
        rng: np.random.Generator,
    ) -> None:
        """Shares with the weights integrated out, then all weights, by pruning."""
        d = features.deviation.shape[1]
        told = np.diag(features.precision) > 0.0
        root, members = np.eye(d), np.ix_(told, told)
        root[members] = np.linalg.cholesky(np.linalg.inv(features.precision[members]))
        gram, score = sites
        zero = np.zeros(d)
        update_shares_collapsed(self.tree, gram, score, root, zero, self.prior, own.share, rng)
        variance = branch_variances(self.tree, own.share)
        constant = np.zeros(len(score))
        of_nodes = prune(self.tree, variance, gram, score, constant, root)[:2]
        values = draw_nodes(self.tree, variance, *of_nodes, root, zero, rng)
        features.deviation[:] = leaf_values(self.tree, values)

    def scale_density(self, own: TreeState, tasks: Any) -> ScaleDensity | None:
        """None: the shares sum to one."""
        del own, tasks
        return None

    def log_prior(self, own: TreeState, tasks: Any) -> float:
        """Of the shares."""
        del tasks
        return float(((self.prior - 1.0) * np.log(own.share)).sum())

    def recorded(self, own: TreeState) -> dict[str, np.ndarray]:
        """The shares."""
        return {"share": own.share}
