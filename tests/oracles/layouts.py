"""Layouts of point estimates for models of correlated tasks."""

from typing import Any

import numpy as np

import bayesmtl as bm
from bayesmtl.assembly import Problem
from bayesmtl.inference.gibbs import start_chain
from bayesmtl.relations.exchangeable.hyperparameters import Layout
from bayesmtl.relations.exchangeable.layouts import layout_of

__all__ = ["correlated_layout", "difference_slope"]


def correlated_layout(model: bm.Model, data: Any, seed: int = 0) -> tuple[Problem, Layout, Any]:
    """Problem, layout, and the x of a start moved away from it."""
    problem, rng = model.prepare(data).problem, np.random.default_rng(seed)
    chain = start_chain(problem, model.likelihood, rng)
    layout, x = layout_of(problem, chain.population, 1.0, chain.noise)
    return problem, layout, np.clip(x + 0.1 * rng.normal(size=x.size), *layout.bounds.T)


def difference_slope(value: Any, y: np.ndarray) -> np.ndarray:
    """Slope (n,) of a function at y by central differences."""
    steps = 1e-5 * np.eye(y.size)
    return np.array([value(y + step) - value(y - step) for step in steps]) / 2e-5
