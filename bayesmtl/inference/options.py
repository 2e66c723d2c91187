"""Options of single inference methods: keywords of ``Model.fit`` beside those of every method."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Any

import numpy as np

from bayesmtl.errors import InvalidModelError, UnsupportedError
from bayesmtl.keys import did_you_mean

__all__ = [
    "METHODS",
    "AdviOptions",
    "LaplaceOptions",
    "NoOptions",
    "NutsOptions",
    "Options",
    "PathfinderOptions",
    "check_options",
    "read_options",
]

_OF_EVERY_METHOD = ("draws", "tune", "chains", "cores", "random_seed", "progressbar")
_SAMPLERS = ("nutpie", "pymc", "numpyro")


def _set_integer(options: Any, name: str, least: int) -> None:
    """Check a setting, and make it an integer that JSON knows."""
    value = getattr(options, name)
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InvalidModelError(f"{name} must be an integer of at least {least}, got {value!r}")
    object.__setattr__(options, name, int(value))


@dataclass(frozen=True)
class NoOptions:
    """Of methods that have none."""


@dataclass(frozen=True)
class NutsOptions:
    """Of "nuts".

    Parameters
    ----------
    sampler : {"nutpie", "pymc", "numpyro"}
        Which No-U-Turn sampler runs on the graph; "pymc" runs one chain after the other.
    target_accept : float
        Acceptance rate that the step size is tuned to, between 0 and 1.
    max_treedepth : int
        Trajectories have at most 2^max_treedepth steps.

    Raises
    ------
    InvalidModelError
        For a value that is none of these.
    UnsupportedError
        For a sampler that is not installed.
    """

    sampler: str = "nutpie"
    target_accept: float = 0.8
    max_treedepth: int = 10

    def __post_init__(self) -> None:
        if self.sampler not in _SAMPLERS:
            raise InvalidModelError(
                f"sampler must be one of {', '.join(map(repr, _SAMPLERS))}, got {self.sampler!r}"
            )
        if find_spec(self.sampler) is None:
            raise UnsupportedError(
                f"sampler={self.sampler!r} needs the package {self.sampler}: install it with "
                f"`pip install {self.sampler}`, or use sampler='nutpie'"
            )
        rate = self.target_accept
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 1:
            raise InvalidModelError(
                f"target_accept must be a number between 0 and 1, got {self.target_accept!r}"
            )
        _set_integer(self, "max_treedepth", 1)


@dataclass(frozen=True)
class AdviOptions:
    """Of "advi" and "fullrank_advi".

    Parameters
    ----------
    elbo_draws : int, optional
        Fixed standard normal draws that the bound is averaged over, in pairs of opposite sign. By
        default 200, and for "fullrank_advi" at least four for every variable.
    iterations : int
        Of the optimiser, at most.

    Raises
    ------
    InvalidModelError
        For a value that is none of these.
    """

    elbo_draws: int | None = None
    iterations: int = 5000

    def __post_init__(self) -> None:
        if self.elbo_draws is not None:
            _set_integer(self, "elbo_draws", 2)
        _set_integer(self, "iterations", 1)


@dataclass(frozen=True)
class PathfinderOptions:
    """Of "pathfinder".

    Parameters
    ----------
    paths : int
        Optimisation paths, from random starts.
    iterations : int
        Of each path, at most.

    Raises
    ------
    InvalidModelError
        For a value that is none of these.
    """

    paths: int = 8
    iterations: int = 1000

    def __post_init__(self) -> None:
        _set_integer(self, "paths", 1)
        _set_integer(self, "iterations", 1)


@dataclass(frozen=True)
class LaplaceOptions:
    """Of "laplace".

    Parameters
    ----------
    iterations : int
        Of the optimiser, at most.

    Raises
    ------
    InvalidModelError
        For a value that is none of these.
    """

    iterations: int = 5000

    def __post_init__(self) -> None:
        _set_integer(self, "iterations", 1)


type Options = NoOptions | NutsOptions | AdviOptions | PathfinderOptions | LaplaceOptions

METHODS: Mapping[str, type[Options]] = {
    "gibbs": NoOptions,
    "nuts": NutsOptions,
    "cavi": NoOptions,
    "laplace_sites": NoOptions,
    "advi": AdviOptions,
    "fullrank_advi": AdviOptions,
    "pathfinder": PathfinderOptions,
    "laplace": LaplaceOptions,
}


def check_options(
    inference: str, given: Mapping[str, Any], methods: Mapping[str, Collection[str]]
) -> None:
    """Refuse a method or an option that is not there.

    Parameters
    ----------
    inference : str
    given : mapping
        Options.
    methods : mapping of str to collection of str
        The options of each method.

    Raises
    ------
    InvalidModelError
        Naming the valid ones and the nearest.
    """
    if inference not in methods:
        *names, last = map(repr, methods)
        raise InvalidModelError(
            f"inference must be {', '.join(names)} or {last}, got {inference!r}"
        )
    known = methods[inference]
    for name in given:
        if name not in known:
            options = f"its options are {', '.join(known)}" if known else "it has no options"
            near = did_you_mean(name, (*known, *_OF_EVERY_METHOD))
            raise InvalidModelError(
                f"inference={inference!r} does not know {name!r}: {options}{near}"
            )


def read_options(inference: str, given: Mapping[str, Any]) -> Options:
    """Options of a method.

    Raises
    ------
    InvalidModelError
        For an unknown method, an option that it does not have, or a wrong value.
    UnsupportedError
        For a sampler that is not installed.
    """
    known = {name: [field.name for field in fields(kind)] for name, kind in METHODS.items()}
    check_options(inference, given, known)
    return METHODS[inference](**given)
