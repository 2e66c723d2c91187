"""Log-likelihoods against scipy, and leave-one-out on them."""

from typing import Any

import arviz as az
import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from bayesmtl.errors import InvalidDataError, UnsupportedError
from bayesmtl.posterior import predictor
from bayesmtl.posterior.log_likelihood import compute_log_likelihood
from bayesmtl.posterior.predict import predict


@pytest.mark.parametrize("noise", ["hierarchical", "shared", "known"])
def test_densities_are_those_of_scipy(build: Any, noise: str) -> None:
    idata, frame = build(noise=noise, offset="off")
    assert compute_log_likelihood(idata) is idata
    group = idata["log_likelihood"]
    assert list(group.data_vars) == ["y"]
    assert group["y"].dims == ("chain", "draw", "obs")
    order = idata["constant_data"]["row_position"].to_numpy()
    rows = frame.iloc[order]
    mean = predict(idata)["posterior_predictive"]["mean"].to_numpy()
    sd = rows["se"].to_numpy()
    if noise != "known":
        noise_sd = idata["posterior"]["noise_sd"]
        sd = noise_sd.to_numpy()[..., None]
        if noise == "hierarchical":
            sd = noise_sd.sel(task=rows["school"].to_numpy()).to_numpy()
    np.testing.assert_allclose(group["y"], norm.logpdf(rows["y"], mean, sd), rtol=1e-10)
    np.testing.assert_array_equal(group["obs"], idata["observed_data"]["obs"])


def test_the_frame_gives_the_same_rows_in_its_own_order(build: Any) -> None:
    idata, frame = build(noise="known")
    inside = compute_log_likelihood(idata)["log_likelihood"]["y"].to_numpy()
    outside = compute_log_likelihood(idata, frame)["log_likelihood"].to_dataset()
    order = idata["constant_data"]["row_position"].to_numpy()
    np.testing.assert_allclose(outside["y"].to_numpy()[..., order], inside, rtol=1e-10)
    np.testing.assert_array_equal(outside["obs"], np.arange(24))


def test_row_weights_multiply(build: Any) -> None:
    weighted, frame = build(weights="count")
    plain, _ = build()
    values = [
        compute_log_likelihood(fit, frame)["log_likelihood"]["y"] for fit in (weighted, plain)
    ]
    np.testing.assert_allclose(values[0], values[1] * frame["count"].to_numpy(), rtol=1e-10)
    with pytest.raises(InvalidDataError, match="row weights must not be negative: column 'count'"):
        compute_log_likelihood(weighted, frame.assign(count=-1.0))


def test_blocks_do_not_change_values(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    idata, _ = build()
    whole = compute_log_likelihood(idata)["log_likelihood"].to_dataset()
    monkeypatch.setattr(predictor, "BLOCK_BYTES", 1)
    xr.testing.assert_allclose(
        compute_log_likelihood(idata)["log_likelihood"].to_dataset(), whole, rtol=1e-12
    )


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")
def test_leave_one_out_runs(build: Any) -> None:
    idata, _ = build(samples=(4, 250))
    loo = az.loo(compute_log_likelihood(idata), pointwise=True)
    assert loo.n_data_points == 24
    assert np.isfinite(loo.elpd)
    assert loo.elpd_i.dims == ("obs",)


def test_rows_of_unseen_tasks_are_refused(build: Any) -> None:
    idata, frame = build()
    with pytest.raises(
        InvalidDataError, match="task 'new' is in column 'school' but not in the fit"
    ):
        compute_log_likelihood(idata, frame.assign(school=frame["school"].replace("a", "new")))


def test_too_large_a_result_is_refused(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictor, "MAX_RESULT_BYTES", 100)
    with pytest.raises(UnsupportedError, match=r"24 rows x 100 draws .*thin the draws first"):
        compute_log_likelihood(build().idata)
