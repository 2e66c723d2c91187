"""Recipes: textbook and published models as TOML files, each with data that it runs on."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from bayesmtl.datasets import list_datasets, load_dataset
from bayesmtl.errors import InvalidModelError
from bayesmtl.keys import did_you_mean
from bayesmtl.recipe_schema import GENERATORS, AnyModel, build_model, check_recipe, check_run

__all__ = ["Recipe", "list_recipes", "load_recipe"]


@dataclass(frozen=True)
class Recipe:
    """A model as it was published, and data that it runs on; from `load_recipe`.

    Parameters
    ----------
    name : str
        Of its file, without the ending.
    title, reference : str
    differs : str
        What differs from the reference.
    columns : mapping
        What each column of the data holds.
    settings : mapping
        The model, as of its ``to_dict``.
    source : mapping
        Name of a data set or generator, and the generator's settings.
    run : mapping
        Arguments of `fit`.
    """

    name: str
    title: str
    reference: str
    differs: str
    columns: Mapping[str, str] = field(hash=False)
    settings: Mapping[str, Any] = field(hash=False)
    source: Mapping[str, Any] = field(hash=False)
    run: Mapping[str, Any] = field(hash=False)

    def model(self) -> AnyModel:
        """The model."""
        return build_model(self.settings)

    def data(self) -> pd.DataFrame:
        """The rows of the shipped data set, or simulated ones."""
        name = self.source["source"]
        if name in list_datasets()["name"].to_list():
            return load_dataset(name)
        return GENERATORS[name](**self.source["settings"])

    def fit(self, data: Any = None, **options: Any) -> xr.DataTree:
        """Fit the model.

        Parameters
        ----------
        data : data frame, optional
            Rows with the columns of the recipe; by default its own data.
        **options
            Of the model's ``fit``, in place of those of the recipe.

        Returns
        -------
        xarray.DataTree
            As of the model's ``fit``.

        Raises
        ------
        InvalidModelError
            For an option that the model's ``fit`` does not have, and as it does.
        """
        model, run = self.model(), {**self.run, **options}
        check_run(model, run)
        return model.fit(self.data() if data is None else data, **run)


def load_recipe(name: str | Path) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    name : str or Path
        One of `list_recipes`, or a file that ends in .toml.

    Returns
    -------
    Recipe

    Raises
    ------
    InvalidModelError
        If there is none, or it is wrong: the file, the table, the key or value, and what is valid.
    """
    place = _place(name)
    try:
        content = tomllib.loads(place.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidModelError(f"{place} is no TOML file: {error}") from None
    check_recipe(content, place.name)
    data = content["data"]
    return Recipe(
        name=place.stem,
        title=content["title"],
        reference=content["reference"],
        differs=content["differs"],
        columns=data["columns"],
        settings=content["model"],
        source={"source": data["source"], "settings": data.get("settings", {})},
        run=content.get("fit", {}),
    )


def list_recipes() -> pd.DataFrame:
    """List the recipes that come with the package.

    Returns
    -------
    pandas.DataFrame
        One row per recipe: ``name``, ``title`` and ``reference``.
    """
    recipes = [load_recipe(path) for path in _shipped()]
    return pd.DataFrame(
        [(one.name, one.title, one.reference) for one in recipes],
        columns=["name", "title", "reference"],
    )


def _shipped() -> list[Path]:
    """The files: inside an installed package, else at the top of the checkout."""
    package = Path(__file__).parent
    installed = package / "models"
    folder = installed if installed.is_dir() else package.parent / "models"
    return sorted(folder.glob("*.toml"))


def _place(name: str | Path) -> Path:
    shipped = {path.stem: path for path in _shipped()}
    names = ", ".join(shipped)
    if str(name) in shipped:
        return shipped[str(name)]
    path = Path(name)
    if path.suffix != ".toml":
        raise InvalidModelError(
            f"there is no recipe {str(name)!r}; recipes are {names}, or a file that ends in .toml"
            f"{did_you_mean(name, shipped)}"
        )
    if not path.is_file():
        raise InvalidModelError(
            f"there is no file {str(name)!r}; recipes of the package go by their names: {names}"
        )
    return path
