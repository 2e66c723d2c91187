"""Benchmarks of correlated tasks at tiny sizes."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from benchmarks import correlated, covariance, scaling
from benchmarks.data import (
    Example,
    read_computer,
    read_parkinsons,
    read_sarcos,
)
from benchmarks.data import correlated as correlated_tasks
from benchmarks.peers.matrix_normal import matrix_normal

TINY = covariance.CovarianceSettings(
    graphs=((3, 1, "1 s"),),
    n_tasks=3,
    n_features=3,
    rows_per_task=12,
    noise_sds=(1.0,),
    draws=60,
    tune=40,
    chains=2,
    repeats=1,
    peers=False,
    nuts_length=(60, 60),
    sweep_tasks=15,
    sweep_features=3,
    sweep_rows=6,
    sweep_counts=(1, 3),
    school=False,
)
TINY_ACCURACY = correlated.CorrelatedSettings(n_splits=2, draws=20, tune=20)


def header(text: str, columns: tuple[str, ...]) -> bool:
    """Whether a line holds the names of the columns in order."""
    pattern = r"\s+".join(re.escape(name) for name in columns)
    return re.search(pattern, text) is not None


def test_simulated_tasks_correlate_with_both_signs() -> None:
    example = correlated_tasks(6, 40, 200, seed=1)
    assert example.frame.shape == (1200, 42)
    assert (example.frame["task"].value_counts() == 200).all()
    weights = []
    for _, rows in example.frame.groupby("task"):
        x = np.insert(rows[list(example.features)].to_numpy(), 0, 1.0, axis=1)
        weights.append(np.linalg.lstsq(x, rows["y"].to_numpy())[0][1:])
    found = np.corrcoef(weights - np.mean(weights, axis=0))[np.tril_indices(6, k=-1)]
    assert found.max() > 0.4
    assert found.min() < -0.4
    pd.testing.assert_frame_equal(example.frame, correlated_tasks(6, 40, 200, seed=1).frame)


def test_covariance_prints_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    covariance.run(TINY)
    text = capsys.readouterr().out
    assert header(text, covariance.RATE_COLUMNS)
    assert "3 tasks x 3 features x 12 rows a task" in text
    assert header(text, covariance.SWEEP_COLUMNS)
    low_rank = r'^simulated, MatrixNormal\("low_rank"\) +15 +3 +\S+ +\S+ +1,000 ms'
    assert re.search(low_rank, text, flags=re.MULTILINE)
    assert re.search(r"^simulated, SparseGraph\(\) +3 +4 ", text, flags=re.MULTILINE)


def test_covariance_parts_run_alone(capsys: pytest.CaptureFixture[str]) -> None:
    covariance.run(dataclasses.replace(TINY, parts=("sweeps",)))
    assert len(re.findall("^==", capsys.readouterr().out, flags=re.MULTILINE)) == 1


@pytest.mark.calibration
@pytest.mark.filterwarnings("ignore")  # of the peer's compilation
def test_covariance_compares_with_nuts(capsys: pytest.CaptureFixture[str]) -> None:
    covariance.rates(dataclasses.replace(TINY, peers=True, draws=1000, nuts_length=(300, 500)), 0.5)
    text = capsys.readouterr().out
    for name in ("PyMC, LKJ(1), by hand", "our graph"):
        assert re.search(rf"^{re.escape(name)}( +\d\S*){{9}}$", text, flags=re.MULTILINE)
    apart = re.search(r"at most (\d\.\d\d) \(same priors\)", text)
    assert apart is not None
    assert float(apart.group(1)) < 0.2


@pytest.mark.filterwarnings("ignore")  # of the peer's compilation
def test_matrix_normal_has_the_stated_density() -> None:
    example = correlated_tasks(3, 2, 4)
    rng = np.random.default_rng(2)
    model = matrix_normal(example)
    point = {name: 0.3 * rng.normal(size=v.shape) for name, v in model.initial_point().items()}
    found = model.compile_logp(vars=[model["y"]], mode="FAST_COMPILE")(point)

    x = example.frame[list(example.features)].to_numpy()
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y = example.frame["y"].to_numpy()
    y = (y - y.mean()) / y.std()
    root = np.zeros((3, 3))
    root[np.tril_indices(3)] = point["cov_cholesky-cov-packed__"]
    np.fill_diagonal(root, np.exp(np.diag(root)))
    weights = point["mu"] + (root @ point["z"]) * np.exp(point["sd_log__"])
    intercept = point["intercept_mean"] + np.exp(point["intercept_sd_log__"]) * point["z_intercept"]
    task = example.frame["task"].to_numpy()
    mean = intercept[task] + (x * weights[task]).sum(axis=1)
    noise_sd = np.exp(point["noise_sd_log__"])
    assert found == pytest.approx(stats.norm.logpdf(y, mean, noise_sd).sum())


def test_sweep_time_is_positive() -> None:
    example = correlated_tasks(4, 2, 10)
    model = covariance.model_of(example, covariance.LOW_RANK)
    problem = model.prepare(example.frame).problem
    found = scaling.sweep_seconds(problem, model.likelihood, short=1, long=40, chains=1, repeats=1)
    assert min(found) > 0.0


def test_data_have_their_published_sizes(shared_data: Path) -> None:
    for read, rows, tasks, features in (
        (read_sarcos, 7 * 4449, 7, 21),
        (read_parkinsons, 5875, 42, 15),
        (read_computer, 3800, 190, 13),
    ):
        example = read(shared_data)
        assert example is not None
        assert len(example.frame) == rows
        assert example.frame["task"].nunique() == tasks
        assert len(example.features) == features
        assert np.isfinite(example.frame[[*example.features, "y"]].to_numpy(dtype=float)).all()
        x = example.frame[list(example.features)].astype(float)
        assert np.linalg.matrix_rank(np.corrcoef(x.T), tol=1e-6) == features
        assert all(re.fullmatch(r"\w+", name) for name in example.features)


def test_no_data_without_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert read_sarcos(tmp_path) is read_parkinsons(tmp_path) is read_computer(tmp_path) is None
    gone = {name: one._replace(read=lambda: None) for name, one in correlated.COLLECTIONS.items()}
    monkeypatch.setattr(correlated, "COLLECTIONS", gone)
    correlated.run(TINY_ACCURACY)
    assert capsys.readouterr().out.splitlines() == [
        f"{part}: skipped, its file is not in ../shared/data" for part in correlated.PARTS
    ]


@pytest.fixture(scope="module")
def small() -> Example:
    example = correlated_tasks(4, 3, 40, seed=3)
    inside = np.random.default_rng(0).random(160) < 0.5
    return example._replace(frame=example.frame.assign(train1=1 * inside, train2=1 * ~inside))


@pytest.mark.parametrize("part", correlated.PARTS)
def test_accuracy_prints_its_columns(
    part: str, small: Example, capsys: pytest.CaptureFixture[str]
) -> None:
    one = correlated.COLLECTIONS[part]
    kept = {name: one.relations[name] for name in (correlated.EXCHANGEABLE, list(one.relations)[2])}
    sizes = (0,) if one.sizes == (0,) else (8,)
    correlated.compare(small, one._replace(relations=kept, sizes=sizes), TINY_ACCURACY)
    text = capsys.readouterr().out
    assert header(text, ("method", one.score_name, *correlated.COLUMNS[2:]))
    for name in (*kept, *correlated.SINGLE_AND_SHARED):
        assert re.search(rf"^{re.escape(name)}  +-?\d+\.\d{{3}} +\d+\.\d{{3}}", text, re.M), name
    assert re.search(r"^ +0 +1 +2 +3$", text, re.M)
    assert re.search(r"^ +3( +[+-]\d\.\d\d){3} +\.$", text, re.M)
    assert "Of all 6 pairs" in text


def test_training_and_test_rows_are_apart(small: Example) -> None:
    for own_units in (False, True):
        one = correlated.COLLECTIONS["sarcos"]._replace(own_units=own_units)
        train, test = correlated.split(small, one, 10, 0, TINY_ACCURACY)
        assert (train["task"].value_counts() == 10).all()
        assert not set(train.index) & set(test.index)
        assert len(train) + len(test) == 160
        again = correlated.split(small, one, 10, 0, TINY_ACCURACY)[0]
        assert train.index.equals(again.index)
        assert not train.index.equals(correlated.split(small, one, 10, 1, TINY_ACCURACY)[0].index)
        original = small.frame["y"]
        moved = pd.concat([train, test])["y"] - original
        assert (moved.abs().max() > 0.01) == own_units
    by_task = train.groupby("task")["y"]
    np.testing.assert_allclose(by_task.mean(), 0.0, atol=1e-12)
    np.testing.assert_allclose(by_task.std(), 1.0)
    # Test rows are on the scale of the training rows, which may be known.
    alone = test[test["task"] == 2]
    slope = alone["y"].diff() / original[alone.index].diff()
    expected = 1.0 / original[train.index[train["task"] == 2]].std()
    np.testing.assert_allclose(slope.iloc[1:], expected)


def test_scores_by_hand() -> None:
    y, task = np.array([0.0, 2.0, 0.0, 4.0]), np.array([0, 0, 1, 1])
    predicted = np.array([1.0, 1.0, 1.0, 3.0])
    assert correlated.normalised_error(y, predicted, task) == pytest.approx((100.0 + 25.0) / 2)
    assert correlated.mean_rmse(y, predicted, task) == pytest.approx(1.0)


def test_map_shows_means_and_probabilities() -> None:
    values = np.zeros((2, 2, 5))
    values[1, 0] = values[0, 1] = [-0.5, 0.1, -0.7, -0.3, 0.02]
    dims = ("task", "task_bis", "statistic")
    statistic = ["mean", "sd", "lower", "upper", "p_positive"]
    data = xr.Dataset(
        {
            "task_correlation": (dims, values),
            "prior_task_correlation": (("statistic",), np.array([0.0, 0.58, -1.0, 1.0, 0.5])),
        },
        {"task": ["a", "b"], "task_bis": ["a", "b"], "statistic": statistic},
    )
    tree = xr.DataTree.from_dict({"task_relations": data})
    assert correlated.task_map(tree).splitlines()[:3] == [
        "           a     b",
        "     a     .    2%",
        "     b -0.50     .",
    ]
    assert "below 5% in 100%. Prior: 0 ± 0.58." in correlated.task_map(tree)
