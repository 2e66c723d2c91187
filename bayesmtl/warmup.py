"""Compile the kernels ahead of the first fit: ``python -m bayesmtl.warmup``.

Compiled kernels are cached beside the sources, so this is worth doing once, after installing.
"""

import warnings

import numpy as np

from bayesmtl.datasets import simulate
from bayesmtl.errors import BayesMTLWarning
from bayesmtl.gp.model import MultiTaskGP
from bayesmtl.graphical.model import MultiTaskGraphicalModel
from bayesmtl.likelihoods import Bernoulli, Gaussian, Poisson, StudentT
from bayesmtl.model import Model
from bayesmtl.numerics.partition_priors import n_clusters_prior
from bayesmtl.numerics.partitions import optimal_partition
from bayesmtl.posterior.log_likelihood import compute_log_likelihood
from bayesmtl.posterior.predict import predict
from bayesmtl.priors import Prior
from bayesmtl.relations.clusters.prior import DirichletProcess
from bayesmtl.relations.covariance.prior import MatrixNormal
from bayesmtl.relations.exchangeable.prior import Exchangeable
from bayesmtl.relations.graph.prior import KnownGraph, SparseGraph
from bayesmtl.relations.graph.tree_prior import Tree
from bayesmtl.relations.sparse.prior import Decomposition

__all__ = ["main"]


def main() -> None:
    """Fit tiny models of each kind and summarise two partitions, for the compilation alone."""
    data = simulate(n_tasks=4, n_rows=6, n_features=2, random_seed=0)
    relations = (
        Exchangeable(),
        Exchangeable(feature_covariance="full"),
        Exchangeable(feature_covariance="full", scale=Prior("HalfNormal", sigma=1)),
        DirichletProcess(),
        MatrixNormal("full"),
        MatrixNormal("low_rank"),
        SparseGraph(),
        SparseGraph("horseshoe"),
        KnownGraph(np.ones((4, 4)) - np.eye(4)),
        Tree(["group"]),
        Exchangeable(feature_selection=True),
        Decomposition(Exchangeable()),
    )
    with warnings.catch_warnings():
        # Ten draws are no fit, and the verdict says so.
        warnings.simplefilter("ignore", BayesMTLWarning)
        rows = data.data.assign(group=data.data["task"].map(lambda task: str(task)[-1] < "2"))
        for relation in relations:
            model = Model(data.formula, task="task", relation=relation, likelihood=Gaussian())
            model.fit(rows, draws=10, tune=5, chains=2, random_seed=0, progressbar=False)
        positive = data.data.assign(y=(data.data["y"] > 0.0).astype(int))
        for relation, likelihood in (
            (Exchangeable(), Bernoulli()),
            (DirichletProcess(), Bernoulli()),
            (Exchangeable(), Poisson()),
            (MatrixNormal("full"), Bernoulli()),
            (MatrixNormal("low_rank"), Bernoulli()),
        ):
            model = Model(data.formula, task="task", relation=relation, likelihood=likelihood)
            model.fit(positive, draws=10, tune=110, chains=2, random_seed=0, progressbar=False)
        for prior in ("horseshoe", "spike_slab"):
            graphs = MultiTaskGraphicalModel(variables=["x1", "x2", "y"], task="task", prior=prior)
            fitted = graphs.fit(
                data.data, draws=10, tune=5, chains=2, random_seed=0, progressbar=False
            )
            holes = data.data.head(3).assign(y=np.nan)
            predict(fitted, holes)
            compute_log_likelihood(fitted, holes)
        # The last has more functions than rows.
        for functions, basis_size in (
            (MultiTaskGP("y ~ x1", task="task"), None),
            (MultiTaskGP("y ~ x1", task="task", rank=1), None),
            (MultiTaskGP("y ~ x1", task="task", likelihood=StudentT()), None),
            (MultiTaskGP("y ~ x1 + x2", task="task"), 15),
        ):
            functions.fit(
                data.data,
                draws=10,
                tune=110,
                chains=2,
                random_seed=0,
                progressbar=False,
                basis_size=basis_size,
            )
    partitions = np.array([[0, 0, 1], [0, 1, 1]])
    optimal_partition(partitions, np.random.default_rng(0))
    n_clusters_prior(3, 1.0)


if __name__ == "__main__":
    main()
