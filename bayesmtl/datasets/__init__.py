"""Data sets that ship with the package, and synthetic tasks with known relations."""

from bayesmtl.datasets.loading import list_datasets, load_dataset
from bayesmtl.datasets.simulate import Simulation, simulate

__all__ = ["Simulation", "list_datasets", "load_dataset", "simulate"]
