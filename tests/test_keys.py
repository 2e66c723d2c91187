"""Mistyped names."""

import pytest

from bayesmtl.errors import InvalidModelError
from bayesmtl.keys import did_you_mean, refuse_unknown


def test_the_nearest_name() -> None:
    assert did_you_mean("relatoin", ["task", "relation"]) == "; did you mean 'relation'?"
    assert did_you_mean("zzz", ["task", "relation"]) == ""
    assert did_you_mean("seed", ["draws", "random_seed"]) == "; did you mean 'random_seed'?"
    assert did_you_mean("se", ["random_seed"]) == ""
    assert did_you_mean(3, ["task"]) == ""


def test_unknown_settings() -> None:
    refuse_unknown("a model", ["task"], ["task", "relation"])
    message = r"^a model has no setting 'tsk'; its settings are relation, task; did you mean 'task'"
    with pytest.raises(InvalidModelError, match=message):
        refuse_unknown("a model", ["tsk", "zzz"], ["task", "relation"])
