"""The page in one file: values as JSON beside plain style and script, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import xarray as xr

from bayesmtl.errors import InvalidDataError
from bayesmtl.report.page.content import page_content

__all__ = ["page_html", "write_report"]

_SCRIPTS = (
    "tools.js",
    "plot.js",
    "map.js",
    "map_view.js",
    "task.js",
    "graph.js",
    "weights.js",
    "fitted.js",
    "sections.js",
    "page.js",
)


def write_report(idata: xr.DataTree, path: str | Path) -> Path:
    """Write one HTML page that shows a fit: verdict, sharing, task relations, weights, diagnostics.

    The page needs no network and no other file. It shows how the tasks relate as a map to explore
    with the mouse or the arrow keys, the graph and the clusters where the model has them, weights
    with and without sharing, predictions beside the data, and the model with its priors, seed and
    versions.

    Parameters
    ----------
    idata
        What ``fit`` of any model returned or ``bm.load`` read; nothing else is read.
    path
        A file named ``*.html``; it is replaced, and its folder made, if need be.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    InvalidTypeError
        If ``idata`` is not a DataTree.
    InvalidDataError
        If it has no posterior, or the file is not named ``*.html``.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise InvalidDataError(
            f"the report is an HTML page, not {path.name!r}: name a file such as report.html"
        )
    text = page_html(idata)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def page_html(idata: xr.DataTree) -> str:
    """The page as text; see `write_report`.

    Raises
    ------
    InvalidTypeError
        If ``idata`` is not a DataTree.
    InvalidDataError
        If it has no posterior.
    """
    content = page_content(idata)
    style = _asset("page.css")
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    verdict, heading = content["verdict"], content["summary"].get("heading", "")
    title, _, how = heading.partition("\n")
    return Template(_asset("page.html")).substitute(
        title=html.escape(title),
        how=html.escape(how),
        status=html.escape(verdict["status"]),
        lead=html.escape(verdict["lead"]),
        verdict=html.escape(verdict["text"]),
        todo="".join(f"<li>{html.escape(text)}</li>" for text in verdict["todo"]),
        style=style,
        script=script,
        style_hash=_fingerprint(style),
        script_hash=_fingerprint(script),
        data=_inert(content),
    )


def _asset(name: str) -> str:
    return (files("bayesmtl.report.page") / "assets" / name).read_text(encoding="utf-8")


def _fingerprint(text: str) -> str:
    """What the page's own policy allows to run: this text and nothing else."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _inert(content: dict[str, Any]) -> str:
    """JSON without characters that could end a script element or begin a comment."""
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
