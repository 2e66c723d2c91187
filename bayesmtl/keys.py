"""Names that a user mistyped: which one, and the nearest valid one."""

import difflib
from collections.abc import Iterable

from bayesmtl.errors import InvalidModelError

__all__ = ["did_you_mean", "refuse_unknown"]


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The end of a message that names the valid name nearest to a wrong one, if any is near."""
    text, names = str(name), list(known)
    near = difflib.get_close_matches(text, names, n=1)
    # A part of a name, as "seed", may be far from the whole of it.
    near = near or [one for one in names if len(text) > 2 and text in one]
    return f"; did you mean {near[0]!r}?" if near else ""


def refuse_unknown(owner: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse settings that something does not have.

    Raises
    ------
    InvalidModelError
        Naming the first of them, all valid ones, and the nearest.
    """
    names = sorted(known)
    for name in sorted(set(given) - set(names)):
        raise InvalidModelError(
            f"{owner} has no setting {name!r}; its settings are {', '.join(names)}"
            f"{did_you_mean(name, names)}"
        )
