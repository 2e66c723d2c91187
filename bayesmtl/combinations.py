"""Which methods work for which relations and likelihoods: ``python -m bayesmtl.combinations``.

A mapping of different likelihoods works wherever a likelihood that is not Gaussian does, except
with "laplace_sites", and with "gibbs" where tasks are correlated.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd

from bayesmtl.errors import BayesMTLWarning, UnsupportedError
from bayesmtl.inference.options import METHODS
from bayesmtl.inference.support import EXACT, require_supported
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
from bayesmtl.relations.clusters.prior import DirichletProcess, FiniteMixture, PitmanYor
from bayesmtl.relations.covariance.prior import LowRank, MatrixNormal
from bayesmtl.relations.exchangeable.prior import Exchangeable, Independent, Pooled
from bayesmtl.relations.graph.prior import KnownGraph, SparseGraph
from bayesmtl.relations.graph.tree_prior import Tree
from bayesmtl.relations.sparse.prior import Decomposition

__all__ = ["table"]

_LIKELIHOODS: tuple[Any, ...] = (
    Gaussian(),
    StudentT(),
    Bernoulli(),
    Binomial(trials="n"),
    Poisson(),
    NegativeBinomial(),
    Ordinal(levels=(0.0, 1.0)),
)
_RELATIONS: tuple[Any, ...] = (
    Independent(),
    Pooled(),
    Exchangeable(),
    DirichletProcess(),
    PitmanYor(),
    FiniteMixture(),
    MatrixNormal(),
    LowRank(),
    SparseGraph(),
    KnownGraph([("a", "b")]),
    Tree(["group"]),
    Decomposition(),
)


def table() -> str:
    """A Markdown table: relations, methods, and the likelihoods for which they work together."""
    lines = [
        "| relation | " + " | ".join(f'`"{method}"`' for method in METHODS) + " |",
        "| --- |" + " --- |" * len(METHODS),
    ]
    for relation in _RELATIONS:
        cells = [_cell(relation, method) for method in METHODS]
        lines.append(f"| `{type(relation).__name__}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(relation: Any, method: str) -> str:
    kind = "exact" if method in EXACT else "approximate"
    works = [one for one in _LIKELIHOODS if _supported(relation, one, method)]
    if len(works) == len(_LIKELIHOODS):
        return kind
    return f"{kind}: {', '.join(type(one).__name__ for one in works)}" if works else "-"


def _supported(relation: Any, likelihood: Any, method: str) -> bool:
    rows = pd.DataFrame(
        {"y": [0, 1, 1, 0], "x": [0.0, 1.0, 2.0, 4.0], "n": 1, "task": list("aabb"), "group": 1}
    )
    model = Model("y ~ x", "task", relation, likelihood=likelihood)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", BayesMTLWarning)
        problem = model.prepare(rows).problem
    try:
        require_supported(problem, likelihood, method)
    except UnsupportedError:
        return False
    return True


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
