"""The page in one file."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
import xarray as xr

import bayesmtl as bm
from bayesmtl.report.page.writer import page_html

ManyTasks = Callable[[int], xr.DataTree]


class Elements(HTMLParser):
    """Elements with their attributes, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] == "script" and self.get_starttag_text():
            self.scripts[-1] += data


def test_one_file_without_addresses(clustered: xr.DataTree) -> None:
    text = page_html(clustered)
    page = Elements(text)
    assert [tag for tag, _ in page.found if tag in ("img", "iframe", "object")] == []
    links = [attrs["href"] for tag, attrs in page.found if "href" in attrs]
    assert links == ["data:,", "#main"]
    assert not any("src" in attrs for _, attrs in page.found)
    assert set(re.findall(r"https?://[^\s\"'`]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in text
    assert "url(" not in text


def test_labels_are_inert(clustered: xr.DataTree) -> None:
    page = Elements(page_html(clustered))
    data, script = page.scripts
    assert len(page.scripts) == 2  # none of a label
    assert "<" not in data
    labels = json.loads(data)["tasks"]["labels"]
    assert labels[0].startswith("<script>alert(1)</script> & t")
    assert script.startswith('"use strict";')


def test_separators_of_lines_are_escaped(many_tasks: ManyTasks) -> None:
    fit = many_tasks(2)
    labels = ["a\u2028b", 'c"d\\']
    for group in ("posterior", "constant_data"):
        fit[group] = xr.DataTree(fit[group].to_dataset().assign_coords(task=labels))
    relations = fit["task_relations"].to_dataset().assign_coords(task=labels, task_bis=labels)
    fit["task_relations"] = xr.DataTree(relations)
    data = Elements(page_html(fit)).scripts[0]
    assert "\u2028" not in data
    assert json.loads(data)["tasks"]["labels"] == labels


def test_a_loaded_fit_writes_the_same_page(clustered: xr.DataTree, tmp_path: Path) -> None:
    bm.save(clustered, tmp_path / "fit.zarr")
    fresh = bm.write_report(clustered, tmp_path / "new" / "fresh.html")
    loaded = bm.write_report(bm.load(tmp_path / "fit.zarr"), tmp_path / "loaded.HTML")
    assert fresh.read_text() == loaded.read_text()


def test_a_thousand_tasks_stay_small(many_tasks: ManyTasks) -> None:
    assert len(page_html(many_tasks(1000)).encode()) < 5_000_000


def test_another_ending_is_refused(clustered: xr.DataTree, tmp_path: Path) -> None:
    with pytest.raises(bm.InvalidDataError, match=r"an HTML page, not 'report\.pdf'"):
        bm.write_report(clustered, tmp_path / "report.pdf")
