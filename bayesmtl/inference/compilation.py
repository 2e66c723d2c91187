"""A word to whoever waits while kernels are compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, cast

from numba.core import event

from bayesmtl.inference.console import watched_console

__all__ = ["told_of_compilation"]

_TEXT = (
    "Compiling the sampler. This is done once for each kind of model and can take minutes; "
    "[bold]python -m bayesmtl.warmup[/bold] does it for all."
)


def told_of_compilation[Run: Callable[..., Any]](run: Run) -> Run:
    """Make a run that has `settings` print a line when it has to compile, once.

    In a terminal or a notebook with a progress bar; silent elsewhere.
    """

    @wraps(run)
    def told(*args: Any, settings: dict[str, Any], **others: Any) -> Any:
        with _telling(settings["progressbar"]):
            return run(*args, settings=settings, **others)

    return cast(Run, told)


@contextmanager
def _telling(enabled: bool) -> Iterator[None]:
    console = watched_console(enabled)
    if console is None:
        yield
        return
    with event.install_listener("numba:compile", _Teller(console)):
        yield


class _Teller(event.Listener):
    """Prints at the first event."""

    def __init__(self, console: Any) -> None:
        self.console = console
        self.told = False

    def on_start(self, event: Any) -> None:
        """Kernels found in the cache do not come here."""
        if not self.told:
            self.told = True
            self.console.print(_TEXT)

    def on_end(self, event: Any) -> None:
        """Say nothing."""
