"""Sampling on Laplace sites alone: close where the sites are good, and said to be approximate."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayesmtl import (
    Bernoulli,
    Gaussian,
    Model,
    NegativeBinomial,
    Poisson,
    UnsupportedError,
    diagnose,
)
from tests.oracles.cases import fit


def rows(n_rows: int) -> pd.DataFrame:
    """Counts of tasks whose weights differ."""
    rng = np.random.default_rng(2)
    task = np.repeat(np.arange(6), n_rows)
    x = rng.normal(size=len(task))
    eta = 0.5 + rng.normal(0.3, 0.4, 6)[task] * x
    y = rng.poisson(np.exp(eta))
    return pd.DataFrame({"y": y, "positive": (y > 1).astype(int), "x": x, "task": task})


@pytest.mark.mcmc
@pytest.mark.parametrize(("response", "likelihood"), [("y", Poisson()), ("positive", Bernoulli())])
def test_good_sites_are_nearly_exact(response: str, likelihood: Any) -> None:
    data = rows(150)
    model = Model(f"{response} ~ x", "task", likelihood=likelihood)
    exact = fit(model, data, draws=1500, tune=500)["posterior"]
    tree = fit(model, data, inference="laplace_sites", draws=1500, tune=500)
    for name in ("weights", "intercept", "population_mean", "population_sd"):
        mean, sd = exact[name].mean(("chain", "draw")), exact[name].std(("chain", "draw"))
        found = tree["posterior"][name]
        assert float(np.abs((found.mean(("chain", "draw")) - mean) / sd).max()) < 0.2, name
        np.testing.assert_allclose(found.std(("chain", "draw")) / sd, 1.0, atol=0.12)
    assert tree.attrs["approximate"] == 1
    assert tree.attrs["correction_sd"] < 0.5
    assert "APPROXIMATE: draws of laplace_sites" in diagnose(tree).verdict


def test_bad_sites_are_named() -> None:
    data = pd.DataFrame(
        {"y": [0, 0, 40, 0, 1, 1, 0, 2], "x": [0.0, 1, 5, 0, 0, 1, 2, 3], "task": list("aaaabbbb")}
    )
    tree = fit(Model("y ~ x", "task", likelihood=Poisson()), data, inference="laplace_sites")
    report = json.loads(tree.attrs["inference"])
    assert report["correction_sd"] > 0.5
    assert "CHECK: APPROXIMATE" in tree.attrs["verdict"]


def test_where_sites_alone_make_no_sense() -> None:
    data = rows(10)
    with pytest.raises(UnsupportedError, match="sites of a Gaussian likelihood are exact"):
        Model("y ~ x", "task", likelihood=Gaussian()).fit(data, inference="laplace_sites")
    with pytest.raises(UnsupportedError, match="has parameters that its sites depend on"):
        Model("y ~ x", "task", likelihood=NegativeBinomial()).fit(data, inference="laplace_sites")
