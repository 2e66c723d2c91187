"""Every relation with every likelihood: what a fit must give, whatever the combination."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmtl as bm
from tests.oracles.cases import fit

N_TASKS, N_ROWS = 4, 8
RELATIONS: dict[str, Any] = {
    "independent": bm.Independent(),
    "pooled": bm.Pooled(),
    "exchangeable": bm.Exchangeable(),
    "full": bm.Exchangeable(feature_covariance="full"),
    "dirichlet": bm.DirichletProcess(),
    "pitman_yor": bm.PitmanYor(),
    "mixture": bm.FiniteMixture(),
    "matrix": bm.MatrixNormal("full"),
    "factors": bm.MatrixNormal("low_rank", "full"),
    "low_rank": bm.LowRank(),
    "sparse_graph": bm.SparseGraph(),
    "graphical_horseshoe": bm.SparseGraph("horseshoe"),
    "known_graph": bm.KnownGraph([("t0", "t1"), ("t1", "t2"), ("t3",)]),
    "tree": bm.Tree("((t0,t1),(t2,t3));"),
}
LIKELIHOODS: dict[str, Any] = {
    "gaussian": bm.Gaussian(),
    "student_t": bm.StudentT(),
    "logit": bm.Bernoulli(),
    "probit": bm.Bernoulli(link="probit"),
    "binomial": bm.Binomial(trials="n"),
    "poisson": bm.Poisson(exposure="e"),
    "negative_binomial": bm.NegativeBinomial(),
    "ordinal": bm.Ordinal(levels=["low", "mid", "high"]),
}


def rows_of(likelihood: Any) -> pd.DataFrame:
    """Two features, a response in the support, row weights and an offset."""
    rng = np.random.default_rng(6)
    task = np.repeat([f"t{k}" for k in range(N_TASKS)], N_ROWS)
    x = rng.normal(size=(len(task), 2))
    z = x @ [0.8, -0.5] + rng.normal(size=len(task))
    data = pd.DataFrame({"task": task, "a": x[:, 0], "b": x[:, 1]})
    data["n"], data["e"] = 5, rng.uniform(0.5, 2.0, len(task))
    data["w"], data["o"] = rng.uniform(0.5, 2.0, len(task)), 0.1 * rng.normal(size=len(task))
    if isinstance(likelihood, bm.Gaussian | bm.StudentT):
        response: Any = z
    elif isinstance(likelihood, bm.Ordinal):
        response = np.array(["low", "mid", "high"])[np.digitize(z, [-0.5, 0.5])]
    elif isinstance(likelihood, bm.Bernoulli):
        response = (z > 0.0).astype(int)
    else:
        response = np.clip(np.round(np.exp(0.5 * z)), 0, 5).astype(int)
    return data.assign(y=response)


@pytest.mark.filterwarnings("ignore:.*effective features:bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_combination_is_fitted_and_predicts(relation: str, likelihood: str) -> None:
    part = LIKELIHOODS[likelihood]
    data = rows_of(part)
    model = bm.Model(
        "y ~ a + b", "task", RELATIONS[relation], likelihood=part, weights="w", offset="o"
    )
    assert bm.Model.from_dict(model.to_dict()) == model
    assert "y_i" in str(model)
    tree = fit(model, data, draws=30, tune=20, chains=2)
    posterior = tree["posterior"].to_dataset()
    assert all(np.isfinite(value).all() for value in posterior.data_vars.values())
    assert np.isfinite(tree["sample_stats"]["lp"]).all()
    assert posterior["weights"].dims == ("chain", "draw", "task", "feature")
    bm.compute_log_likelihood(tree)
    assert np.isfinite(tree["log_likelihood"]["y"]).all()
    frame = bm.predict(tree, data.head(3), as_frame=True)
    assert len(frame) == 3
    new = data.head(3).assign(task="new")
    drawn = bm.predict(tree, new, kind="response", new_task="population", random_seed=1)
    assert drawn["predictions"]["y"].sizes["obs"] == 3
    again = fit(model, data, draws=30, tune=20, chains=2)
    assert posterior.equals(again["posterior"].to_dataset())


@pytest.mark.filterwarnings("ignore:.*effective features:bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("relation", [name for name in RELATIONS if name != "mixture"])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_combination_is_a_graph(relation: str, likelihood: str) -> None:
    part = LIKELIHOODS[likelihood]
    data = rows_of(part)
    model = bm.Model("y ~ a + b", "task", RELATIONS[relation], likelihood=part)
    if relation in ("dirichlet", "pitman_yor"):
        return
    if relation in ("sparse_graph", "graphical_horseshoe"):
        with pytest.raises(bm.UnsupportedError, match="unknown graph of"):
            model.to_pymc(data)
        return
    graph = model.to_pymc(data)
    assert [variable.name for variable in graph.observed_RVs] == ["y"]
    assert graph.named_vars_to_dims["weights"] == ("task", "feature")
