"""Clusters of a graph on the rows: labels are drawn given the weights, which stay."""

import numpy as np
import pytest

from bayesmtl import Bernoulli, DirichletProcess, Model
from tests.inference.test_corrected_partition import check, exact, small_data
from tests.oracles.cases import fit
from tests.oracles.clusters import CASES
from tests.oracles.monte_carlo import mcse

SCALE = 1.5


@pytest.mark.mcmc
def test_partitions_of_the_graph_are_those_of_quadrature() -> None:
    data = small_data(Bernoulli())
    relation = DirichletProcess(concentration=0.8, mean=0.0, scale=SCALE, between=0.6)
    model = Model("y ~ 0 + x", "task", relation, likelihood=Bernoulli(), standardize=False)
    tree = fit(model, data, inference="nuts", draws=2000, tune=500)
    labels = tree["clusters"]["assignment"].to_numpy()
    check(labels, exact(data, Bernoulli(), CASES["dp"], 0.6))
    gibbs = fit(model, data, draws=2000, tune=500)
    for task in range(4):
        first, second = (
            one["posterior"]["weights"].to_numpy()[:, :, task, 0] for one in (tree, gibbs)
        )
        error = np.hypot(mcse(first), mcse(second))
        assert abs(first.mean() - second.mean()) < 4.0 * error
