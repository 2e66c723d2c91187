"""Prior draws rank uniformly among the draws of their posteriors (`make calibrate`)."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from tests.oracles.calibration import MODELS, p_values, prior_ranks

FITS = 200


@pytest.mark.calibration
@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("name", MODELS)
def test_prior_draws_rank_uniformly(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    begin = time.perf_counter()
    found = p_values(prior_ranks(MODELS[name], FITS))
    smallest = min(found, key=lambda key: found[key])
    # Three tests of each quantity, Bonferroni.
    threshold = 0.01 / (3 * len(found))
    cells = (
        *(name, FITS, len(found), smallest.replace("_", " ")),
        *(f"{found[smallest]:.2g}", f"{threshold:.2g}", f"{time.perf_counter() - begin:.0f}"),
    )
    record_property("calibration", f"| {' | '.join(map(str, cells))} |")
    assert found[smallest] > threshold, found


@pytest.mark.parametrize(("shift", "factor"), [(0.0, 1.0), (0.4, 1.0), (0.0, 1.35), (0.0, 0.75)])
def test_biases_and_wrong_widths_are_noticed(shift: float, factor: float) -> None:
    scores = np.random.default_rng(1).normal(size=FITS)
    ranks = stats.norm.cdf(shift + factor * scores)
    found = p_values({"quantity": ranks})["quantity"]
    assert (found > 0.05) == (shift == 0.0 and factor == 1.0)
    assert found > 0.05 or found < 1e-4
