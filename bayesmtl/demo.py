"""`make demo`: fit the shipped radon data, print what came out, write the fit and its plots.

Radon in 919 houses of 85 counties in Minnesota, measured in the basement or on the first floor.
Each county is a task with its own level and effect of the floor; the uranium of its soil predicts
both, and most counties have too few houses to estimate them alone.
"""

import warnings
from pathlib import Path

from rich.console import Console

import bayesmtl as bm
from bayesmtl.report import print_report, write_plots

__all__ = ["main"]

_OUT = Path("out")


def main() -> None:
    """Fit, print and write to `out/`."""
    model = bm.Model(
        "log_radon ~ floor",
        task="county",
        relation=bm.Exchangeable(),
        likelihood=bm.Gaussian(noise="shared"),
        task_features="~ log_uranium",
    )
    console = Console()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", bm.BayesMTLWarning)
        idata = model.fit(bm.load_dataset("radon"), random_seed=1)
    for warning in caught:
        console.print(f"Note: {warning.message}\n")
    print_report(idata)
    bm.save(idata, _OUT / "fit.zarr")
    plots = write_plots(idata, _OUT)
    console.print(f"\nWritten to {_OUT}/: fit.zarr, {', '.join(path.name for path in plots)}")


if __name__ == "__main__":
    main()
