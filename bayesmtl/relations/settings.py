"""Hyperparameters as users write them: a prior, a number, one number a feature, or a mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bayesmtl.errors import InvalidModelError
from bayesmtl.priors import Prior, PriorLike, as_prior, prior_from_dict, prior_to_dict

__all__ = [
    "Hyperparameter",
    "clean",
    "describe",
    "from_json",
    "per_feature",
    "require_numbers",
    "require_support",
    "to_json",
]

Hyperparameter = PriorLike | tuple[float, ...] | Mapping[str, PriorLike] | None


class _ByName(Mapping[str, PriorLike]):
    """An immutable mapping with a hash, so that the settings that hold it are values too."""

    def __init__(self, entries: Mapping[str, PriorLike]) -> None:
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> PriorLike:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __hash__(self) -> int:
        return hash(frozenset(self._entries.items()))

    def __repr__(self) -> str:
        return repr(self._entries)


def clean(value: Any, name: str) -> Hyperparameter:
    """Validate a hyperparameter and make it immutable.

    Raises
    ------
    InvalidModelError
        When it is not None, a prior, a finite number, an array of numbers or a mapping of these.
    """
    if value is None:
        return None
    if isinstance(value, Mapping):
        return _ByName(
            {str(key): as_prior(item, f"{name}[{key!r}]") for key, item in value.items()}
        )
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, np.ndarray | Sequence) and not isinstance(value, str):
        numbers = [
            as_prior(item, f"{name}[{i}]") for i, item in enumerate(np.asarray(value).tolist())
        ]
        if any(isinstance(number, Prior) for number in numbers):
            raise InvalidModelError(f"{name}: give priors in a mapping {{feature: prior}}")
        return tuple(float(number) for number in numbers)  # type: ignore[arg-type]
    return as_prior(value, name)


def _entries(value: Hyperparameter) -> list[PriorLike]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, tuple):
        return list(value)
    return [value]


def require_support(value: Hyperparameter, name: str, lower: float, upper: float = np.inf) -> None:
    """Check that numbers and supports of priors lie in [lower, upper].

    Raises
    ------
    InvalidModelError
        With the offending value and families that fit.
    """
    families = "HalfNormal, HalfCauchy, Exponential" if upper == np.inf else "Beta"
    for entry in _entries(value):
        low = entry.lower if isinstance(entry, Prior) else entry
        high = entry.upper if isinstance(entry, Prior) else entry
        if isinstance(entry, Prior) and entry.family == "LKJ":
            raise InvalidModelError(f"{name}: {entry} is a prior of correlation matrices")
        if low < lower or high > upper:
            bounds = f"at least {lower:g}" if upper == np.inf else f"in [{lower:g}, {upper:g}]"
            raise InvalidModelError(
                f"{name} must be {bounds}, got {entry}; priors such as {families} fit"
            )


def require_numbers(value: Hyperparameter, name: str, instead: str) -> None:
    """Check that a hyperparameter holds fixed numbers only.

    Raises
    ------
    InvalidModelError
        With what to use instead.
    """
    for entry in _entries(value):
        if isinstance(entry, Prior):
            raise InvalidModelError(f"{name} must be fixed numbers, got {entry}; {instead}")


def per_feature(
    value: Hyperparameter, names: Sequence[str], default: Sequence[PriorLike], name: str
) -> list[PriorLike]:
    """One entry a feature; features that a mapping leaves out take their default.

    Raises
    ------
    InvalidModelError
        For a mapping with an unknown feature, or an array of another length.
    """
    if value is None:
        return list(default)
    if isinstance(value, Mapping):
        unknown = [key for key in value if key not in names]
        if unknown:
            hint = ""
            if unknown[0] == "Intercept":
                own = f"intercept=bm.{name.replace(' ', '(')}=...)"
                hint = f"; {own} sets a separate intercept, intercept='relation' makes it a feature"
            raise InvalidModelError(
                f"{name}: {unknown[0]!r} is no feature of the model; its features are "
                f"{', '.join(names) or 'none'}{hint}"
            )
        return [value.get(key, fallback) for key, fallback in zip(names, default, strict=True)]
    if isinstance(value, tuple):
        if len(value) != len(names):
            raise InvalidModelError(
                f"{name} has {len(value)} numbers, the model has {len(names)} features: "
                f"{', '.join(names) or 'none'}"
            )
        return list(value)
    return [value] * len(names)


def to_json(value: Hyperparameter) -> Any:
    """JSON form of a cleaned hyperparameter; a mapping of features is marked as such."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {"by_name": {key: prior_to_dict(item) for key, item in value.items()}}
    if isinstance(value, tuple):
        return list(value)
    return prior_to_dict(value)


def from_json(value: Any) -> Any:
    """Inverse of `to_json`."""
    if value is None or isinstance(value, list):
        return value
    if isinstance(value, Mapping) and isinstance(value.get("by_name"), Mapping):
        return {key: prior_from_dict(item) for key, item in value["by_name"].items()}
    return prior_from_dict(value)


def describe(value: Hyperparameter, default: str) -> str:
    """One line of the generative story."""
    if value is None:
        return default
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key}: {item}" for key, item in value.items())
        return f"{{{inner}; others: default}}"
    if isinstance(value, tuple):
        return f"({', '.join(f'{item:g}' for item in value)})"
    return f"{value:g}" if isinstance(value, float) else str(value)
