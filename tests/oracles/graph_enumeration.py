"""Posterior probabilities of all graphs of a few variables under a G-Wishart prior.

K given graph G has the density ``|K|^((b - 2) / 2) exp(-tr(D K) / 2) / I_G(b, D)`` on the positive
definite matrices with zeros where G has no edge; rows are centred, their mean integrated out. For a
decomposable graph I_G is a product over cliques and separators (Roverato 2002), for others the
Monte Carlo estimate of Atay-Kayis and Massam (2005, Biometrika 92), which is exact up to its error
for all graphs and so checks the closed form.
"""

import itertools
import math

import networkx as nx
import numpy as np
from scipy.special import gammaln, multigammaln

__all__ = ["edge_probabilities", "log_constant_closed", "log_constant_sampled", "log_evidence"]

SAMPLES = 40_000


def _log_wishart(b: float, scale: np.ndarray) -> float:
    """``log I_G`` of a complete graph."""
    n = len(scale)
    if n == 0:
        return 0.0
    dof = b + n - 1
    _, log_det = np.linalg.slogdet(scale)
    return 0.5 * dof * n * math.log(2) + float(multigammaln(dof / 2, n)) - 0.5 * dof * log_det


def log_constant_closed(graph: nx.Graph, b: float, scale: np.ndarray) -> float:
    """Of a decomposable graph: cliques over separators along a junction tree."""
    cliques = [frozenset(clique) for clique in nx.find_cliques(graph)]
    overlaps = nx.Graph()
    overlaps.add_nodes_from(range(len(cliques)))
    for i, j in itertools.combinations(range(len(cliques)), 2):
        overlaps.add_edge(i, j, weight=len(cliques[i] & cliques[j]))
    tree = nx.maximum_spanning_tree(overlaps)
    separators = [sorted(cliques[i] & cliques[j]) for i, j in tree.edges]

    def of(nodes: list[int]) -> float:
        return _log_wishart(b, scale[np.ix_(nodes, nodes)])

    return sum(of(sorted(clique)) for clique in cliques) - sum(map(of, separators))


def log_constant_sampled(
    graph: nx.Graph, b: float, scale: np.ndarray, rng: np.random.Generator
) -> float:
    """Of any graph, by equations 22 and 38 of Atay-Kayis and Massam."""
    n = len(scale)
    t = np.linalg.cholesky(np.linalg.inv(scale)).T
    h = t / np.diag(t)
    edge = nx.to_numpy_array(graph, nodelist=range(n)) > 0
    after = np.triu(edge).sum(axis=1)
    before = np.triu(edge).sum(axis=0)
    psi = np.zeros((SAMPLES, n, n))
    for i in range(n):
        psi[:, i, i] = np.sqrt(rng.chisquare(b + after[i], SAMPLES))
        for j in range(i + 1, n):
            if edge[i, j]:
                psi[:, i, j] = rng.normal(size=SAMPLES)
                continue
            value = -(psi[:, i, i:j] @ h[i:j, j])
            for r in range(i):
                left = psi[:, r, i] + psi[:, r, r:i] @ h[r:i, i]
                right = psi[:, r, j] + psi[:, r, r:j] @ h[r:j, j]
                value -= left / psi[:, i, i] * right
            psi[:, i, j] = value
    absent = np.triu(~edge, k=1)
    expectation = np.exp(-0.5 * (psi[:, absent] ** 2).sum(axis=1)).mean()
    out = math.log(expectation)
    for i in range(n):
        dof = b + after[i]
        out += 0.5 * dof * math.log(2) + 0.5 * after[i] * math.log(2 * math.pi)
        out += float(gammaln(dof / 2)) + (b + after[i] + before[i]) * math.log(t[i, i])
    return out


def log_evidence(
    graph: nx.Graph, rows: np.ndarray, b: float, scale: np.ndarray, rng: np.random.Generator
) -> float:
    """Log marginal likelihood of rows but for what all graphs have in common."""
    centred = rows - rows.mean(axis=0)
    after = b + len(rows) - 1, scale + centred.T @ centred
    if nx.is_chordal(graph):
        return log_constant_closed(graph, *after) - log_constant_closed(graph, b, scale)
    sampled = log_constant_sampled(graph, *after, rng)
    return sampled - log_constant_sampled(graph, b, scale, rng)


def edge_probabilities(rows: np.ndarray, rng: np.random.Generator, b: float = 3.0) -> np.ndarray:
    """(n, n): probability of each edge, all graphs being equally probable a priori.

    Parameters
    ----------
    rows : (row, n)
        In units of their standard deviation.
    rng : numpy.random.Generator
    b : float
    """
    n = rows.shape[1]
    pairs = list(itertools.combinations(range(n), 2))
    evidence, edges = [], []
    for chosen in itertools.product([False, True], repeat=len(pairs)):
        graph = nx.Graph()
        graph.add_nodes_from(range(n))
        graph.add_edges_from(pair for pair, there in zip(pairs, chosen, strict=True) if there)
        evidence.append(log_evidence(graph, rows, b, np.eye(n), rng))
        edges.append(chosen)
    weight = np.exp(np.array(evidence) - max(evidence))
    chance = weight / weight.sum() @ np.array(edges)
    out = np.zeros((n, n))
    for (i, j), value in zip(pairs, chance, strict=True):
        out[i, j] = out[j, i] = value
    return out
