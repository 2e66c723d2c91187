"""Fits that several tests read."""

import warnings
from collections.abc import Iterator

import pandas as pd
import pytest
import xarray as xr

import bayesmtl as bm
from tests.graphical.frames import fit, two_tasks


@pytest.fixture(scope="session", autouse=True)
def _short_prior() -> Iterator[None]:
    """Fewer draws of the prior: nothing here needs its probabilities to two digits."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("bayesmtl.graphical.sampling._MOST_PRIOR_DRAWS", 100)
        yield


@pytest.fixture(scope="session")
def rows() -> pd.DataFrame:
    return two_tasks()


def _fit(data: pd.DataFrame, prior: str) -> xr.DataTree:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.BayesMTLWarning)
        return fit(data, prior=prior)


@pytest.fixture(scope="session")
def horseshoe(rows: pd.DataFrame) -> xr.DataTree:
    return _fit(rows, "horseshoe")


@pytest.fixture(scope="session")
def spike_slab(rows: pd.DataFrame) -> xr.DataTree:
    return _fit(rows, "spike_slab")
