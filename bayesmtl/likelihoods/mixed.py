"""Tasks of different kinds: a likelihood for each task."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmtl.errors import InvalidDataError, InvalidModelError
from bayesmtl.frames.labels import label_text, label_texts
from bayesmtl.likelihoods.gaussian import Gaussian
from bayesmtl.likelihoods.ordinal import Ordinal

__all__ = [
    "Mixed",
    "all_ordinal",
    "common_likelihood",
    "own_noise",
    "partition_tasks",
]


@dataclass(frozen=True, repr=False)
class Mixed:
    """A likelihood for each task, in the order of their labels.

    Parameters
    ----------
    tasks : tuple of (str, likelihood)
        Labels as text.

    Raises
    ------
    InvalidModelError
        Without tasks; for the spread of noise sds.
    """

    tasks: tuple[tuple[str, Any], ...]

    def __post_init__(self) -> None:
        if not self.tasks:
            raise InvalidModelError("likelihood={} has no task: give {task: likelihood, ...}")
        if common_likelihood(self) is not self:
            return
        for label, one in self.tasks:
            if isinstance(one, Gaussian) and one.noise_spread is not None:
                raise InvalidModelError(
                    f"likelihood: task {label!r} has noise_spread=, but tasks of a mapping may "
                    "have different units, so nothing ties their noise: leave it out, or use "
                    "noise='shared'"
                )

    @classmethod
    def of(cls, mapping: Mapping[Any, Any]) -> Mixed:
        """From {label: likelihood}.

        Raises
        ------
        InvalidModelError
            For two labels of one text.
        """
        texts = [label_text(label) for label in mapping]
        twice = sorted({text for text in texts if texts.count(text) > 1})
        if twice:
            raise InvalidModelError(f"likelihood has two entries for task {twice[0]!r}")
        return cls(tuple(sorted(zip(texts, mapping.values(), strict=True), key=lambda x: x[0])))

    def __repr__(self) -> str:
        return repr(dict(self.tasks))

    def __getitem__(self, label: Hashable) -> Any:
        return dict(self.tasks)[label_text(label)]

    def extended(self, others: Mapping[Any, Any]) -> Mixed:
        """With further tasks."""
        return Mixed.of(dict(self.tasks) | {label_text(k): one for k, one in others.items()})

    @property
    def columns(self) -> dict[str, dict[str, str]]:
        """Column of each task that has one, by role."""
        out: dict[str, dict[str, str]] = {"se": {}, "trials": {}, "exposure": {}}
        for label, one in self.tasks:
            for role, column in one.columns.items():
                if column is not None:
                    out[role][label] = column
        return out

    def users(self, *, need_noise: bool = True) -> dict[str, frozenset[str]]:
        """Tasks that use each column; ``need_noise``: known standard errors too."""
        wanted = [of for role, of in self.columns.items() if need_noise or role != "se"]
        pairs = [pair for of_role in wanted for pair in of_role.items()]
        return {
            column: frozenset(label for label, other in pairs if other == column)
            for _, column in pairs
        }

    def check_tasks(self, labels: np.ndarray) -> None:
        """Refuse data with other tasks.

        Raises
        ------
        InvalidDataError
            Naming the first of them.
        """
        found = label_texts(labels)
        known = [label for label, _ in self.tasks]
        for some, others, verdict in (
            (found, known, "the data have tasks that likelihood= has no entry for"),
            (known, found, "likelihood= has entries that are no task of the data"),
        ):
            left = sorted(set(some) - set(others))
            if left:
                names = ", ".join(map(repr, left[:5]))
                raise InvalidDataError(
                    f"{verdict}: {names}{', ...' if len(left) > 5 else ''}; give every task one"
                )


def common_likelihood(likelihood: Any) -> Any:
    """What all tasks of a mapping have in common; itself where they differ, or is no mapping."""
    if not isinstance(likelihood, Mixed):
        return likelihood
    first = likelihood.tasks[0][1]
    return first if all(one == first for _, one in likelihood.tasks) else likelihood


def all_ordinal(likelihood: Any) -> bool:
    """Whether every response holds ordered levels."""
    each = [one for _, one in likelihood.tasks] if isinstance(likelihood, Mixed) else [likelihood]
    return all(isinstance(one, Ordinal) for one in each)


def own_noise(likelihood: Any) -> bool:
    """Whether each task with this likelihood has a noise sd of its own to learn."""
    return (
        isinstance(likelihood, Gaussian)
        and likelihood.noise == "hierarchical"
        and not likelihood.fixed
    )


def partition_tasks(
    likelihood: Any, labels: np.ndarray, *, split_noise: bool = True
) -> Iterator[tuple[Any, np.ndarray]]:
    """Each likelihood with the codes of the tasks that share it.

    Parameters
    ----------
    likelihood : Likelihood or Mixed
    labels : (task,)
    split_noise : bool
        Whether a task with a noise sd of its own stands alone.
    """
    if not isinstance(likelihood, Mixed):
        yield likelihood, np.arange(len(labels))
        return
    groups: dict[tuple[Any, int], list[int]] = {}
    for code, label in enumerate(labels.tolist()):
        one = likelihood[label]
        alone = code if split_noise and own_noise(one) else -1
        groups.setdefault((one, alone), []).append(code)
    for (one, _), codes in groups.items():
        yield one, np.array(codes)
