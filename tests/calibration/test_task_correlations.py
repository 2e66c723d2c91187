"""Intervals of task correlations of -0.8, 0 and 0.8 cover them at least as often as they say.

Under the prior they cover as often as they say, which simulation-based calibration tests; at one
value of a correlation they may cover it more often, as half of the signal is expected from the
common mean, which leaves correlations around it lower. Factors expect little of strong correlations
of four tasks, so their intervals of 0.8 cover it less often; that is counted, and no defect.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmtl as bm

FITS, N_FEATURES, N_ROWS = 200, 20, 30
PAIRS = {0.8: (0, 1), -0.8: (2, 3), 0.0: (0, 2)}
TRUE = np.eye(4)
for value, (s, t) in PAIRS.items():
    TRUE[s, t] = TRUE[t, s] = value


def one_data_set(rng: np.random.Generator) -> pd.DataFrame:
    """Four tasks whose weights have the correlations TRUE, noise half of the signal."""
    weights = np.linalg.cholesky(TRUE) @ rng.normal(size=(4, N_FEATURES))
    task = np.repeat(np.arange(4), N_ROWS)
    x = rng.normal(size=(len(task), N_FEATURES))
    signal = (x * weights[task]).sum(axis=1)
    y = signal + np.sqrt(N_FEATURES / 4.0) * rng.normal(size=len(task))
    columns: dict[str, Any] = {f"x{j}": x[:, j] for j in range(N_FEATURES)}
    return pd.DataFrame({"task": task, "y": y, **columns})


@pytest.mark.calibration
@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
@pytest.mark.parametrize("kind", ["full", "low_rank"])
def test_intervals_cover(kind: str, record_property: Callable[[str, object], None]) -> None:
    rng = np.random.default_rng(7)
    formula = "y ~ 0 + " + " + ".join(f"x{j}" for j in range(N_FEATURES))
    model = bm.Model(formula, "task", bm.MatrixNormal(kind))
    covered = {value: np.zeros(FITS, dtype=bool) for value in PAIRS}
    for i in range(FITS):
        tree = model.fit(
            one_data_set(rng), draws=500, tune=400, chains=1, random_seed=i, progressbar=False
        )
        pairs = tree["task_relations"].to_dataset()["task_correlation"]
        for value, (s, t) in PAIRS.items():
            low, high = (float(pairs.sel(statistic=name)[s, t]) for name in ("lower", "upper"))
            covered[value][i] = low <= value <= high
    rates = {value: float(hits.mean()) for value, hits in covered.items()}
    text = ", ".join(f"{value:g}: {rate:.1%}" for value, rate in rates.items())
    record_property("coverage", f"task_covariance={kind!r}, 90% intervals of {text}")
    # Of intervals that cover nine in ten, 99.95% of such counts lie above.
    expected = 0.9 if kind == "full" else 0.75
    low = stats.binom.ppf(0.0005, FITS, expected) / FITS
    assert all(rate >= low for rate in rates.values()), rates
