"""A recipe that is wrong: the file, the table, the key or value, and what is valid."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

import bayesmtl as bm
from bayesmtl.recipe_schema import build_model, check_recipe

RIGHT = """
title = "A title"
reference = "A paper"
differs = "Nothing"

[data]
source = "clustered_tasks"
settings = { n_tasks = 4, n_rows = 5, n_features = 2, random_seed = 1 }
columns = { y = "the response" }

[model]
formula = "y ~ x1 + x2"
task = "task"
intercept = { type = "Exchangeable", mean = { family = "Normal", mu = 0, sigma = 1 } }
likelihood = { type = "Gaussian", noise = "shared" }

[model.relation]
type = "DirichletProcess"
between = { family = "Beta", alpha = 2, beta = 1 }
mean = { by_name = { x1 = 0.5 } }

[fit]
inference = "gibbs"
draws = 10
"""
FUNCTIONS = RIGHT[: RIGHT.index("intercept = ")] + 'type = "MultiTaskGP"\n'


def check(text: str) -> None:
    check_recipe(tomllib.loads(text), "a.toml")


def test_a_right_one_passes() -> None:
    check(RIGHT)
    check(FUNCTIONS + '[fit]\ninference = "map"')


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title", "titel", r"a.toml: a recipe has no setting 'titel'; .*; did you mean 'title'\?"),
        ('title = "A title"', "", "a.toml: a recipe needs 'title'"),
        ('"A title"', "3", "a.toml: title must be a text, got 3"),
        ("[fit]", "[fits]", r"a recipe has no setting 'fits'; .*; did you mean 'fit'\?"),
        ("source", "sorce", r"a.toml, \[data\]: \[data\] has no setting 'sorce'.*'source'\?"),
        ('"the response"', "1", r"\[data\]: columns.y must be a text, got 1"),
        ("clustered_tasks", "clustred_tasks", "got 'clustred_tasks'; did you mean 'clustered_ta"),
        ('"clustered_tasks"', "[1]", r"\[data\]: source must be a text, got \[1\]"),
        ("clustered_tasks", "rats", "source 'rats' has no setting 'n_features'; its settings are"),
        ("n_rows = 5", "n_row = 5", "has no setting 'n_row'; .*; did you mean 'n_rows'"),
        ("n_rows = 5", "n_rows = 0", "settings.n_rows must be a positive integer, got 0"),
        ("n_rows = 5, ", "", "settings.n_rows must be a positive integer, got None"),
        ("n_tasks = 4", "n_tasks = 2", r"a.toml, \[data\]: n_clusters = 3 exceeds n_tasks = 2"),
        ("formula", "formulas", r"\[model\]: a model has no setting 'formulas'.*'formula'\?"),
        ('"y ~ x1 + x2"', "3", r"a.toml, \[model\]: the formula must be a text like"),
        ('"y ~ x1 + x2"', '"y ~ open(x1)"', r"a.toml, \[model\]: .*open"),
        ('type = "Gaussian"', 'type = "Gausian"', r"\[model.likelihood\]: unknown part 'Gausian'"),
        ('type = "Gaussian"', "type = [1]", r"\[model.likelihood\]: unknown part \[1\]"),
        ('"shared"', '"loud"', r"\[model.likelihood\]: noise must be .*, got 'loud'"),
        ("between", "betwen", r"\[model.relation\]: DirichletProcess has no setting 'betwen'.*'be"),
        ("alpha = 2, ", "", r"\[model.relation.between\]: Beta needs the parameter 'alpha'"),
        ("sigma", "sd", r"\[model.intercept.mean\]: Normal has no parameter 'sd'; its"),
        ("sigma = 1", "sigma = -1", r"\[model.intercept.mean\]: Normal: sigma must be"),
        ('"Normal"', '"Nomal"', r"unknown prior family 'Nomal'; .*; did you mean 'Normal'\?"),
        ('family = "Normal", ', "", r"\[model.intercept.mean\]: a table has a type .*, a family"),
        ("0.5 } }", "0.5 }, z = 1 }", r"\[model.relation.mean\]: a prior of each .* setting 'z'"),
        ("x1 = 0.5", 'x1 = "a"', r"\[model.relation\]: a hyperparameter must be a number .*'a'"),
        ("draws = 10", "draw = 10", r"\[fit\]: \[fit\] has no setting 'draw'.*mean 'draws'\?"),
        ("draws = 10", "draws = 0.5", r"a.toml, \[fit\]: draws must be an integer .*, got 0.5"),
        ('"gibbs"', '"gips"', r"\[fit\]: inference must be one of gibbs, .*, got 'gips'"),
    ],
)
def test_what_is_wrong(old: str, new: str, message: str) -> None:
    assert old in RIGHT
    with pytest.raises(bm.InvalidModelError, match=message):
        check(RIGHT.replace(old, new, 1))


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ('kernl = "rbf"', r"MultiTaskGP has no setting 'kernl'; .*; did you mean 'kernel'\?"),
        ('[fit]\ninference = "cavi"', r"\[fit\]: inference must be one of gibbs, nuts, map, svgp"),
    ],
)
def test_what_is_wrong_of_functions(added: str, message: str) -> None:
    with pytest.raises(bm.InvalidModelError, match=message):
        check(f"{FUNCTIONS}{added}\n")


def test_what_a_model_cannot_do_names_the_file_too() -> None:
    kinds = '[model.likelihood]\ntype = "Mixed"\ntasks = { a = { type = "Gaussian" } }'
    with pytest.raises(bm.InvalidModelError, match=r"a.toml, \[model\]: SharedNetwork has one lik"):
        check(FUNCTIONS.replace("MultiTaskGP", "SharedNetwork") + kinds)


def test_graphs_have_one_method() -> None:
    model = '[model]\ntype = "MultiTaskGraphicalModel"\n[fit]\ninference = "gibbs"'
    with pytest.raises(bm.InvalidModelError, match=r"\[fit\] has no setting 'inference'"):
        check(RIGHT[: RIGHT.index("[model]")] + model)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"type": "MultiTaskGPs"}, "type must be one of Model, .*; did you mean 'MultiTaskGP'"),
        ({"type": 3}, "type must be one of Model, .*, got 3"),
        ({"type": "MultiTaskGP", "task": "t"}, "the settings of MultiTaskGP need 'formula'"),
        ({"formula": "y ~ x"}, "the settings of a model need 'task'"),
    ],
)
def test_models_that_are_none(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(bm.InvalidModelError, match=message):
        build_model(spec)


def test_nothing_of_a_file_is_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    code = f"__import__('pathlib').Path('{trace}').touch()"
    with pytest.raises(bm.InvalidModelError):
        check(RIGHT.replace("y ~ x1 + x2", f"y ~ {{{code}}}"))
    assert not trace.exists()
