"""Whoever waits for a compilation is told."""

from typing import Any

import numba
import pytest
import rich.console

from bayesmtl.inference.compilation import told_of_compilation


def run_of(*numbers: float) -> Any:
    """A run that compiles, or calls, a function for each number."""
    double = numba.njit(lambda x: 2 * x)

    @told_of_compilation
    def run(offset: int, *, settings: dict[str, Any]) -> list[float]:
        return [offset + double(number) for number in numbers]

    return run


@pytest.mark.parametrize(
    ("numbers", "terminal", "progressbar", "lines"),
    [
        ((1, 1.5), True, True, 1),
        ((), True, True, 0),
        ((1,), False, True, 0),
        ((1,), True, False, 0),
    ],
)
def test_one_line_where_there_is_a_bar_and_something_to_compile(
    numbers: tuple[float, ...],
    terminal: bool,
    progressbar: bool,
    lines: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(rich.console.Console, "is_terminal", terminal)
    run = run_of(*numbers)
    assert run(1, settings={"progressbar": progressbar}) == [1 + 2 * x for x in numbers]
    assert capsys.readouterr().out.count("Compiling the sampler") == lines
    # Nothing listens any more.
    run_of(1)(1, settings={"progressbar": False})
    assert "Compiling" not in capsys.readouterr().out
