"""What a recipe may hold: every table, key and value is checked when it is read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pandas as pd

from bayesmtl.datasets import examples, list_datasets
from bayesmtl.errors import BayesMTLError, InvalidModelError
from bayesmtl.fitting import check_sizes
from bayesmtl.gp.model import MultiTaskGP
from bayesmtl.gp.network import SharedNetwork
from bayesmtl.graphical.model import MultiTaskGraphicalModel
from bayesmtl.inference.options import METHODS
from bayesmtl.keys import did_you_mean, refuse_unknown
from bayesmtl.model import Model
from bayesmtl.priors import prior_from_dict
from bayesmtl.specification import part_from_dict

__all__ = ["GENERATORS", "AnyModel", "build_model", "check_recipe", "check_run"]

AnyModel = Model | MultiTaskGP | MultiTaskGraphicalModel | SharedNetwork

GENERATORS: dict[str, Callable[..., pd.DataFrame]] = {
    name: getattr(examples, name) for name in examples.__all__
}
_MODELS: dict[str, Any] = {
    kind.__name__: kind for kind in (Model, MultiTaskGP, MultiTaskGraphicalModel, SharedNetwork)
}
_TOP = {"title": str, "reference": str, "differs": str, "data": dict, "model": dict, "fit": dict}
_DATA = {"source": str, "columns": dict, "settings": dict}
_TYPES: dict[type, str] = {str: "a text", dict: "a table"}


def build_model(settings: Mapping[str, Any]) -> AnyModel:
    """The model of settings as its ``to_dict`` writes them; ``type`` may be left out for `Model`.

    Raises
    ------
    InvalidModelError
        For another type, or settings that are wrong.
    """
    others = {key: value for key, value in settings.items() if key != "type"}
    kind = settings.get("type", "Model")
    if not isinstance(kind, str) or kind not in _MODELS:
        raise InvalidModelError(
            f"type must be one of {', '.join(_MODELS)}, got {kind!r}{did_you_mean(kind, _MODELS)}"
        )
    return _MODELS[kind].from_dict(others)


def check_run(model: AnyModel, run: Mapping[str, Any]) -> None:
    """Check arguments of the model's ``fit``.

    Raises
    ------
    InvalidModelError
        For an argument that it does not have, or a wrong value.
    """
    known = inspect.signature(model.fit).parameters.values()
    if not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known):
        names = [one.name for one in known if one.kind is inspect.Parameter.KEYWORD_ONLY]
        refuse_unknown(f"the fit of {type(model).__name__}", run, names)


def check_recipe(content: Mapping[str, Any], file: str) -> None:
    """Check what a file holds.

    Raises
    ------
    InvalidModelError
        Naming file, table, key or value, and what is valid.
    """
    with _inside(file):
        _check_keys("a recipe", content, _TOP, optional=("fit",))
    with _inside(f"{file}, [data]"):
        _check_keys("[data]", content["data"], _DATA, optional=("settings",))
        for column, text in content["data"]["columns"].items():
            _check_type(f"columns.{column}", text, str)
        _check_source(content["data"])
    _check_tables(content["model"], "model", file)
    with _inside(f"{file}, [model]"):
        model = build_model(content["model"])
    with _inside(f"{file}, [fit]"):
        _check_fit(model, content.get("fit", {}))


@contextmanager
def _inside(place: str) -> Iterator[None]:
    try:
        yield
    except BayesMTLError as error:
        raise InvalidModelError(f"{place}: {error}") from None


def _check_keys(
    owner: str, table: Mapping[str, Any], types: Mapping[str, type], optional: tuple[str, ...]
) -> None:
    refuse_unknown(owner, table, types)
    for key, kind in types.items():
        if key in table:
            _check_type(key, table[key], kind)
        elif key not in optional:
            raise InvalidModelError(f"{owner} needs {key!r}")


def _check_type(key: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise InvalidModelError(f"{key} must be {_TYPES[kind]}, got {value!r}")


def _check_source(data: Mapping[str, Any]) -> None:
    """A shipped set, or a generator with all of its settings."""
    source, settings = data["source"], data.get("settings", {})
    names = [*list_datasets()["name"], *GENERATORS]
    if source not in names:
        raise InvalidModelError(
            f"source must be one of {', '.join(names)}, got {source!r}{did_you_mean(source, names)}"
        )
    known = inspect.signature(GENERATORS[source]).parameters if source in GENERATORS else {}
    refuse_unknown(f"source {source!r}", settings, known)
    for name in known:
        value = settings.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InvalidModelError(f"settings.{name} must be a positive integer, got {value!r}")
    if source in GENERATORS:
        GENERATORS[source](**settings)


def _check_tables(table: Mapping[str, Any], path: str, file: str) -> None:
    """Check parts and priors inside a table, the innermost first, so that errors name theirs."""
    for key, value in table.items():
        if not isinstance(value, Mapping):
            continue
        here = f"{path}.{key}"
        _check_tables(value, here, file)
        with _inside(f"{file}, [{here}]"):
            if "type" in value:
                part_from_dict(value)
            elif "family" in value:
                prior_from_dict(value)
            elif "by_name" in value:
                refuse_unknown("a prior of each feature", value, ("by_name",))
            elif key not in ("tasks", "by_name"):
                raise InvalidModelError(
                    "a table has a type (of a relation or likelihood), a family (of a prior) or "
                    f"by_name (priors of features), got {value!r}"
                )


def _check_fit(model: AnyModel, run: Mapping[str, Any]) -> None:
    parameters = inspect.signature(model.fit).parameters
    kept = ("inference", "draws", "tune", "chains", "random_seed")
    refuse_unknown("[fit]", run, [name for name in kept if name in parameters])
    sizes = {"draws": 1, "tune": 0, "chains": 1, "random_seed": None}
    check_sizes(**(sizes | {k: v for k, v in run.items() if k in sizes}), cores=None)
    methods = tuple(METHODS)
    if isinstance(model, MultiTaskGP):
        from bayesmtl.gp.fitting import METHODS as OF_FUNCTIONS

        methods = tuple(OF_FUNCTIONS)
    inference = run.get("inference", "gibbs")
    if not isinstance(inference, str) or inference not in methods:
        raise InvalidModelError(
            f"inference must be one of {', '.join(methods)}, got {inference!r}"
            f"{did_you_mean(inference, methods)}"
        )
