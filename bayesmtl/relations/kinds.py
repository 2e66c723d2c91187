"""Which relations there are, as types."""

from bayesmtl.relations.clusters.prior import DirichletProcess, FiniteMixture, PitmanYor
from bayesmtl.relations.covariance.prior import LowRank, MatrixNormal
from bayesmtl.relations.exchangeable.prior import Exchangeable, Independent, Pooled
from bayesmtl.relations.graph.prior import KnownGraph, SparseGraph
from bayesmtl.relations.graph.tree_prior import Tree
from bayesmtl.relations.sparse.prior import Decomposition

__all__ = ["Clusters", "Common", "Correlated", "Relation"]

Clusters = DirichletProcess | PitmanYor | FiniteMixture
Correlated = MatrixNormal | LowRank | SparseGraph | KnownGraph | Tree
Common = Independent | Pooled | Exchangeable | Clusters | Correlated
Relation = Common | Decomposition
