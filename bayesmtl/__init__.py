"""Bayesian multi-task learning: task relations and honest predictions from a data frame."""

from types import ModuleType

from bayesmtl.data import to_long
from bayesmtl.datasets import list_datasets, load_dataset, simulate
from bayesmtl.errors import (
    BayesMTLError,
    BayesMTLWarning,
    InvalidDataError,
    InvalidModelError,
    InvalidTypeError,
    SavedFitError,
    UnsupportedError,
)
from bayesmtl.gp.model import MultiTaskGP
from bayesmtl.gp.network import SharedNetwork
from bayesmtl.graphical.model import MultiTaskGraphicalModel
from bayesmtl.likelihoods import (
    Bernoulli,
    Binomial,
    Gaussian,
    NegativeBinomial,
    Ordinal,
    Poisson,
    StudentT,
)
from bayesmtl.model import Model
from bayesmtl.plots import (
    plot_clusters,
    plot_functions,
    plot_graph,
    plot_inclusion,
    plot_sharing,
    plot_task_relations,
    plot_weights,
)
from bayesmtl.posterior.access import task_relations
from bayesmtl.posterior.diagnostics import diagnose
from bayesmtl.posterior.log_likelihood import compute_log_likelihood
from bayesmtl.posterior.predict import predict
from bayesmtl.posterior.storage import load, save
from bayesmtl.priors import Prior
from bayesmtl.recipes import list_recipes, load_recipe
from bayesmtl.relations.clusters.prior import DirichletProcess, FiniteMixture, PitmanYor
from bayesmtl.relations.covariance.prior import LowRank, MatrixNormal
from bayesmtl.relations.exchangeable.prior import Exchangeable, Independent, Pooled
from bayesmtl.relations.graph.neighbours import nearest_neighbours as nearest_neighbour_graph
from bayesmtl.relations.graph.prior import KnownGraph, SparseGraph
from bayesmtl.relations.graph.tree_prior import Tree
from bayesmtl.relations.sparse.prior import Decomposition
from bayesmtl.report.page import write_report

__all__ = [
    "BayesMTLError",
    "BayesMTLWarning",
    "Bernoulli",
    "Binomial",
    "Decomposition",
    "Exchangeable",
    "DirichletProcess",
    "PitmanYor",
    "FiniteMixture",
    "Gaussian",
    "Independent",
    "InvalidDataError",
    "InvalidModelError",
    "InvalidTypeError",
    "KnownGraph",
    "LowRank",
    "MatrixNormal",
    "Model",
    "MultiTaskGP",
    "MultiTaskGraphicalModel",
    "NegativeBinomial",
    "Ordinal",
    "Poisson",
    "Pooled",
    "Prior",
    "SavedFitError",
    "SharedNetwork",
    "SparseGraph",
    "StudentT",
    "Tree",
    "UnsupportedError",
    "__version__",
    "compute_log_likelihood",
    "diagnose",
    "list_datasets",
    "list_recipes",
    "load",
    "load_dataset",
    "load_recipe",
    "nearest_neighbour_graph",
    "plot_clusters",
    "plot_functions",
    "plot_graph",
    "plot_inclusion",
    "plot_sharing",
    "plot_task_relations",
    "plot_weights",
    "predict",
    "save",
    "simulate",
    "task_relations",
    "to_long",
    "write_report",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> ModuleType:
    """`bayesmtl.sklearn`, imported when it is asked for: the package works without scikit-learn."""
    if name == "sklearn":
        from importlib import import_module

        return import_module("bayesmtl.sklearn")
    raise AttributeError(f"module 'bayesmtl' has no attribute {name!r}")
