"""The verdict on draws: what passes, what fails, what is named."""

import json
import time
from typing import Any

import numpy as np
import pytest
import xarray as xr

from bayesmtl.errors import InvalidDataError
from bayesmtl.posterior import quantities
from bayesmtl.posterior.diagnostics import diagnose, diagnosis_attrs


def make_tree(
    chains: int = 4, draws: int = 1000, method: str = "gibbs", **attrs: object
) -> xr.DataTree:
    rng = np.random.default_rng(3)
    posterior = xr.Dataset(
        {
            "weights": (
                ("chain", "draw", "task", "feature"),
                rng.normal(size=(chains, draws, 3, 2)),
            ),
            "noise_sd": (("chain", "draw"), rng.gamma(9, 1, (chains, draws))),
        },
        coords={"task": ["Aitkin", "Anoka", "Becker"], "feature": ["floor", "x"]},
    )
    root = xr.Dataset(attrs={"inference": json.dumps({"method": method, "draws": draws}), **attrs})
    return xr.DataTree.from_dict({"/": root, "/posterior": posterior})


def with_posterior(tree: xr.DataTree, **variables: Any) -> xr.DataTree:
    tree["posterior"] = xr.DataTree(tree["posterior"].to_dataset().assign(**variables))
    return tree


def changed(tree: xr.DataTree, name: str, index: Any, value: float) -> xr.DataTree:
    values = tree["posterior"][name].to_numpy().copy()
    values[index] = value
    return with_posterior(tree, **{name: (tree["posterior"][name].dims, values)})


def autoregressive(rho: float, shape: tuple[int, int]) -> np.ndarray:
    noise = np.random.default_rng(8).normal(size=shape)
    out = noise.copy()
    for i in range(1, shape[1]):
        out[:, i] = rho * out[:, i - 1] + noise[:, i]
    return out


def test_independent_draws_pass_and_the_verdict_bounds_every_value() -> None:
    diagnosis = diagnose(make_tree())
    assert diagnosis.passed
    assert diagnosis.problems == ()
    assert diagnosis.verdict.startswith("OK: R-hat <= 1.00")
    assert diagnosis.verdict.endswith("(4 chains x 1000 draws)")
    assert "divergences" not in diagnosis.verdict  # nothing recorded them
    assert list(diagnosis.table.index) == ["weights", "noise_sd"]
    assert diagnosis.table.loc["weights", "quantities"] == 6
    bound = float(diagnosis.verdict.split("<= ")[1].split(",")[0])
    assert bound - 0.001 < diagnosis.table["r_hat"].max() <= bound
    assert diagnosis.verdict in str(diagnosis)
    assert "ess_bulk" in str(diagnosis)


def test_no_divergences_are_said_where_they_are_recorded() -> None:
    tree = make_tree()
    tree["sample_stats"] = xr.DataTree(
        xr.Dataset({"diverging": (("chain", "draw"), np.zeros((4, 1000), bool))})
    )
    assert "no divergences" in diagnose(tree).verdict


def test_divergences_fail() -> None:
    tree = make_tree()
    diverging = np.zeros((4, 1000), bool)
    diverging[1, :7] = True
    tree["sample_stats"] = xr.DataTree(xr.Dataset({"diverging": (("chain", "draw"), diverging)}))
    diagnosis = diagnose(tree)
    assert not diagnosis.passed
    assert diagnosis.verdict.startswith("CHECK: 7 divergences (4 chains x 1000 draws) -> ")


def test_a_shifted_chain_is_named_by_label() -> None:
    tree = changed(make_tree(), "weights", (0, slice(None), 2, 0), 5.0)
    values = tree["posterior"]["weights"].to_numpy()
    values[0, :, 2, 0] += np.random.default_rng(0).normal(size=1000)
    diagnosis = diagnose(tree)
    assert "for weights[Becker, floor] (1 not below 1.01)" in diagnosis.problems[0]
    assert diagnosis.table.loc["weights", "worst"] == "weights[Becker, floor]"


def test_slow_draws_are_named_with_the_number_of_draws_to_take() -> None:
    slow = autoregressive(0.95, (4, 1000))
    diagnosis = diagnose(with_posterior(make_tree(), noise_sd=(("chain", "draw"), slow)))
    bulk = diagnosis.table.loc["noise_sd", "ess_bulk"]
    assert f"bulk ESS {bulk:.0f} for noise_sd (1 below 400)" in diagnosis.verdict
    smallest = min(bulk, diagnosis.table.loc["noise_sd", "ess_tail"])
    advised = int(diagnosis.verdict.split(" draws=")[1])
    assert 0 <= advised - 1.2 * 400 / smallest * 1000 < 500


def test_hopeless_draws_are_not_answered_by_a_number() -> None:
    slow = np.cumsum(np.random.default_rng(1).normal(size=(4, 1000)), axis=1)
    verdict = diagnose(with_posterior(make_tree(), noise_sd=(("chain", "draw"), slow))).verdict
    assert "run much longer, or set tighter priors" in verdict


def test_one_hundred_effective_draws_per_chain_are_needed() -> None:
    tree = make_tree(chains=8, draws=85)
    assert "(7 below 800)" in diagnose(tree).verdict


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_broken_draw_fails(value: float) -> None:
    diagnosis = diagnose(changed(make_tree(), "weights", (1, 17, 0, 1), value))
    assert not diagnosis.passed
    assert "NaN or infinite draws of weights[Aitkin, x] (1 in all)" in diagnosis.problems[0]
    assert np.isnan(diagnosis.table.loc["weights", "ess_bulk"])


def test_draws_that_do_not_move_fail() -> None:
    diagnosis = diagnose(changed(make_tree(), "noise_sd", ..., 1.0))
    assert not diagnosis.passed
    assert "cannot be computed for noise_sd (1 in all)" in diagnosis.verdict


def test_a_broken_log_density_fails() -> None:
    tree = make_tree()
    lp = np.zeros((4, 1000))
    lp[2, 5] = np.nan
    tree["sample_stats"] = xr.DataTree(xr.Dataset({"lp": (("chain", "draw"), lp)}))
    assert "the log density is NaN or infinite in 1 draws" in diagnose(tree).verdict


def test_declared_constants_and_correlation_diagonals_are_exempt() -> None:
    rng = np.random.default_rng(2)
    correlation = np.ones((4, 1000, 2, 2))
    correlation[..., 0, 1] = correlation[..., 1, 0] = rng.uniform(-1, 1, (4, 1000))
    fixed = rng.normal(size=(4, 1000, 2))
    fixed[..., 1] = 3.0
    tree = with_posterior(
        make_tree(),
        feature_correlation=(("chain", "draw", "feature", "feature_bis"), correlation),
        sharing=(("chain", "draw"), np.zeros((4, 1000)), {"constant": 1}),
        population_sd=(("chain", "draw", "feature"), fixed, {"constant": json.dumps(["x"])}),
    )
    diagnosis = diagnose(tree)
    assert diagnosis.passed
    assert list(diagnosis.table["quantities"]) == [6, 1, 2, 0, 1]
    assert diagnosis.table.loc["sharing", "worst"] == ""


def test_borrowing_of_one_is_certain_and_other_constants_are_stuck() -> None:
    share = np.ones((4, 1000, 3))
    share[..., 1:] = np.random.default_rng(4).uniform(size=(4, 1000, 2))
    dims = ("chain", "draw", "task")
    assert diagnose(with_posterior(make_tree(), borrowing=(dims, share))).passed
    half = with_posterior(make_tree(), borrowing=(dims, np.minimum(share, 0.5)))
    assert "for borrowing[" in diagnose(half).verdict


def test_symmetric_matrices_count_once_and_rare_edges_not() -> None:
    rng = np.random.default_rng(3)
    matrix = rng.normal(size=(4, 1000, 2, 3, 3))
    matrix += np.swapaxes(matrix, -1, -2)
    edge = np.zeros((4, 1000, 3, 3), dtype=np.int8)
    edge[..., 1, 0] = edge[..., 0, 1] = rng.random((4, 1000)) < 0.4
    edge[2, 17, 2, 0] = edge[2, 17, 0, 2] = 1
    pair = ("node", "node_bis")
    tree = with_posterior(
        make_tree(),
        precision=(("chain", "draw", "part", *pair), matrix, {"symmetric": 1}),
        hollow=(
            ("chain", "draw", "part", *pair),
            matrix * (1 - np.eye(3)),
            {"symmetric": 1, "empty_diagonal": 1},
        ),
        edge=(
            ("chain", "draw", *pair),
            edge,
            {"symmetric": 1, "empty_diagonal": 1, "binary": 1},
        ),
    )
    diagnosis = diagnose(tree)
    assert diagnosis.passed
    counts = diagnosis.table["quantities"]
    assert counts[["precision", "hollow", "edge"]].tolist() == [12, 6, 1]


def test_a_declared_constant_must_be_finite() -> None:
    values = np.zeros((4, 1000))
    values[0, 0] = np.nan
    tree = with_posterior(make_tree(), sharing=(("chain", "draw"), values, {"constant": 1}))
    assert "NaN or infinite draws of sharing" in diagnose(tree).verdict


def test_a_fit_of_constants_has_nothing_to_check() -> None:
    posterior = xr.Dataset({"mu": (("chain", "draw"), np.ones((2, 500)), {"constant": 1})})
    diagnosis = diagnose(xr.DataTree.from_dict({"/posterior": posterior}))
    assert (
        diagnosis.verdict == "OK: nothing to estimate, everything is fixed (2 chains x 500 draws)"
    )


def test_one_chain_has_no_r_hat_and_says_so() -> None:
    diagnosis = diagnose(make_tree(chains=1))
    assert diagnosis.problems == ("R-hat is not available with one chain -> run chains=4",)
    assert "(1 chain x 1000 draws)" in diagnosis.verdict
    assert diagnosis.table["r_hat"].isna().all()
    assert (diagnosis.table["ess_bulk"] > 400).all()


def test_low_e_bfmi_names_the_chain() -> None:
    tree = make_tree()
    energy = np.random.default_rng(0).normal(size=(4, 1000))
    energy[2] = autoregressive(0.99, (1, 1000))[0]
    tree["sample_stats"] = xr.DataTree(xr.Dataset({"energy": (("chain", "draw"), energy)}))
    from arviz_stats.base.array import array_stats

    lowest = array_stats.bfmi(energy, chain_axis=0, draw_axis=1).min()
    assert f"E-BFMI {lowest:.2f} < 0.3 (chain 2)" in diagnose(tree).verdict


def test_an_incomplete_fit_is_called_so() -> None:
    tree = make_tree(incomplete=1)
    tree.attrs["inference"] = json.dumps({"method": "gibbs", "draws": 2000})
    diagnosis = diagnose(tree)
    assert not diagnosis.passed
    assert "the fit is incomplete: interrupted after 1000 of 2000 draws" in diagnosis.verdict


@pytest.mark.parametrize(
    ("pareto_k", "passed", "text"),
    [
        (None, False, "not known (no k-hat)"),
        (0.41, True, "k-hat 0.41"),
        (1.3, False, "far from the posterior (k-hat 1.30 > 0.7)"),
    ],
)
def test_an_approximation_is_named_and_judged_by_its_k_hat(
    pareto_k: float | None, passed: bool, text: str
) -> None:
    tree = make_tree(chains=1)
    tree.attrs["inference"] = json.dumps({"method": "advi", "pareto_k": pareto_k})
    diagnosis = diagnose(tree)
    assert diagnosis.passed is passed
    assert "APPROXIMATE: draws of advi, not of the posterior" in diagnosis.verdict
    assert text in diagnosis.verdict
    assert "R-hat" not in diagnosis.verdict  # its draws are independent


@pytest.mark.parametrize(
    ("pareto_k", "after", "co_clustering", "passed", "text"),
    [
        (
            None,
            1.6,
            0.04,
            True,
            "not of the posterior; Gibbs sweeps change co-clustering by 0.04 (",
        ),
        (0.41, 1.6, 0.1, True, "k-hat 0.41, Gibbs sweeps change co-clustering by 0.10 ("),
        (0.41, 2.1, 0.0, False, "a few Gibbs sweeps lead from 1.0 to 2.1 clusters on average and"),
        (0.41, 1.6, 0.2, False, "two tasks are together by 0.20 (1 chain"),
        (1.3, 1.6, 0.2, False, "k-hat 1.30 > 0.7); its partitions are too sure: a few"),
        (1.3, 1.6, 0.0, False, "k-hat 1.30 > 0.7) (1 chain"),
    ],
)
def test_an_approximation_of_clusters_is_judged_by_its_drift(
    pareto_k: float | None, after: float, co_clustering: float, passed: bool, text: str
) -> None:
    tree = make_tree(chains=1)
    drift = {
        "n_clusters": 1.0,
        "n_clusters_after": after,
        "standard_error": 0.2,
        "co_clustering": co_clustering,
    }
    record = {"method": "cavi", "pareto_k": pareto_k, "drift": drift}
    tree.attrs["inference"] = json.dumps(record)
    diagnosis = diagnose(tree)
    assert diagnosis.passed is passed
    assert text in diagnosis.verdict


def test_attributes_are_strict_json() -> None:
    tree = changed(make_tree(), "noise_sd", (0, 0), np.nan)
    attrs = diagnosis_attrs(tree)
    assert attrs["verdict"] == diagnose(tree).verdict
    details = json.loads(attrs["diagnostics"], parse_constant=pytest.fail)
    assert details["passed"] is False
    assert details["table"][1] == {
        "variable": "noise_sd",
        "quantities": 1,
        "r_hat": None,
        "ess_bulk": None,
        "ess_tail": None,
        "worst": "noise_sd",
    }


def test_what_is_not_a_fit_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="'posterior' is missing"):
        diagnose(xr.DataTree())
    with pytest.raises(InvalidDataError, match="has no draws"):
        diagnose(make_tree(draws=0))
    with pytest.raises(InvalidDataError, match="'mu' has the dimensions"):
        diagnose(with_posterior(make_tree(), mu=(("chain",), np.zeros(4))))


def test_thousands_of_quantities_take_about_a_second() -> None:
    draws = np.random.default_rng(0).normal(size=(4, 1000, 139, 27))
    posterior = xr.Dataset({"weights": (("chain", "draw", "task", "feature"), draws)})
    tree = xr.DataTree.from_dict({"/posterior": posterior})
    diagnose(make_tree())  # compiles
    start = time.perf_counter()
    diagnose(tree)
    assert time.perf_counter() - start < 4  # about 0.6 s alone; 10 s one by one


def with_clusters(tree: xr.DataTree, assignment: np.ndarray) -> xr.DataTree:
    dims, task = ("chain", "draw", "task"), ["Aitkin", "Anoka", "Becker"]
    group = xr.Dataset({"assignment": (dims, assignment)}, {"task": task})
    tree["clusters"] = xr.DataTree(group)
    return tree


def test_undecided_pairs_are_diagnosed_and_labels_are_not() -> None:
    labels = np.random.default_rng(4).integers(0, 2, (4, 1000, 3)).astype(np.int32)
    labels[..., 1] = labels[..., 0]  # always together: nothing can be said of their mixing
    diagnosis = diagnose(with_clusters(make_tree(), labels))
    assert diagnosis.passed
    assert diagnosis.table.loc["coclustering", "quantities"] == 2
    assert list(diagnosis.table.index) == ["weights", "noise_sd", "coclustering"]


def test_chains_with_other_clusters_fail_whatever_the_labels() -> None:
    labels = np.zeros((4, 1000, 3), dtype=np.int32)
    labels[2:, :, 2] = 1
    diagnosis = diagnose(with_clusters(make_tree(), labels))
    assert "R-hat above 100 for coclustering[Aitkin, Becker] (2 not" in diagnosis.verdict
    assert diagnosis.table.loc["coclustering", "r_hat"] > 1e6
    same = np.random.default_rng(4).integers(0, 2, (4, 1000, 3)).astype(np.int32)
    swapped = same.copy()
    swapped[:2] = 1 - same[:2]
    assert diagnose(with_clusters(make_tree(), swapped)).passed


def test_settled_clusters_are_no_failure() -> None:
    tree = with_posterior(make_tree(), n_clusters=(("chain", "draw"), np.ones((4, 1000), int)))
    diagnosis = diagnose(with_clusters(tree, np.zeros((4, 1000, 3), dtype=np.int32)))
    assert diagnosis.passed
    assert diagnosis.table.loc[["n_clusters", "coclustering"], "quantities"].tolist() == [0, 0]


def test_the_least_decided_pairs_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    labels = (rng.random((4, 1000, 3)) < [0.0, 0.1, 0.5]).astype(np.int32)
    monkeypatch.setattr(quantities, "MAX_PAIRS", 2)
    tree = with_clusters(make_tree(), labels)
    found = quantities.check_pairs(tree["clusters"].to_dataset()["assignment"])
    assert {found.label(0), found.label(1)} == {
        "coclustering[Aitkin, Becker]",
        "coclustering[Anoka, Becker]",
    }
    monkeypatch.setattr(quantities, "MAX_TASKS", 2)
    found = quantities.check_pairs(tree["clusters"].to_dataset()["assignment"])
    assert [found.label(i) for i in range(found.place.size)] == ["coclustering[Aitkin, Becker]"]


def test_constants_are_known_by_dates_in_any_unit() -> None:
    days = np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[s]")
    values = np.random.default_rng(3).normal(size=(4, 1000, 2))
    values[..., 1] = 1.0
    attrs = {"constant": json.dumps(["2020-01-02"])}
    posterior = xr.Dataset({"task_sd": (("chain", "draw", "task"), values, attrs)}, {"task": days})
    table = diagnose(xr.DataTree.from_dict({"posterior": posterior})).table
    assert table.loc["task_sd", "quantities"] == 1
    assert table.loc["task_sd", "worst"] == "task_sd[2020-01-01]"
