"""The printed report and its plots."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr
from matplotlib.figure import Figure
from rich.console import Console

from bayesmtl.errors import BayesMTLWarning, UnsupportedError
from bayesmtl.report import print_report, write_plots

MakeFit = Callable[..., xr.DataTree]


def printed(fit: xr.DataTree, **settings: object) -> str:
    out = io.StringIO()
    print_report(fit, Console(file=out, **settings))  # type: ignore[arg-type]
    return out.getvalue()


def test_every_part_is_printed_as_plain_text(make_fit: MakeFit) -> None:
    text = printed(make_fit(), width=20)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    for part in ("Diagnostics: OK", "Sharing: most", "Noise: sd", "Population", "uncertain"):
        assert part in text
    assert re.search(r"Intercept \(at the average features\) +8 +fixed +0\.5 +fixed", text)
    assert "1,200" in text
    assert "90%" in text.splitlines()[-4]  # borrowing of task c


def test_colour_in_a_terminal(make_fit: MakeFit) -> None:
    assert "\x1b[1m" in printed(make_fit(), force_terminal=True, color_system="standard")


def test_labels_are_no_markup_and_lose_their_middle_where_long(make_fit: MakeFit) -> None:
    labels = ["[red]a", ":smile:", "b" * 200, "d"]
    text = printed(make_fit(tasks=labels))
    for label in labels[:2]:
        assert label in text
    assert f"{'b' * 30}…{'b' * 29}" in text
    assert text.count("b" * 31) == 0


def test_long_features_keep_their_numbers(make_fit: MakeFit) -> None:
    fit = make_fit()
    names = ["u" * 200, "v" * 200]
    for group in ("posterior", "constant_data"):
        fit[group] = xr.DataTree(fit[group].to_dataset().assign_coords(feature=names))
    text = printed(fit, force_terminal=True, color_system=None, width=300)
    assert "v" * 61 not in text
    assert re.search(r"v{30}…v+ [45](\.\d+)? \(average 2\.\d+\)", text)


def test_plots_are_written(
    make_fit: MakeFit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(_: xr.DataTree) -> Figure:
        raise UnsupportedError("the weights are not stored")

    monkeypatch.setattr("bayesmtl.plots.plot_task_relations", lambda _: Figure())
    monkeypatch.setattr("bayesmtl.plots.plot_sharing", lambda _: Figure())
    monkeypatch.setattr("bayesmtl.plots.plot_weights", refuse)
    with pytest.warns(BayesMTLWarning, match=r"No plot weights\.png: the weights are not stored"):
        paths = write_plots(make_fit(), tmp_path / "new")
    assert [path.name for path in paths] == ["task_relations.png", "sharing.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
