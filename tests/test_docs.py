"""Every Python block of the README and the documentation runs, in the order of its page."""

import re
import runpy
import warnings
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
import xarray as xr

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
DEFAULTS = [
    function.__kwdefaults__ or {} for function in (*(m.fit for m in MODELS), MultiTask.__init__)
]


def blocks(page: Path) -> list[str]:
    """What runs, after as many empty lines as there are before it in the page."""
    text, out = page.read_text(), []
    for found in BLOCKS.finditer(text):
        name = "setup" if found["setup"] is not None else "code"
        if not found["skip"]:
            out.append("\n" * text.count("\n", 0, found.start(name)) + found[name])
    return out


def variables(fit: Any) -> set[str]:
    """Variables that a fit has whatever the data are called; of anything else, none."""
    groups = ("posterior", "task_relations", "constant_data", "clusters")
    found = [fit[name] for name in groups if isinstance(fit, xr.DataTree) and name in fit]
    return {str(variable) for group in found for variable in group.data_vars}


SCHEMA = set(re.findall(r"`(\w+)`", (ROOT / "docs/result.md").read_text()))
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
    for value in space.values():
        for fit in value.values() if isinstance(value, dict) else (value,):
            assert not sorted(variables(fit) - SCHEMA)


def test_few_blocks_are_not_run() -> None:
    text = "".join(page.read_text() for page in PAGES)
    found = [block for block in BLOCKS.finditer(text) if block["code"]]
    assert len(found) == text.count("```python")
    assert sum(block["skip"] is not None for block in found) <= 2


def test_every_public_name_is_in_the_reference() -> None:
    described = set(re.findall(r"^::: bayesmtl\.(\w+)$", (ROOT / "docs/api.md").read_text(), re.M))
    assert described == set(bm.__all__) - {"__version__"}


def test_hooks_fill_in_the_recipes_and_turn_formulas_into_mathml() -> None:
    hooks = runpy.run_path(str(ROOT / "docs/hooks.py"))
    page = (ROOT / "docs/recipes.md").read_text()
    filled = hooks["on_page_markdown"](page)
    for name in bm.list_recipes()["name"]:
        assert f"| `{name}` | " in filled
    assert hooks["on_page_markdown"]("no table") == "no table"
    html = hooks["on_page_content"]('a <span class="arithmatex">\\(x &lt; y^2\\)</span> b')
    assert html.startswith("a <math")
    assert "<msup><mi>y</mi><mn>2</mn></msup>" in html
    assert 'display="inline"' in html
