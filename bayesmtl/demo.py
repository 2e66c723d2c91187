"""`make demo`: fit the shipped radon data, print what came out, write the fits, plots and a page.

Radon in 919 houses of 85 counties in Minnesota, measured in the basement or on the first floor.
Each county is a task with its own level and effect of the floor; the uranium of its soil predicts
both, and most counties have too few houses to estimate them alone. A second fit asks which counties
belong together.
"""

import warnings
from pathlib import Path
from typing import Any

import xarray as xr
from rich.console import Console

import bayesmtl as bm
from bayesmtl.report import print_clusters, print_report, write_plots, write_report

__all__ = ["main"]

_OUT = Path("out")


def main() -> None:
    """Fit, print and write to `out/`."""
    console = Console()
    idata = _fit(console, {}, relation=bm.Exchangeable(), task_features="~ log_uranium")
    print_report(idata)
    bm.save(idata, _OUT / "fit.zarr")
    plots = [*write_plots(idata, _OUT), write_report(idata, _OUT / "report.html")]
    console.print("\nWhich counties belong together?\n", style="bold")
    shorter = {"tune": 300, "draws": 700}
    clustered = _fit(console, shorter, relation=bm.DirichletProcess(), intercept="relation")
    print_clusters(clustered)
    bm.plot_clusters(clustered).savefig(_OUT / "clusters.png", dpi=150, bbox_inches="tight")
    bm.save(clustered, _OUT / "clusters.zarr")
    names = ["fit.zarr", *(path.name for path in plots), "clusters.zarr", "clusters.png"]
    console.print(f"\nWritten to {_OUT}/: {', '.join(names)}")


def _fit(console: Console, lengths: dict[str, Any], **settings: Any) -> xr.DataTree:
    """Fit the counties; warnings become notes."""
    noise = bm.Gaussian(noise="shared")
    model = bm.Model("log_radon ~ floor", task="county", likelihood=noise, **settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", bm.BayesMTLWarning)
        idata = model.fit(bm.load_dataset("radon"), random_seed=1, **lengths)
    for warning in caught:
        console.print(f"Note: {warning.message}\n")
    return idata


if __name__ == "__main__":
    main()
