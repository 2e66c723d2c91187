"""Benchmarks at tiny sizes: they run and print the stated columns."""

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import optimize, stats
from scipy.special import expit, logsumexp

from benchmarks import __main__ as command
from benchmarks import (
    clusters,
    counts,
    intervals,
    landmine,
    mixed,
    overconfidence,
    partitions,
    scaling,
    school,
    speed,
)
from benchmarks.baselines import BASELINES, Rows, cross_validated, explained_variance
from benchmarks.data import (
    Example,
    clustered,
    generalised,
    read_digits,
    read_landmine,
    read_school,
    school_like,
    standardised,
)
from benchmarks.effective import correlation_elements, mixing
from benchmarks.logistic_baselines import LOGISTIC_BASELINES, POOLED, SINGLE, log_loss, mean_auc
from benchmarks.peers import logistic, mcmcpack, nuts, polya_gamma, stick_breaking
from benchmarks.reporting import machine, print_table, resident_bytes

TINY = speed.SpeedSettings(
    n_tasks=6,
    n_features=3,
    n_rows=120,
    draws=50,
    tune=20,
    chains=2,
    repeats=1,
    peers=False,
    pack_tune=20,
    pack_draws=30,
    school=False,
)


TINY_CLUSTERS = clusters.ClustersSettings(
    n_tasks=8,
    n_features=2,
    n_rows=160,
    n_clusters=2,
    weight_sd=0.3,
    draws=50,
    tune=20,
    chains=2,
    repeats=1,
    peers=False,
    n_sticks=4,
    nuts_lengths=((30, 400),),
    sweep_tasks=20,
    sweep_features=2,
    sweep_rows=100,
    sweep_clusters=3,
    sweep_counts=(1, 3),
    school=False,
)


TINY_LANDMINE = landmine.LandmineSettings(
    collections=(landmine.Collection("3 tasks", (1, 2, 20), 0.5, 0.6),),
    row_draws=1,
    train_rows=20,
    short_draws=20,
    short_tune=20,
    draws=30,
    tune=30,
    chains=2,
    repeats=1,
    peers=False,
)


TINY_COUNTS = counts.CountsSettings(
    n_rows=300,
    n_features=2,
    share=0.1,
    draws=100,
    tune=100,
    chains=2,
    digit_rows=5,
    digit_components=2,
    digit_draws=20,
    digit_tune=20,
)


def header(text: str, columns: tuple[str, ...]) -> bool:
    """Whether a line holds the names of the columns in order."""
    pattern = r"\s+".join(re.escape(name) for name in columns if name)
    return re.search(pattern, text) is not None


def test_simulated_data_have_the_sizes_asked_for() -> None:
    example = school_like(7, 3, 200, seed=3)
    assert example.frame.shape == (200, 5)
    assert example.frame["task"].nunique() == 7
    assert example.frame["task"].value_counts().nunique() > 3
    again = school_like(7, 3, 200, seed=3).frame
    pd.testing.assert_frame_equal(example.frame, again)


def test_school_has_its_published_sizes(shared_data: Path) -> None:
    example = read_school(shared_data)
    assert example is not None
    assert len(example.frame) == 15_362
    assert example.frame["task"].nunique() == 139
    assert len(example.features) == 27


def test_no_school_without_its_file(tmp_path: Path) -> None:
    assert read_school(tmp_path) is None


def test_mixing_finds_the_worst_quantity() -> None:
    rng = np.random.default_rng(0)
    slow = np.cumsum(rng.normal(size=(2, 400)), axis=1)
    found = mixing({"free": rng.normal(size=(2, 400, 3)), "slow": slow})
    assert found.worst == "slow"
    assert found.n_quantities == 4
    assert found.ess < 60
    assert found.rhat > 1.05


def test_mixing_of_chains_apart_ignores_their_disagreement() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(2, 500)) + np.array([[0.0], [5.0]])
    found = mixing({"shifted": values})
    assert found.ess < 10
    assert found.ess_apart > 500


def test_correlation_elements_are_those_below_the_diagonal() -> None:
    values = np.arange(9.0).reshape(1, 1, 3, 3)
    np.testing.assert_array_equal(correlation_elements(values)[0, 0], [3, 6, 7])


def test_speed_prints_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    speed.run(TINY)
    text = capsys.readouterr().out
    assert "6 tasks x 3 features x 120 rows" in text
    assert header(text, speed.COLUMNS)
    assert "default (Huang-Wand)" in text
    assert "peer's priors (LKJ)" in text


def test_extrapolation_takes_tuning_at_the_cost_of_draws() -> None:
    found = mixing({"x": np.random.default_rng(0).normal(size=(2, 100))})
    result = nuts.NutsRun(10.0, 400.0, 50, 100, 2, False, 15.0, 0.25, 800.0, found)
    effective = max(found.ess, found.ess_apart)
    # 100 + 100 steps of two chains at once take 50 s.
    assert result.extrapolated_rate == pytest.approx(effective / 50.0)
    assert result.rate == result.extrapolated_rate
    assert result._replace(complete=True).rate == pytest.approx(found.ess / 400.0)


@pytest.mark.calibration
@pytest.mark.filterwarnings("ignore")  # of the peer's compilation
def test_pymc_runs_in_its_time_box() -> None:
    example = school_like(TINY.n_tasks, TINY.n_features, TINY.n_rows)
    result = nuts.run_nuts(example, tune=30, draws=40, chains=2, cores=2, limit=300.0, seed=1)
    assert result is not None
    assert (result.draws, result.chains, result.mixing.n_quantities) == (40, 2, 3 + 3 + 3 + 1)
    assert result.seconds_per_draw > 0


@pytest.mark.mcmc
def test_mcmcpack_runs_where_it_is_installed() -> None:
    missing = mcmcpack.mcmcpack_missing()
    if missing is not None:
        pytest.skip(missing)
    example = school_like(TINY.n_tasks, TINY.n_features, TINY.n_rows)
    result = mcmcpack.run_mcmcpack(example, tune=50, draws=100, chains=2, seed=1)
    assert result.mixing.n_quantities == 3 + 3 + 3 + 1
    assert result.seconds > 0


def test_mcmcpack_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert mcmcpack.mcmcpack_missing() == "Rscript is not on the path"
    failed: subprocess.CompletedProcess[str] = subprocess.CompletedProcess(["Rscript"], 1)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: failed)
    assert mcmcpack.mcmcpack_missing() == "R has no package MCMCpack"


def test_scaling_prints_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    settings = scaling.ScalingSettings(
        task_counts=(10,),
        rows_per_task=5,
        n_features=2,
        row_counts=(100,),
        row_tasks=5,
        row_features=2,
        short=1,
        long=3,
        row_long=3,
        repeats=1,
        separate=False,
    )
    scaling.run(settings)
    text = capsys.readouterr().out
    assert header(text, scaling.TASK_COLUMNS)
    assert header(text, scaling.ROW_COLUMNS)


def test_clusters_have_the_same_weights_in_all_their_tasks() -> None:
    example = clustered(6, 3, 6000, n_clusters=2, sd=5.0, seed=1)
    assert example.frame.shape == (6000, 5)
    assert example.frame["task"].nunique() == 6
    sums = stick_breaking.task_sums(example)
    assert sums.rows.sum() == 6000
    weights = []
    for _, rows in example.frame.groupby("task"):
        if len(rows) > 100:
            x = rows[list(example.features)].to_numpy()
            weights.append(np.linalg.lstsq(x, rows["y"].to_numpy())[0])
    apart = [np.linalg.norm(weight - weights[0]) for weight in weights]
    assert max(apart) > 5.0
    assert all(distance < 0.5 or distance > 5.0 for distance in apart)


def test_clusters_print_their_columns(capsys: pytest.CaptureFixture[str]) -> None:
    clusters.run(TINY_CLUSTERS)
    text = capsys.readouterr().out
    assert "8 tasks x 2 features x 160 rows, 2 overlapping clusters" in text
    assert header(text, clusters.SWEEP_COLUMNS)
    assert header(text, clusters.MIXING_COLUMNS)
    assert header(text, partitions.OWN_COLUMNS)
    assert header(text, partitions.SPEED_COLUMNS)
    assert "Rats: partition of least expected VI" in text


def test_overconfidence_prints_its_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    only = {"DirichletProcess": overconfidence.RELATIONS["DirichletProcess"]}
    monkeypatch.setattr(overconfidence, "RELATIONS", only)
    settings = overconfidence.OverconfidenceSettings(n_tasks=(5,), sds=(0.1,), data_sets=1)
    overconfidence.run(settings)
    text = capsys.readouterr().out
    assert header(text, overconfidence.COLUMNS)
    one, every = re.findall(r"(?:DirichletProcess +0.1|all +-) +(.+)", text)
    # With so little data the clusters are those of the prior, of which one is the only good bound.
    assert one == every
    assert "0 of 1" in one
    assert "1 of 1" in one


def test_intervals_print_both_methods(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    only = {"LowRank": intervals.RELATIONS["LowRank"]}
    monkeypatch.setattr(intervals, "RELATIONS", only)
    intervals.run(intervals.IntervalSettings(features=3, rows=6, data_sets=1, draws=40))
    text = capsys.readouterr().out
    assert header(text, intervals.COLUMNS)
    assert header(text, intervals.FIT_COLUMNS)
    assert re.findall(r"LowRank +(0.8|0|-0.8) ", text) == ["0.8", "0", "-0.8"]
    assert re.search(r"LowRank .* of 1\n", text)


def test_sums_of_tasks_give_the_likelihood_of_their_rows() -> None:
    example = clustered(5, 3, 80, n_clusters=2, sd=1.0)
    beta = np.random.default_rng(1).normal(size=(4, 3))
    sums = stick_breaking.task_sums(example)
    found = stick_breaking.log_likelihood(sums, beta, 0.7, np.log)
    mean = example.frame[list(example.features)].to_numpy() @ beta.T
    rows = stats.norm.logpdf(example.frame[["y"]].to_numpy(), mean, 0.7)
    expected = pd.DataFrame(rows).groupby(example.frame["task"]).sum().to_numpy().T
    constant = 0.5 * np.log(2.0 * np.pi) * sums.rows
    np.testing.assert_allclose(found - constant, expected, rtol=1e-10)


def test_labels_have_the_probabilities_of_their_components() -> None:
    sums = stick_breaking.task_sums(clustered(4, 2, 20, n_clusters=2, sd=0.3))
    rng = np.random.default_rng(2)
    beta, log_stick = 0.3 * rng.normal(size=(3, 2)), np.log([0.5, 0.3, 0.2])
    n_draws = 20_000
    posterior = xr.Dataset(
        {
            "beta": (("chain", "draw", "k", "j"), np.tile(beta, (1, n_draws, 1, 1))),
            "log_stick": (("chain", "draw", "k"), np.tile(log_stick, (1, n_draws, 1))),
            "noise_sd": (("chain", "draw"), np.ones((1, n_draws))),
        }
    )
    labels = stick_breaking.draw_labels(sums, posterior, 1)[0]
    shares = (labels[:, :, None] == np.arange(3)).mean(axis=0)
    value = log_stick[:, None] + stick_breaking.log_likelihood(sums, beta, 1.0, np.log)
    weight = np.exp(value - value.max(axis=0))
    np.testing.assert_allclose(shares, (weight / weight.sum(axis=0)).T, atol=0.02)


@pytest.mark.calibration
@pytest.mark.filterwarnings("ignore")  # of the peer's compilation
def test_stick_breaking_agrees_with_ours(capsys: pytest.CaptureFixture[str]) -> None:
    clusters.compare(dataclasses.replace(TINY_CLUSTERS, peers=True, draws=400))
    text = capsys.readouterr().out
    found = re.search(r"clusters: ours (\S+), theirs (\S+) \(by", text)
    assert found is not None
    ours, theirs = (float(value) for value in found.groups())
    assert ours == pytest.approx(theirs, abs=0.8)
    assert re.search(r"^PyMC, nutpie +\S+ +\S+ +\S+ +100 +30\+400 draws$", text, re.MULTILINE)


@pytest.fixture
def small_example() -> Example:
    example = school_like(8, 3, 240, seed=2)
    split = np.random.default_rng(0).random(240) < 0.75
    return example._replace(frame=example.frame.assign(train1=split.astype(int)))


def test_school_prints_its_columns(
    small_example: Example, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = school.SchoolSettings(draws=40, tune=40)
    school.compare(small_example, ("train1",), settings)
    text = capsys.readouterr().out
    assert header(text, school.COLUMNS)
    for name in (*school.OURS, *BASELINES):
        assert re.search(rf"^{re.escape(name)}  +-?\d", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_beat_the_mean(name: str, small_example: Example) -> None:
    frame = small_example.frame
    rows = Rows(
        frame[list(small_example.features)].to_numpy(),
        frame["y"].to_numpy() + 3.0 * frame["task"].to_numpy() % 5,
        frame["task"].to_numpy(),
    )
    inside = frame["train1"].to_numpy() == 1
    predict, candidates = BASELINES[name]
    test = rows.take(~inside)
    predicted, best = cross_validated(predict, candidates, rows.take(inside), test, 1)
    assert best in candidates
    assert explained_variance(test.response, predicted) > 5.0


def test_mean_regularised_ridge_minimises_its_objective(small_example: Example) -> None:
    """Against one dense ridge regression on shared and own columns."""
    frame = small_example.frame
    x = frame[list(small_example.features)].to_numpy()
    task = frame["task"].to_numpy()
    rows = Rows(x, frame["y"].to_numpy(), task)
    shared, own = 2.0, 5.0
    predict, _ = BASELINES["mean-regularised multi-task ridge"]
    z = np.column_stack([np.ones(len(x)), (x - x.mean(axis=0)) / x.std(axis=0)])
    indicator = task[:, None] == np.arange(8)
    wide = np.column_stack([z, *(z * indicator[:, [t]] for t in range(8))])
    penalty = np.concatenate([[1e-6], np.full(3, shared), np.full(32, own)])
    center = rows.response.mean()
    weights = np.linalg.solve(wide.T @ wide + np.diag(penalty), wide.T @ (rows.response - center))
    np.testing.assert_allclose(
        predict(rows, rows, shared, own), center + wide @ weights, rtol=1e-8, atol=1e-8
    )


@pytest.fixture(scope="module")
def mines() -> Example:
    rng = np.random.default_rng(4)
    task = np.repeat([1, 2, 15, 20, 29], 50)
    x = rng.normal(size=(250, 2))
    eta = np.where(task < 16, 3.0, -3.0) * x[:, 0] - 0.5
    frame = pd.DataFrame({"task": task, "x1": x[:, 0], "x2": x[:, 1]})
    frame["y"] = (rng.random(250) < expit(eta)).astype(int)
    return Example("Landmine", frame, ("x1", "x2"))


def test_landmine_and_digits_have_their_published_sizes(shared_data: Path) -> None:
    example = read_landmine(shared_data)
    assert example is not None
    assert example.frame.shape == (14_820, 2 + len(example.features))
    assert example.frame["y"].sum() == 904
    tasks = [set(collection.tasks) for collection in landmine.LandmineSettings().collections]
    assert [len(some) for some in tasks] == [19, 29]
    assert tasks[0] < tasks[1] == set(example.frame["task"])
    found = read_digits(shared_data)
    assert found is not None
    assert (len(found.frame), len(found.features)) == (2000, 87)
    assert set(found.frame["split"]) == {"train", "valid", "test"}


def test_no_landmine_without_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert read_landmine(tmp_path) is None
    assert read_digits(tmp_path) is None
    monkeypatch.setattr(landmine, "read_landmine", lambda: None)
    monkeypatch.setattr(counts, "read_digits", lambda: None)
    landmine.run(TINY_LANDMINE)
    counts.run(dataclasses.replace(TINY_COUNTS, parts=("digits",)))
    assert capsys.readouterr().out.splitlines() == [
        "Landmine: skipped, ../shared/data/landmine.csv.gz is not there",
        "MNIST: skipped, ../shared/data/mnist_digits.csv.gz is not there",
    ]


def test_rows_are_drawn_from_each_task(mines: Example) -> None:
    chosen = landmine.rows_per_task(mines.frame, 7, np.random.default_rng(1))
    assert (mines.frame[chosen]["task"].value_counts() == 7).all()
    other = landmine.rows_per_task(mines.frame, 7, np.random.default_rng(2))
    assert (chosen != other).any()


def test_landmine_prints_its_columns(
    mines: Example, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landmine, "read_landmine", lambda: mines)
    landmine.run(TINY_LANDMINE)
    text = capsys.readouterr().out
    assert header(text, landmine.ACCURACY_COLUMNS)
    for name in (*landmine.OURS, *LOGISTIC_BASELINES):
        assert re.search(rf"^{re.escape(name)}  +0\.\d{{4}}  ", text, flags=re.MULTILINE), name
    assert header(text, landmine.OWN_COLUMNS)
    assert header(text, partitions.OWN_COLUMNS)
    assert header(text, landmine.TERRAIN_COLUMNS)
    assert "equal weights: 1 2 15; 20 29" in text
    assert re.search(r"^equal weights +2 +1 +0 ", text, flags=re.MULTILINE)


def test_parts_run_alone(capsys: pytest.CaptureFixture[str]) -> None:
    counts.run(dataclasses.replace(TINY_COUNTS, parts=("poisson",)))
    assert re.findall(r"^== (\w+)", capsys.readouterr().out, flags=re.MULTILINE) == ["counts"]


def test_mixed_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    settings = mixed.MixedSettings(
        replicates=2, n_rows=20, n_features=2, draws=30, tune=30, chains=1, seed=3
    )
    mixed.run(settings)
    text = capsys.readouterr().out
    assert len(re.findall(r"^== tasks of different kinds", text, flags=re.MULTILINE)) == 2
    assert header(text, mixed.COLUMNS)
    for how in ("together, bm.Exchangeable()", "each alone, bm.Exchangeable()"):
        found = re.findall(
            rf"^{re.escape(how)}( +\d\.\d{{3}} ± \d\.\d{{3}}){{4}} +\d+%", text, re.M
        )
        assert len(found) == 2


def mine_rows(example: Example) -> Rows:
    frame = example.frame
    codes = np.unique(frame["task"], return_inverse=True)[1]
    return Rows(frame[list(example.features)].to_numpy(), frame["y"].to_numpy(), codes)


def test_a_task_without_ones_is_predicted_by_a_constant(mines: Example) -> None:
    rows = mine_rows(mines)
    none = rows._replace(response=np.where(rows.task == 0, 0, rows.response))
    predict, _ = LOGISTIC_BASELINES[SINGLE]
    predicted = predict(none, none, 1.0)
    assert np.unique(predicted[rows.task == 0]).tolist() == [none.response.mean()]
    assert mean_auc(rows.response, predicted, rows.task) < 0.95
    alone = rows.task == 0
    assert mean_auc(rows.response[alone], predicted[alone], rows.task[alone]) == 0.5


def test_tasks_that_differ_need_their_own_weights(mines: Example) -> None:
    rows = mine_rows(mines)
    area = {
        name: mean_auc(rows.response, predict(rows, rows, *candidates[-1]), rows.task)
        for name, (predict, candidates) in LOGISTIC_BASELINES.items()
    }
    assert area.pop(POOLED) < 0.7
    assert min(area.values()) > 0.9


def test_mean_regularised_logistic_minimises_its_objective(mines: Example) -> None:
    """Against a general minimiser on dense shared and own columns."""
    rows = mine_rows(mines)
    shared, own = 0.3, 0.1
    predict = LOGISTIC_BASELINES["mean-regularised multi-task ridge-logistic"][0]
    z = (rows.features - rows.features.mean(axis=0)) / rows.features.std(axis=0)
    ones = np.column_stack([np.ones(250), z])
    wide = np.column_stack(
        [ones, *(ones * (rows.task == t)[:, None] for t in range(rows.task.max() + 1))]
    )
    penalty = np.concatenate([[0.0], np.full(2, 1 / shared), np.full(15, 1 / own)])

    def objective(weights: np.ndarray) -> tuple[float, np.ndarray]:
        eta = wide @ weights
        value = np.logaddexp(0.0, eta).sum() - rows.response @ eta
        slope = wide.T @ (expit(eta) - rows.response) + penalty * weights
        return value + 0.5 * penalty @ weights**2, slope

    best = optimize.minimize(objective, np.zeros(18), jac=True, options={"gtol": 1e-8})
    np.testing.assert_allclose(
        predict(rows, rows, shared, own), expit(wide @ best.x), rtol=0.02, atol=0.002
    )


def test_log_loss_counts_both_kinds() -> None:
    found = log_loss(np.array([1, 0, 1]), np.array([0.5, 0.2, 1.0]))
    assert found == pytest.approx(-np.log(0.5) - np.log(0.8))


@pytest.mark.filterwarnings("ignore")  # of the peer's compilation
def test_logistic_peers_have_the_stated_densities(mines: Example) -> None:
    rng = np.random.default_rng(3)
    frame = standardised(mines).frame
    x, y = frame[["x1", "x2"]].to_numpy(), frame["y"].to_numpy()
    codes = np.unique(frame["task"], return_inverse=True)[1]

    def log_likelihood(intercept: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return stats.bernoulli.logpmf(y, expit(intercept + (x * weights).sum(axis=1)))

    model = logistic.hierarchy(standardised(mines), mean_sd=2.5, sd_scale=1.0)
    start = model.initial_point()
    point = {name: rng.normal(size=value.shape) for name, value in start.items()}
    found = model.compile_logp(vars=[model["y"]], mode="FAST_COMPILE")(point)
    sd, sd0 = np.exp(point["sd_log__"]), np.exp(point["intercept_sd_log__"])
    weights = point["mu"] + sd * point["z"]
    intercept = point["intercept_mean"] + sd0 * point["z_intercept"]
    assert found == pytest.approx(log_likelihood(intercept[codes], weights[codes]).sum())

    tasks = logistic.logistic_tasks(standardised(mines))
    model = logistic.logistic_sticks(tasks, n_sticks=4, weight_sd=1.5)
    start = model.initial_point()
    point = {name: rng.normal(size=value.shape) for name, value in start.items()}
    found = model.compile_logp(vars=[model["rows"]], mode="FAST_COMPILE")(point)
    stick = np.append(expit(point["stick_logodds__"]), 1.0)
    log_stick = np.log(stick * np.cumprod(np.append(1.0, 1.0 - stick[:-1])))
    beta = 1.5 * point["z"]
    each = np.stack([log_likelihood(b[0], b[1:]) for b in beta])
    value = np.stack([np.bincount(codes, one) for one in each])
    assert found == pytest.approx(logsumexp(log_stick[:, None] + value, axis=0).sum())


def test_logistic_labels_have_the_probabilities_of_their_components(mines: Example) -> None:
    tasks = logistic.logistic_tasks(mines)
    beta, log_stick = np.random.default_rng(2).normal(size=(3, 3)), np.log([0.5, 0.3, 0.2])
    beta = 0.3 * beta
    n_draws = 20_000
    posterior = xr.Dataset(
        {
            "beta": (("chain", "draw", "k", "j"), np.tile(beta, (1, n_draws, 1, 1))),
            "log_stick": (("chain", "draw", "k"), np.tile(log_stick, (1, n_draws, 1))),
        }
    )
    labels = logistic.draw_logistic_labels(tasks, posterior, 1)[0]
    shares = (labels[:, :, None] == np.arange(3)).mean(axis=0)
    x = np.insert(mines.frame[["x1", "x2"]].to_numpy(), 0, 1.0, axis=1)
    rows = stats.bernoulli.logpmf(mines.frame[["y"]].to_numpy(), expit(x @ beta.T))
    value = log_stick + pd.DataFrame(rows).groupby(mines.frame["task"]).sum().to_numpy()
    np.testing.assert_allclose(shares, np.exp(value - logsumexp(value, axis=1)[:, None]), atol=0.02)


@pytest.mark.parametrize(("family", "share"), [("bernoulli", 0.01), ("poisson", 0.3)])
def test_rare_events_and_counts_have_their_mean(family: str, share: float) -> None:
    example = generalised(20_000, 3, share=share, family=family)
    assert example.frame["y"].mean() == pytest.approx(share, rel=0.2)
    assert set(example.frame["y"]) >= {0, 1}


def test_counts_print_their_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"digit": np.tile([0, 1, 2], 40), "split": "train"})
    frame.loc[60:, "split"] = "test"
    for j in range(3):
        frame[f"x{j + 1}"] = 4.0 * (frame["digit"] == j) + rng.normal(size=120)
    pictures = Example("MNIST", frame, ("x1", "x2", "x3"))
    monkeypatch.setattr(counts, "read_digits", lambda: pictures)
    monkeypatch.setattr(counts, "polya_gamma_missing", lambda: "it is not there")
    counts.run(TINY_COUNTS)
    text = capsys.readouterr().out
    assert header(text, counts.SWEEP_COLUMNS)
    assert header(text, counts.DIGIT_COLUMNS)
    assert "Polya-Gamma: skipped, it is not there" in text
    assert "3 tasks, 15 training rows (at most 5 a digit), 2 principal components" in text
    accuracy = re.findall(r"^(?:bayesmtl|scikit).*?  +(\d+\.\d) ", text, flags=re.MULTILINE)
    assert len(accuracy) == 3
    assert min(map(float, accuracy)) > 70


def test_polya_gamma_agrees_with_ours_where_it_is_installed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    if polya_gamma.polya_gamma_missing() is not None:
        pytest.skip("needs the package polyagamma")
    counts.logistic(dataclasses.replace(TINY_COUNTS, draws=1000))
    text = capsys.readouterr().out
    found = re.findall(r"(-?\d+\.\d\d) ± (\d+\.\d\d)", text)
    assert len(found) == 3
    means, sds = np.array(found, dtype=float).T
    assert np.ptp(means) < 0.5 * sds.min()


def test_explained_variance_is_about_the_test_mean() -> None:
    y = np.array([1.0, 2.0, 6.0])
    assert explained_variance(y, np.full(3, 3.0)) == pytest.approx(0.0)
    assert explained_variance(y, y) == pytest.approx(100.0)


def test_machine_and_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert re.search(r"\d+ cores, \d+ GiB, load \d", machine())
    assert "pymc 6" in machine()
    assert resident_bytes(peak=True) >= resident_bytes() > 1e6
    print_table(("name", "value"), [("a", 12345.0), ("b", float("nan")), ("c", 0.12345)])
    assert capsys.readouterr().out.split() == [
        *("name", "value", "----", "------", "a", "12,345", "b", "-", "c", "0.123")
    ]


def test_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["sped"])
    assert (
        "no benchmark 'sped'; there are speed, scaling, school, clusters, "
        "overconfidence, landmine, counts, mixed, covariance, correlated, intervals"
        in capsys.readouterr().err
    )
