"""The command `bayesmtl`: fit, predict, report, datasets.

Errors are one line on standard error and exit status 2; so is Ctrl-C, with status 130.
"""

import json
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from typer.core import TyperGroup

import bayesmtl as bm
from bayesmtl.datasets import list_datasets, load_dataset
from bayesmtl.errors import BayesMTLError, BayesMTLWarning
from bayesmtl.places import check_folder, place_of_file, place_of_fit
from bayesmtl.tables import read_table, write_table

__all__ = ["LIKELIHOODS", "RELATIONS", "app", "main"]

RELATIONS: dict[str, Callable[[], Any]] = {
    "exchangeable": bm.Exchangeable,
    "independent": bm.Independent,
    "pooled": bm.Pooled,
    "dirichlet-process": bm.DirichletProcess,
    "pitman-yor": bm.PitmanYor,
    "finite-mixture": bm.FiniteMixture,
    "matrix-normal": bm.MatrixNormal,
    "low-rank": bm.LowRank,
    "sparse-graph": bm.SparseGraph,
    "decomposition": bm.Decomposition,
}
# With the options that each must and may have.
LIKELIHOODS: dict[str, tuple[Callable[..., Any], tuple[str, ...], tuple[str, ...]]] = {
    "gaussian": (bm.Gaussian, (), ("noise", "se")),
    "bernoulli": (bm.Bernoulli, (), ()),
    "binomial": (bm.Binomial, ("trials",), ()),
    "poisson": (bm.Poisson, (), ("exposure",)),
    "negative-binomial": (bm.NegativeBinomial, (), ("exposure",)),
    "ordinal": (bm.Ordinal, ("levels",), ()),
    "student-t": (bm.StudentT, (), ()),
}


class _OneLineErrors(TyperGroup):
    """Commands whose errors are one line on standard error and exit status 2, Ctrl-C 130."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line and exit with its status."""
        extra["standalone_mode"] = False
        with warnings.catch_warnings():
            warnings.simplefilter("always", BayesMTLWarning)
            warnings.showwarning = _show_warning
            try:
                status = super().main(*args, **extra)
            except typer.TyperException as error:
                _fail(error.format_message())
            except (BayesMTLError, OSError) as error:
                _fail(str(error))
        sys.exit(status if isinstance(status, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            text = str(stop) or "the command did not finish; run it again"
            typer.echo(f"Interrupted: {text}", err=True)
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=_OneLineErrors,
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line."""
    app()


def _fail(message: str) -> None:
    typer.echo(f"Error: {' '.join(message.split())}", err=True)
    sys.exit(2)


def _show_warning(
    message: Warning | str, category: type[Warning], *_: object, **__: object
) -> None:
    kind = "Warning" if issubclass(category, BayesMTLWarning) else category.__name__
    typer.echo(f"{kind}: {' '.join(str(message).split())}", err=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bayesmtl {version('bayesmtl')}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    _: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Bayesian multi-task learning: fit tasks jointly, see how they relate, predict."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _known_relation(name: str) -> str:
    if name not in RELATIONS:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(RELATIONS)}")
    return name


def _known_likelihood(name: str) -> str:
    if name not in LIKELIHOODS:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(LIKELIHOODS)}")
    return name


def _likelihood(name: str, options: dict[str, str | None]) -> Any:
    """A likelihood of the options that were given."""
    kind, needed, allowed = LIKELIHOODS[name]
    given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    for key in given:
        if key not in (*needed, *allowed):
            raise typer.BadParameter(f"--{key} does not go with --likelihood {name}")
    for key in needed:
        if key not in given:
            raise typer.BadParameter(f"--likelihood {name} needs --{key}")
    if "levels" in given:
        given["levels"] = _levels(given["levels"])
    return kind(**given)


def _levels(text: str) -> list[Any]:
    """The levels between commas, as numbers where all of them are."""
    levels = [level.strip() for level in text.split(",")]
    try:
        return [float(level) for level in levels]
    except ValueError:
        return list(levels)


@app.command()
def fit(  # noqa: PLR0917 (options, not positional arguments)
    data: Annotated[str, typer.Argument(help="CSV or Parquet file, or a shipped data set.")],
    formula: Annotated[str, typer.Option(help="Such as 'log_radon ~ floor'.")],
    task: Annotated[str, typer.Option(help="Column that names the task.")],
    out: Annotated[
        Path, typer.Option(callback=place_of_fit, help="Where to save the fit: out/fit.zarr.")
    ],
    relation: Annotated[
        str,
        typer.Option(callback=_known_relation, help=f"How tasks relate: {', '.join(RELATIONS)}."),
    ] = "exchangeable",
    task_features: Annotated[
        str | None, typer.Option(help="Predictors of the tasks, such as '~ log_uranium'.")
    ] = None,
    likelihood: Annotated[
        str,
        typer.Option(callback=_known_likelihood, help=f"Of a response: {', '.join(LIKELIHOODS)}."),
    ] = "gaussian",
    noise: Annotated[
        str | None, typer.Option(help="gaussian: hierarchical (the default) or shared.")
    ] = None,
    se: Annotated[
        str | None, typer.Option(help="gaussian: column of known standard errors.")
    ] = None,
    trials: Annotated[str | None, typer.Option(help="binomial: column of trials.")] = None,
    exposure: Annotated[
        str | None, typer.Option(help="poisson, negative-binomial: column of exposures.")
    ] = None,
    levels: Annotated[
        str | None, typer.Option(help="ordinal: levels from low to high, such as low,mid,high.")
    ] = None,
    inference: Annotated[
        str,
        typer.Option(
            help="gibbs or nuts; approximate: cavi for clusters and correlated tasks, "
            "laplace_sites beyond the Gaussian, advi, fullrank_advi, pathfinder or laplace."
        ),
    ] = "gibbs",
    draws: Annotated[int, typer.Option(help="Draws per chain.")] = 1000,
    tune: Annotated[int, typer.Option(help="Tuning draws per chain.")] = 1000,
    chains: Annotated[int, typer.Option(help="Number of chains.")] = 4,
    cores: Annotated[int | None, typer.Option(help="Default: one per chain, if there are.")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed, for the same draws again.")] = None,
    missing: Annotated[str, typer.Option(help="error, or drop rows that miss a value.")] = "error",
) -> None:
    """Fit a model, save it and print a summary."""
    from bayesmtl.report import print_report

    options = {"noise": noise, "se": se, "trials": trials, "exposure": exposure, "levels": levels}
    frame = _open_data(data, task)
    model = bm.Model(
        formula,
        task=task,
        relation=RELATIONS[relation](),
        likelihood=_likelihood(likelihood, options),
        task_features=task_features,
        missing=missing,
    )
    idata = model.fit(
        frame,
        inference=inference,
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        random_seed=seed,
        progressbar=True,
    )
    bm.save(idata, out)
    print_report(idata)
    typer.echo(f"\nSaved to {out}")


@app.command()
def predict(  # noqa: PLR0917 (options, not positional arguments)
    fit_path: Annotated[Path, typer.Argument(metavar="FIT", help="A saved fit.")],
    new: Annotated[Path, typer.Argument(help="CSV or Parquet file of rows to predict.")],
    kind: Annotated[
        str, typer.Option(help="response_params (the mean) or response (with noise).")
    ] = "response_params",
    new_task: Annotated[
        str, typer.Option(help="For tasks not in the fit: error, or population.")
    ] = "error",
    ci_prob: Annotated[float, typer.Option(help="Probability between lower and upper.")] = 0.9,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Random seed, for the same predictions again.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(callback=place_of_file, help="CSV or Parquet; default: print."),
    ] = None,
) -> None:
    """Predict new rows: mean, sd and interval, row for row."""
    from bayesmtl.posterior.access import is_graphical
    from bayesmtl.posterior.settings import fit_settings

    idata = bm.load(fit_path)
    labels = idata["posterior"].to_dataset()["task"].to_numpy()
    graphs = is_graphical(idata)
    task = json.loads(idata.attrs["model"])["task"] if graphs else fit_settings(idata).task
    frame = read_table(new, task, text_labels=labels.dtype.kind in "OUT")
    predictions = bm.predict(
        idata,
        frame,
        kind=kind,  # type: ignore[call-overload]  # any other word is refused there
        new_task=new_task,
        as_frame=True,
        ci_prob=ci_prob,
        random_seed=seed,
    )
    if graphs:
        predictions = predictions.reset_index(names="row")
    if out is None:
        typer.echo(predictions.to_csv(index=False), nl=False)
    else:
        write_table(predictions, out)
        typer.echo(f"Saved {len(predictions):,} predictions to {out}")


@app.command()
def report(
    fit_path: Annotated[Path, typer.Argument(metavar="FIT", help="A saved fit.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the plots; default: beside the fit.")
    ] = None,
) -> None:
    """Print the summary of a saved fit and write its plots."""
    from bayesmtl.report import print_report, write_plots

    folder = out or fit_path.with_name(f"{fit_path.stem}_plots")
    check_folder(folder)
    idata = bm.load(fit_path)
    print_report(idata)
    names = ", ".join(path.name for path in write_plots(idata, folder))
    typer.echo(f"\nPlots in {folder}: {names}")


@app.command()
def datasets() -> None:
    """List the shipped data sets."""
    for row in list_datasets().itertuples():
        typer.echo(f"{row.name}: {row.rows} rows, {row.tasks} tasks ({row.task})")
        typer.echo(f"    {row.description}")
        typer.echo(f"    columns {', '.join(load_dataset(row.name).columns)}")
        typer.echo(f"    {row.source}; {row.licence}")


def _open_data(data: str, task: str) -> pd.DataFrame:
    """Read a file or, where there is none of that name, a shipped data set."""
    shipped = list_datasets()["name"].to_list()
    if Path(data).is_file():
        if data in shipped:
            typer.echo(f"Note: reading the file {data}, not the shipped data set", err=True)
        return read_table(Path(data), task)
    if data not in shipped:
        message = f"{data!r} is neither a file nor one of the shipped sets {', '.join(shipped)}"
        raise typer.BadParameter(message, param_hint="DATA")
    typer.echo(f"Note: using the shipped data set {data} (there is no file of that name)", err=True)
    return load_dataset(data)
