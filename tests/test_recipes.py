"""Recipes: each runs on a few rows of its own data, and is found by name."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesmtl as bm
from bayesmtl import recipes
from bayesmtl.recipe_schema import build_model

NAMES = bm.list_recipes()["name"].to_list()
TINY = {"draws": 5, "tune": 5, "chains": 1, "random_seed": 1, "progressbar": False}


def few_rows(recipe: recipes.Recipe) -> pd.DataFrame:
    """Twelve rows of the first five tasks."""
    data, task = recipe.data(), recipe.model().task
    return data[data[task].isin(data[task].unique()[:5])].groupby(task, sort=False).head(12)


def test_the_list_names_every_file() -> None:
    files = sorted((Path(__file__).parents[1] / "models").glob("*.toml"))
    assert [path.stem for path in files] == NAMES
    assert len(NAMES) >= 14
    table = bm.list_recipes().set_index("name")
    assert table.columns.to_list() == ["title", "reference"]
    assert "J. Mach. Learn. Res. 8" in table.loc["xue2007-dp", "reference"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_every_recipe_runs(name: str) -> None:
    recipe = bm.load_recipe(name)
    assert set(recipe.columns) <= set(recipe.data().columns)
    idata = recipe.fit(few_rows(recipe), **TINY)
    posterior = idata["posterior"].to_dataset()
    assert posterior.sizes["draw"] == 5
    assert all(np.isfinite(values).all() for values in posterior.data_vars.values())


@pytest.mark.parametrize("name", NAMES)
def test_models_of_recipes_survive_json(name: str) -> None:
    model = bm.load_recipe(name).model()
    assert build_model(model.to_dict()) == model


def test_a_recipe_is_a_value_with_models_that_differ() -> None:
    recipe = bm.load_recipe("xue2007-dp")
    assert recipe == bm.load_recipe("xue2007-dp")
    assert hash(recipe) == hash(bm.load_recipe("xue2007-dp"))
    assert recipe.model() == bm.Model(
        "y ~ x1 + x2 + x3 + x4 + x5 + x6 + x7 + x8 + x9",
        task="task",
        intercept="relation",
        likelihood=bm.Bernoulli(),
        relation=bm.DirichletProcess(between=1.0),
    )
    assert isinstance(bm.load_recipe("bonilla2007").model(), bm.MultiTaskGP)
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.title = "another"  # type: ignore[misc]


@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_own_data_and_settings_of_the_file(tmp_path: Path) -> None:
    text = (Path(recipes.__file__).parents[1] / "models" / "rats.toml").read_text(encoding="utf-8")
    own = tmp_path / "mine.toml"
    own.write_text(f"{text}\n[fit]\ndraws = 7\ntune = 5\nchains = 1\nrandom_seed = 1\n")
    recipe = bm.load_recipe(own)
    assert recipe.name == "mine"
    idata = recipe.fit(few_rows(recipe).assign(weight=lambda rows: 10 * rows["weight"]), tune=6)
    assert idata["posterior"].sizes["draw"] == 7
    assert float(idata["observed_data"]["weight"].mean()) > 1000


def test_recipes_inside_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "bayesmtl" / "models"
    installed.mkdir(parents=True)
    text = (Path(recipes.__file__).parents[1] / "models" / "rats.toml").read_text(encoding="utf-8")
    (installed / "rats.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(recipes, "__file__", str(tmp_path / "bayesmtl" / "recipes.py"))
    assert bm.list_recipes()["name"].to_list() == ["rats"]


def test_recipes_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        bm.InvalidModelError, match=r"no recipe 'xue2007'.*; did you mean 'xue2007-dp'"
    ):
        bm.load_recipe("xue2007")
    with pytest.raises(bm.InvalidModelError, match=r"there is no file 'a.toml'; recipes of the pa"):
        bm.load_recipe("a.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("title = ")
    with pytest.raises(bm.InvalidModelError, match=r"broken.toml is no TOML file: "):
        bm.load_recipe(broken)


def test_options_that_a_fit_does_not_have() -> None:
    with pytest.raises(
        bm.InvalidModelError,
        match="fit of MultiTaskGraphicalModel has no setting 'inference'; its settings are chains",
    ):
        bm.load_recipe("peterson2015").fit(inference="nuts")


@pytest.mark.filterwarnings("ignore::bayesmtl.BayesMTLWarning")
def test_data_of_the_paper(shared_data: Path) -> None:
    rows = pd.read_csv(shared_data / "landmine.csv.gz")
    few = rows.groupby("task").head(20).query("task in [1, 2, 16, 17]")
    idata = bm.load_recipe("xue2007-dp").fit(few, **TINY)
    assert idata["task_relations"]["coclustering"].shape == (4, 4)
