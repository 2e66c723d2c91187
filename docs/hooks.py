"""Hooks of the documentation: mathematics as MathML, the table of recipes."""

import re
from html import unescape
from typing import Any

from latex2mathml.converter import convert

import bayesmtl as bm

_MATH = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<tex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL
)
_RECIPES = "<!-- table: recipes -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the table of recipes in the place of its comment."""
    return markdown.replace(_RECIPES, recipes_table()) if _RECIPES in markdown else markdown


def on_page_content(html: str, **_: Any) -> str:
    """Turn TeX into MathML, which browsers show without scripts or fonts from elsewhere."""
    return _MATH.sub(_mathml, html)


def recipes_table() -> str:
    """Name, what it is, and reference of each recipe, as Markdown."""
    lines = ["| recipe | what it is | reference |", "| --- | --- | --- |"]
    for name in bm.list_recipes()["name"]:
        recipe = bm.load_recipe(name)
        lines.append(f"| `{name}` | {recipe.title} | {recipe.reference} |")
    return "\n".join(lines)


def _mathml(found: re.Match[str]) -> str:
    display = "block" if found["tag"] == "div" else "inline"
    return convert(unescape(found["tex"]), display=display)
