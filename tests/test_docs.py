"""Every Python block of the README and the documentation runs, in the order of its page."""

import re
import warnings
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

import bayesmtl as bm
from bayesmtl.sklearn.base import MultiTask

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Blocks, and what stands before them in comments: code that makes their data, or why they are not
# run.
BLOCKS = re.compile(
    r"<!-- setup:\n(?P<setup>.*?)-->"
    r"|(?P<skip><!-- not run: \S[^>]*-->\n+)?^```python\n(?P<code>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
TINY = {"draws": 20, "tune": 20, "chains": 2, "cores": 1, "progressbar": False}
MODELS = (bm.Model, bm.MultiTaskGP, bm.MultiTaskGraphicalModel, bm.SharedNetwork)
DEFAULTS = [function.__kwdefaults__ for function in (*(m.fit for m in MODELS), MultiTask.__init__)]


def blocks(page: Path) -> list[str]:
    """What runs, after as many empty lines as there are before it in the page."""
    text, out = page.read_text(), []
    for found in BLOCKS.finditer(text):
        name = "setup" if found["setup"] is not None else "code"
        if not found["skip"]:
            out.append("\n" * text.count("\n", 0, found.start(name)) + found[name])
    return out


WITH_CODE = {page.name: page for page in PAGES if blocks(page)}


@pytest.mark.mcmc
@pytest.mark.parametrize("name", WITH_CODE)
def test_the_code_of_a_page_runs(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for defaults in DEFAULTS:
        for setting in TINY.keys() & defaults.keys():
            monkeypatch.setitem(defaults, setting, TINY[setting])
    space: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # so few draws
        for code in blocks(WITH_CODE[name]):
            exec(compile(code, name, "exec"), space)
            plt.close("all")


def test_few_blocks_are_not_run() -> None:
    text = "".join(page.read_text() for page in PAGES)
    assert text.count("<!-- not run:") <= 4


def test_every_public_name_is_in_the_reference() -> None:
    described = set(re.findall(r"^::: bayesmtl\.(\w+)$", (ROOT / "docs/api.md").read_text(), re.M))
    assert described == set(bm.__all__) - {"__version__"}
