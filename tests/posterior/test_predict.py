"""Predictions of fits with known draws: values, order of rows, new tasks, forms, refusals."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import xarray as xr

from bayesmtl.errors import InvalidDataError, InvalidModelError, UnsupportedError
from bayesmtl.posterior import predictor
from bayesmtl.posterior.predict import predict

TASKS = ["a", "b", "c", "d"]


def expected_mean(idata: xr.DataTree, frame: pd.DataFrame) -> np.ndarray:
    """Compute a_t + x'w_t row by row, (chain, draw, row)."""
    posterior, columns = idata["posterior"].to_dataset(), []
    for _, row in frame.iterrows():
        task = posterior.sel(task=row["school"])
        value = np.zeros((posterior.sizes["chain"], posterior.sizes["draw"]))
        if "intercept" in posterior:
            value = value + task["intercept"].to_numpy()
        for name in posterior["feature"].to_numpy() if "feature" in posterior.dims else []:
            x = 1.0 if name == "Intercept" else row[name]
            value = value + task["weights"].sel(feature=name).to_numpy() * x
        columns.append(value)
    return np.stack(columns, axis=-1)


MODELS = [
    {},
    {"formula": "y ~ 1"},
    {"formula": "y ~ z + x", "intercept": "relation"},
    {"formula": "y ~ 0 + x", "intercept": "none"},
    {"noise": "shared", "correlated": True},
    {"noise": "known", "task_features": True},
]


@pytest.mark.parametrize("options", MODELS)
def test_in_sample_means_are_the_predictor_of_the_fitted_rows(
    build: Any, options: dict[str, Any]
) -> None:
    idata, frame = build(**options)
    before = idata["posterior"].to_dataset().copy(deep=True)
    assert predict(idata) is idata
    group = idata["posterior_predictive"]
    assert group["mean"].dims == ("chain", "draw", "obs")
    assert list(group.data_vars) == ["mean"]
    order = idata["constant_data"]["row_position"].to_numpy()
    np.testing.assert_allclose(group["mean"], expected_mean(idata, frame.iloc[order]), rtol=1e-12)
    np.testing.assert_array_equal(group["obs"], idata["observed_data"]["obs"])
    xr.testing.assert_identical(idata["posterior"].to_dataset(), before)


@pytest.mark.parametrize("options", MODELS)
def test_new_rows_of_known_tasks_go_to_predictions_in_the_order_of_the_frame(
    build: Any, options: dict[str, Any]
) -> None:
    idata, frame = build(**options)
    predict(idata)
    in_sample = idata["posterior_predictive"].to_dataset().copy(deep=True)
    new = frame.iloc[[5, 3, 17, 3]].drop(columns="y").set_index(np.array([9, 9, 0, 1]))
    predict(idata, new)
    mean = idata["predictions"]["mean"]
    np.testing.assert_allclose(mean, expected_mean(idata, new), rtol=1e-12)
    np.testing.assert_array_equal(mean["obs"], [0, 1, 2, 3])
    xr.testing.assert_identical(idata["posterior_predictive"].to_dataset(), in_sample)
    constants = idata["predictions_constant_data"]
    assert constants["task_label"].to_numpy().tolist() == new["school"].tolist()
    if "x" in constants.get("feature", []):
        np.testing.assert_array_equal(constants["features"].sel(feature="x"), new["x"])


def test_the_user_frame_is_not_changed_and_polars_gives_the_same(build: Any) -> None:
    idata, frame = build()
    copy = frame.copy(deep=True)
    first = predict(idata, frame, as_frame=True)
    pd.testing.assert_frame_equal(frame, copy)
    second = predict(idata, pl.from_pandas(frame), as_frame=True)
    pd.testing.assert_frame_equal(first, second)


def test_columns_of_the_frame_join_a_shuffled_one(build: Any) -> None:
    idata, frame = build()
    expected = predict(idata, frame, as_frame=True)["mean"]
    mixed = frame.sample(frac=0.6, random_state=3)
    mixed["mean"] = predict(idata, mixed, as_frame=True)["mean"]
    pd.testing.assert_series_equal(mixed["mean"], expected[mixed.index])


def test_the_frame_summarises_row_for_row(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    idata, frame = build(samples=(4, 250))
    monkeypatch.setattr(predictor, "BLOCK_BYTES", 8 * 1000 * 5)  # five rows at a time
    table = predict(idata, frame, as_frame=True, ci_prob=0.8)
    draws = expected_mean(idata, frame).reshape(1000, 24)
    assert list(table.columns) == ["task", "mean", "sd", "lower", "upper"]
    assert table["task"].tolist() == frame["school"].tolist()
    np.testing.assert_array_equal(table.index, np.arange(24))
    np.testing.assert_allclose(table["mean"], draws.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(table["sd"], draws.std(axis=0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(
        table[["lower", "upper"]].to_numpy().T, np.quantile(draws, [0.1, 0.9], axis=0), rtol=1e-12
    )
    assert "predictions" not in idata.children
    pd.testing.assert_frame_equal(predict(idata, as_frame=True, ci_prob=0.8), table)


@pytest.mark.parametrize("noise", ["hierarchical", "shared", "known"])
def test_responses_add_the_noise_of_their_task(build: Any, noise: str) -> None:
    idata, frame = build(noise=noise, samples=(4, 2500))
    predict(idata, frame, kind="response", random_seed=5)
    group = idata["predictions"]
    assert list(group.data_vars) == ["mean", "y"]
    noise_draws = (group["y"] - group["mean"]).to_numpy().reshape(10_000, 24)
    posterior = idata["posterior"].to_dataset()
    if noise == "known":
        sd = np.broadcast_to(frame["se"].to_numpy(), (10_000, 24))
    elif noise == "shared":
        sd = np.repeat(posterior["noise_sd"].to_numpy().reshape(-1, 1), 24, axis=1)
    else:
        sd = posterior["noise_sd"].sel(task=frame["school"].to_numpy()).to_numpy()
        sd = sd.reshape(10_000, 24)
    z = noise_draws / sd
    assert np.abs(z.mean(axis=0)).max() < 5 / 100
    assert np.abs(z.std(axis=0) - 1).max() < 5 / 140
    assert np.abs(np.corrcoef(z.T) - np.eye(24)).max() < 5 / 100


def test_responses_depend_on_the_seed_alone(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    idata, frame = build(noise="known")
    options: dict[str, Any] = {"kind": "response", "as_frame": True}
    table = predict(idata, frame, random_seed=1, **options)
    assert not predict(idata, frame, random_seed=2, **options).equals(table)
    monkeypatch.setattr(predictor, "BLOCK_BYTES", 1)
    pd.testing.assert_frame_equal(predict(idata, frame, random_seed=1, **options), table)
    draws = predict(idata, frame, kind="response", random_seed=1)["predictions"]["y"]
    np.testing.assert_allclose(draws.mean(("chain", "draw")), table["mean"])


def test_in_sample_responses_use_stored_standard_errors(build: Any) -> None:
    idata, frame = build(noise="known")
    table = predict(idata, frame, kind="response", as_frame=True, random_seed=1)
    pd.testing.assert_frame_equal(
        predict(idata, kind="response", as_frame=True, random_seed=1), table
    )


def test_offsets_are_added(build: Any) -> None:
    with_offset, frame = build(offset="off")
    without, _ = build()
    difference = (
        predict(with_offset, frame)["predictions"]["mean"]
        - (predict(without, frame)["predictions"]["mean"])
    )
    np.testing.assert_allclose(difference.to_numpy()[0, 0], frame["off"], rtol=1e-9)
    order = with_offset["constant_data"]["row_position"].to_numpy()
    inside = predict(with_offset)["posterior_predictive"]["mean"]
    np.testing.assert_allclose(inside, with_offset["predictions"]["mean"][:, :, order], rtol=1e-12)
    with pytest.raises(InvalidDataError, match="off"):
        predict(with_offset, frame.drop(columns="off"))


def test_a_response_named_mean_does_not_hide_the_mean(build: Any) -> None:
    idata, frame = build()
    renamed = idata["observed_data"].to_dataset().rename({"y": "mean"})
    idata["observed_data"] = xr.DataTree(renamed)
    predict(idata, frame, kind="response")
    assert list(idata["predictions"].data_vars) == ["mean", "response"]


def test_dropped_rows_keep_the_positions_of_the_others(build: Any) -> None:
    idata, frame = build(missing="drop")
    broken = frame.copy()
    broken.loc[4, "x"] = np.nan
    with pytest.warns(UserWarning, match="1 "):
        table = predict(idata, broken, as_frame=True)
    pd.testing.assert_frame_equal(table, predict(idata, frame, as_frame=True).drop(index=4))
    strict, _ = build()
    with pytest.raises(InvalidDataError, match="x"):
        predict(strict, broken)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns="x"), r'"x", which the data do not have; the columns are'),
        (lambda rows: rows.assign(x=[1.0, np.nan]), r'"x" has 1 missing value \(row 1\)'),
        (lambda rows: rows.assign(x=[np.inf, 1.0]), r'"x" holds inf in row 0'),
        (lambda rows: rows[:0], "0 rows"),
    ],
)
def test_unusable_rows_are_refused(build: Any, change: Any, message: str) -> None:
    idata, frame = build()
    with pytest.raises(InvalidDataError, match=message):
        predict(idata, change(frame.head(2)), random_seed=1)


def test_rows_of_all_but_one_task_need_no_others(build: Any) -> None:
    idata, frame = build()
    one = frame[frame["school"] == "c"]
    np.testing.assert_allclose(
        predict(idata, one)["predictions"]["mean"], expected_mean(idata, one), rtol=1e-12
    )


def test_unseen_tasks_are_refused_by_name(build: Any) -> None:
    idata, frame = build()
    new = frame.assign(school=frame["school"].replace({"a": "new", "b": "other"}))
    with pytest.raises(
        InvalidDataError, match=r"2 tasks \('new', 'other'\) are in column 'school'"
    ):
        predict(idata, new)
    with pytest.raises(
        InvalidDataError, match="task 'new' is in column 'school' but not in the fit"
    ):
        predict(idata, new[new["school"] == "new"])
    many = frame.assign(school=[f"s{i:02d}" for i in range(24)])
    with pytest.raises(InvalidDataError, match=r"24 tasks \('s00', .*'s04', \.\.\.\)"):
        predict(idata, many, new_task="error")
    assert "predictions" not in idata.children


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"kind": "mean"}, "kind='mean': use 'response_params' or 'response'"),
        ({"new_task": "zero"}, "new_task='zero': use 'error' or 'population'"),
        ({"ci_prob": 90}, "ci_prob=90: use a probability"),
        ({"ci_prob": 0.0}, "ci_prob=0.0: use a probability"),
        ({"given": pd.DataFrame()}, "given= needs data"),
    ],
)
def test_meaningless_options_are_refused(build: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidModelError, match=text):
        predict(build().idata, **options)


def test_known_standard_errors_are_needed_for_responses_only(build: Any) -> None:
    idata, frame = build(noise="known")
    without = frame.drop(columns="se")
    predict(idata, without)
    with pytest.raises(InvalidDataError, match="column 'se', which the data lack"):
        predict(idata, without, kind="response")
    wrong = frame.assign(se=frame["se"].where(frame.index != 7, 0.0))
    with pytest.raises(InvalidDataError, match="'se' holds 0 in row 7"):
        predict(idata, wrong, kind="response")


def test_results_too_large_for_memory_are_refused_before_they_are_made(
    build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    idata, frame = build()
    monkeypatch.setattr(predictor, "MAX_RESULT_BYTES", 8 * 100 * 24)
    predict(idata, frame)
    with pytest.raises(UnsupportedError, match=r"24 rows x 100 draws .*use as_frame=True"):
        predict(idata, frame, kind="response")
    assert len(predict(idata, frame, kind="response", as_frame=True)) == 24


def test_what_is_not_a_fit_or_has_an_unknown_likelihood_is_refused(build: Any) -> None:
    idata, _ = build()
    with pytest.raises(InvalidDataError, match="not a fit of bayesmtl"):
        predict(xr.DataTree.from_dict({"posterior": idata["posterior"].to_dataset()}))
    idata.attrs["model"] = idata.attrs["model"].replace('"Gaussian"', '"Cauchy"')
    with pytest.raises(InvalidModelError, match="unknown part 'Cauchy'"):
        predict(idata)
