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
from scipy import stats

from benchmarks import __main__ as command
from benchmarks import clusters, partitions, scaling, school, speed
from benchmarks.baselines import BASELINES, Rows, cross_validated, explained_variance
from benchmarks.data import Example, clustered, read_school, school_like
from benchmarks.effective import correlation_elements, mixing
from benchmarks.peers import mcmcpack, nuts, stick_breaking
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
    result = nuts.NutsRun(10.0, 400.0, 50, 100, 2, False, 15.0, 0.25, found)
    effective = max(found.ess, found.ess_apart)
    # 100 + 100 steps of two chains at once take 50 s.
    assert result.extrapolated_rate == pytest.approx(effective / 50.0)
    assert result.rate == result.extrapolated_rate
    assert result._replace(complete=True).rate == pytest.approx(found.ess / 400.0)


@pytest.mark.mcmc
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
    for columns in (clusters.SWEEP_COLUMNS, clusters.MIXING_COLUMNS):
        assert header(text, columns)
    for columns in (partitions.OWN_COLUMNS, partitions.SPEED_COLUMNS):
        assert header(text, columns)
    assert "Rats: partition of least expected VI" in text


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


@pytest.mark.mcmc
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
        "no benchmark 'sped'; there are speed, scaling, school, clusters" in capsys.readouterr().err
    )
