"""Recipes on the command line: options take the place of settings, for one's own data too."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner, Result

import bayesmtl as bm
from bayesmtl.cli import app
from bayesmtl.command_model import LIKELIHOODS, RELATIONS, model_settings
from bayesmtl.recipe_schema import build_model

SHORT = ["--draws", "10", "--tune", "10", "--chains", "1", "--seed", "1"]
BASE = {"formula": "y ~ x", "task": "t", "likelihood": {"type": "Gaussian", "noise": "shared"}}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def error_line(*arguments: str | Path) -> str:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    return result.stderr.splitlines()[-1]


def settings_of(path: Path) -> dict[str, Any]:
    return json.loads(bm.load(path).attrs["model"])


@pytest.mark.parametrize("name", RELATIONS)
def test_relations(name: str) -> None:
    model = build_model(model_settings(BASE, {"relation": name}))
    assert isinstance(model, bm.Model)
    assert type(model.relation).__name__ == RELATIONS[name]


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_likelihoods(name: str) -> None:
    given = {"likelihood": name, **dict.fromkeys(LIKELIHOODS[name][1], "low,high")}
    model = build_model(model_settings(BASE, given))
    assert isinstance(model, bm.Model)
    assert type(model.likelihood).__name__ == LIKELIHOODS[name][0]


def test_an_option_keeps_the_rest_of_the_likelihood() -> None:
    both = model_settings(BASE, {"se": "sigma", "formula": None})
    assert both == {**BASE, "likelihood": {"type": "Gaussian", "noise": "shared", "se": "sigma"}}
    new = model_settings(BASE, {"likelihood": "poisson", "exposure": "days", "formula": "n ~ z"})
    assert new["likelihood"] == {"type": "Poisson", "exposure": "days"}
    assert new["formula"] == "n ~ z"
    trials = {"likelihood": {"type": "Binomial", "trials": "n"}}
    assert model_settings(trials, {"trials": "m"})["likelihood"] == {
        "type": "Binomial",
        "trials": "m",
    }


def test_options_of_another_likelihood() -> None:
    mixed = {"likelihood": {"type": "Mixed", "tasks": {}}}
    with pytest.raises(typer.BadParameter, match="--noise does not go with --likelihood Mixed"):
        model_settings(mixed, {"noise": "shared"})


def test_recipes_are_listed() -> None:
    result = run("recipes")
    assert result.exit_code == 0
    assert "xue2007-dp: Logistic regressions in clusters" in result.stdout
    assert "    Xue, Liao, Carin and Krishnapuram 2007, J. Mach. Learn. Res. 8" in result.stdout


def test_a_recipe_with_its_own_data(tmp_path: Path) -> None:
    fit = tmp_path / "fit.zarr"
    result = run("fit", "--recipe", "eight-schools", *SHORT, "--out", fit)
    assert result.exit_code == 0, result.stderr
    assert "8 tasks (school), 8 rows" in result.stdout
    assert settings_of(fit)["intercept"]["scale"] == {"family": "HalfCauchy", "beta": 5.0}
    assert bm.load(fit)["posterior"].sizes["draw"] == 10


def test_a_recipe_with_own_columns(tmp_path: Path) -> None:
    rats = bm.load_dataset("rats").set_axis(["mouse", "age", "mass"], axis=1)
    data, fit, file = tmp_path / "mice.csv", tmp_path / "fit.zarr", tmp_path / "mice.toml"
    rats.to_csv(data, index=False)
    source = Path(__file__).parents[1] / "models" / "rats.toml"
    file.write_text(f"{source.read_text(encoding='utf-8')}\n[fit]\ndraws = 30\ntune = 10\n")
    own = ["--formula", "mass ~ age", "--task", "mouse", "--chains", "1", "--seed", "1"]
    result = run("fit", data, "--recipe", file, *own, "--tune", "5", "--out", fit)
    assert result.exit_code == 0, result.stderr
    settings = settings_of(fit)
    assert (settings["formula"], settings["task"]) == ("mass ~ age", "mouse")
    assert settings["relation"]["feature_covariance"] == "full"
    assert bm.load(fit)["posterior"].sizes["draw"] == 30
    assert run("predict", fit, data).exit_code == 0


def test_functions_on_the_command_line(tmp_path: Path) -> None:
    fit, new = tmp_path / "fit.zarr", tmp_path / "new.csv"
    result = run("fit", "--recipe", "bonilla2007", *SHORT, "--out", fit)
    assert result.exit_code == 0, result.stderr
    assert "Diagnostics: CHECK: R-hat is not available with one chain" in result.stdout
    assert "a function for each of 4 tasks" in result.stdout
    pd.DataFrame({"task": ["t1", "t2"], "x1": 0.5}).to_csv(new, index=False)
    assert len(run("predict", fit, new).stdout.splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'DATA'; or start from a recipe by --recipe"),
        (["radon", "--formula", "y ~ x"], "Missing option '--task'; or start from a recipe"),
        (["--recipe", "rat"], "there is no recipe 'rat'; .*; did you mean 'rats'?"),
        (["--recipe", "nowhere.toml"], "there is no file 'nowhere.toml'"),
        (["--recipe", "rats", "nowhere.csv"], "'nowhere.csv' is neither a file nor one of"),
        (["--recipe", "rats", "--trials", "n"], "--trials does not go with --likelihood gaussian"),
        (["--recipe", "xue2007-dp", "--likelihood", "binomial"], "binomial needs --trials"),
        (["--recipe", "peterson2015", "--formula", "y ~ x"], "has no setting 'formula'"),
        (["--recipe", "peterson2015", "--inference", "nuts"], "has no setting 'inference'"),
        (["--recipe", "rats", "--formula", "mass ~ age"], 'names the column "mass"'),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    start, _, end = message.partition(".*")
    line = error_line("fit", *arguments, "--out", "a.zarr")
    assert line.startswith("Error: ")
    assert start in line
    assert end in line
