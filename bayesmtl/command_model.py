"""What `bayesmtl fit` fits: the settings of a recipe with the options in their place, and data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import typer

import bayesmtl as bm
from bayesmtl.datasets import list_datasets, load_dataset
from bayesmtl.tables import read_table

__all__ = [
    "LIKELIHOODS",
    "RELATIONS",
    "known_likelihood",
    "known_relation",
    "model_settings",
    "needed_without_recipe",
    "open_data",
]

RELATIONS = {
    "exchangeable": bm.Exchangeable.__name__,
    "independent": bm.Independent.__name__,
    "pooled": bm.Pooled.__name__,
    "dirichlet-process": bm.DirichletProcess.__name__,
    "pitman-yor": bm.PitmanYor.__name__,
    "finite-mixture": bm.FiniteMixture.__name__,
    "matrix-normal": bm.MatrixNormal.__name__,
    "low-rank": bm.LowRank.__name__,
    "sparse-graph": bm.SparseGraph.__name__,
    "decomposition": bm.Decomposition.__name__,
}
# With the options that each must and may have.
LIKELIHOODS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "gaussian": (bm.Gaussian.__name__, (), ("noise", "se")),
    "bernoulli": (bm.Bernoulli.__name__, (), ()),
    "binomial": (bm.Binomial.__name__, ("trials",), ()),
    "poisson": (bm.Poisson.__name__, (), ("exposure",)),
    "negative-binomial": (bm.NegativeBinomial.__name__, (), ("exposure",)),
    "ordinal": (bm.Ordinal.__name__, ("levels",), ()),
    "student-t": (bm.StudentT.__name__, (), ()),
}


def known_relation(name: str | None) -> str | None:
    """Refuse a relation that the command does not know.

    Raises
    ------
    typer.BadParameter
        With those that it knows.
    """
    return _known(name, RELATIONS)


def known_likelihood(name: str | None) -> str | None:
    """Refuse a likelihood that the command does not know.

    Raises
    ------
    typer.BadParameter
        With those that it knows.
    """
    return _known(name, LIKELIHOODS)


def _known(name: str | None, names: Mapping[str, Any]) -> str | None:
    if name is not None and name not in names:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(names)}")
    return name


def needed_without_recipe(
    context: typer.Context, parameter: typer.CallbackParam, value: str | None
) -> str | None:
    """Refuse a call that leaves out both a parameter and the recipe that would stand in for it.

    Raises
    ------
    typer.TyperException
        Naming the parameter.
    """
    if value is None and context.params.get("recipe") is None:
        option = parameter.param_type_name == "option"
        name = f"option '--{parameter.name}'" if option else f"argument '{parameter.name.upper()}'"
        raise typer.TyperException(f"Missing {name}; or start from a recipe by --recipe.")
    return value


def model_settings(base: Mapping[str, Any], given: Mapping[str, str | None]) -> dict[str, Any]:
    """Settings of a model as a recipe has them.

    Parameters
    ----------
    base : mapping
        Those of the recipe; empty without one.
    given : mapping
        Options; None where they are left out.

    Raises
    ------
    typer.BadParameter
        For options of another likelihood.
    """
    options = {name: value for name, value in given.items() if value is not None}
    plain = ("formula", "task", "task_features", "missing")
    settings = {**base, **{name: options.pop(name) for name in plain if name in options}}
    if "relation" in options:
        settings["relation"] = {"type": RELATIONS[options.pop("relation")]}
    if options:
        settings["likelihood"] = _likelihood(base.get("likelihood", {"type": "Gaussian"}), options)
    return settings


def _likelihood(base: Mapping[str, Any], options: dict[str, str]) -> dict[str, Any]:
    """The likelihood that is named, else that of the recipe with these options in its place."""
    types = {kind: name for name, (kind, _, _) in LIKELIHOODS.items()}
    name = options.pop("likelihood", None)
    kept = dict(base) if name is None else {}
    name = name or types.get(base["type"], base["type"])
    kind, needed, allowed = LIKELIHOODS.get(name, (name, (), ()))
    for key in options:
        if key not in (*needed, *allowed):
            raise typer.BadParameter(f"--{key} does not go with --likelihood {name}")
    for key in needed:
        if key not in {**kept, **options}:
            raise typer.BadParameter(f"--likelihood {name} needs --{key}")
    values: dict[str, Any] = dict(options)
    if "levels" in values:
        values["levels"] = _levels(values["levels"])
    return {**kept, "type": kind, **values}


def _levels(text: str) -> list[Any]:
    """The levels between commas, as numbers where all of them are."""
    levels = [level.strip() for level in text.split(",")]
    try:
        return [float(level) for level in levels]
    except ValueError:
        return list(levels)


def open_data(data: str, task: str) -> pd.DataFrame:
    """Read a file or, where there is none of that name, a shipped data set.

    Raises
    ------
    typer.BadParameter
        If there is neither.
    """
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
