"""The command `bayesmtl`: fit, predict, report, datasets, recipes.

Errors are one line on standard error and exit status 2; so is Ctrl-C, with status 130.
"""

import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import bayesmtl as bm
from bayesmtl.command_model import (
    LIKELIHOODS,
    RELATIONS,
    known_likelihood,
    known_relation,
    model_settings,
    needed_without_recipe,
    open_data,
)
from bayesmtl.datasets import list_datasets, load_dataset
from bayesmtl.errors import BayesMTLError, BayesMTLWarning
from bayesmtl.places import check_folder, place_of_file, place_of_fit
from bayesmtl.recipe_schema import build_model, check_run
from bayesmtl.recipes import list_recipes, load_recipe
from bayesmtl.tables import read_table, write_table

__all__ = ["app", "main"]

_OTHER_FILES = (".pdf", ".png", ".svg", ".md", ".txt", ".zip", ".json")


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


@app.command()
def fit(
    *,
    data: Annotated[
        str | None,
        typer.Argument(
            callback=needed_without_recipe,
            show_default=False,
            help="CSV or Parquet file, or a shipped data set; a recipe has data of its own.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="A model of `bayesmtl recipes`, or a TOML file of one; other options override it."
        ),
    ] = None,
    formula: Annotated[
        str | None,
        typer.Option(callback=needed_without_recipe, help="Such as 'log_radon ~ floor'."),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(callback=needed_without_recipe, help="Column that names the task."),
    ] = None,
    out: Annotated[
        Path, typer.Option(callback=place_of_fit, help="Where to save the fit: out/fit.zarr.")
    ],
    relation: Annotated[
        str | None,
        typer.Option(
            callback=known_relation,
            help=f"How tasks relate: {', '.join(RELATIONS)}. Default: exchangeable.",
        ),
    ] = None,
    task_features: Annotated[
        str | None, typer.Option(help="Predictors of the tasks, such as '~ log_uranium'.")
    ] = None,
    likelihood: Annotated[
        str | None,
        typer.Option(
            callback=known_likelihood,
            help=f"Of a response: {', '.join(LIKELIHOODS)}. Default: gaussian.",
        ),
    ] = None,
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
        str | None,
        typer.Option(
            help="gibbs (the default), nuts; approximate: cavi for clusters and correlated tasks, "
            "laplace_sites beyond the Gaussian, advi, fullrank_advi, pathfinder or laplace; of a "
            "recipe of functions gibbs, nuts, map or svgp."
        ),
    ] = None,
    draws: Annotated[int | None, typer.Option(help="Draws per chain. Default: 1000.")] = None,
    tune: Annotated[int | None, typer.Option(help="Tuning draws per chain. Default: 1000.")] = None,
    chains: Annotated[int | None, typer.Option(help="Number of chains. Default: 4.")] = None,
    cores: Annotated[int | None, typer.Option(help="Default: one per chain, if there are.")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed, for the same draws again.")] = None,
    missing: Annotated[
        str | None, typer.Option(help="error (the default), or drop rows that miss a value.")
    ] = None,
) -> None:
    """Fit a model, save it and print a summary."""
    from bayesmtl.report import print_report

    start = None if recipe is None else load_recipe(recipe)
    given = {"formula": formula, "task": task, "task_features": task_features, "missing": missing}
    given |= {"relation": relation, "likelihood": likelihood, "noise": noise, "se": se}
    given |= {"trials": trials, "exposure": exposure, "levels": levels}
    model = build_model(model_settings({} if start is None else start.settings, given))
    sizes: dict[str, Any] = {"inference": inference, "draws": draws, "tune": tune, "chains": chains}
    sizes |= {"cores": cores, "random_seed": seed}
    run = {name: value for name, value in sizes.items() if value is not None}
    if start is not None:
        run = {**start.run, **run}
    check_run(model, run)
    frame = start.data() if start is not None and data is None else open_data(str(data), model.task)
    with warnings.catch_warnings():
        # The verdict of the diagnostics, which stands in the summary.
        warnings.filterwarnings("ignore", "CHECK: ", BayesMTLWarning)
        idata = model.fit(frame, **run)
    replaced = ", in place of the fit that was there" if out.exists() else ""
    bm.save(idata, out)
    print_report(idata)
    typer.echo(f"\nSaved to {out}{replaced}")


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
    elif len(predictions) < len(frame):
        # A line for each line of the file, empty where it was dropped.
        predictions = predictions.reindex(frame.index).assign(task=frame[task])
    if out is None:
        typer.echo(predictions.to_csv(index=False), nl=False)
    else:
        write_table(predictions, out)
        typer.echo(f"Saved {len(predictions):,} predictions to {out}")


@app.command()
def report(
    fit_path: Annotated[Path, typer.Argument(metavar="FIT", help="A saved fit.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="report.html, for one page to explore; or a folder of plots; default: a folder "
            "beside the fit."
        ),
    ] = None,
) -> None:
    """Print the summary of a saved fit and write its plots, or a page to explore."""
    from bayesmtl.report import print_report, write_plots, write_report

    page = out if out is not None and out.suffix.lower() in (".html", ".htm") else None
    # "." and ".." have no name of their own.
    named = fit_path.resolve() if fit_path.name in ("", "..") else fit_path
    folder = out or named.with_name(f"{named.stem}_plots")
    if page is None:
        if folder.suffix.lower() in _OTHER_FILES:
            raise typer.BadParameter(
                f"a report is one page, named *.html, or a folder of plots, not {str(folder)!r}"
            )
        check_folder(folder)
    else:
        place_of_file(page)
    idata = bm.load(fit_path)
    print_report(idata)
    if page is not None:
        typer.echo(f"\nReport in {write_report(idata, page)}")
        return
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


@app.command()
def recipes() -> None:
    """List the published and textbook models that `fit --recipe` knows."""
    for row in list_recipes().itertuples():
        typer.echo(f"{row.name}: {row.title}")
        typer.echo(f"    {row.reference}")
