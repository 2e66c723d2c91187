"""The page in Chromium: it draws, listens to mouse and keys, and asks the network for nothing."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesmtl as bm
from tests.browser import Browser, browser_paths, open_browser
from tests.report.page.conftest import quiet_fit

ManyTasks = Callable[[int], xr.DataTree]
READOUT = "return document.getElementById('map-readout').textContent"
CHOSEN = "return document.querySelector('#task h3').textContent"
PAPER = "return getComputedStyle(document.body).backgroundColor"
PAINTED = """
    const canvas = document.querySelector('canvas.map');
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const colours = new Set();
    for (let i = 0; i < data.length; i += 4 * 997) colours.add(data.slice(i, i + 3).join());
    return colours.size;
"""


@pytest.fixture(scope="module")
def session() -> Iterator[Browser]:
    paths = browser_paths()
    if paths is None:
        pytest.skip("needs Chromium and its driver: apt-get install chromium chromium-driver")
    with open_browser(*paths) as browser:
        yield browser


@pytest.fixture
def browser(session: Browser) -> Iterator[Browser]:
    """Any error in the page, and any request but for the page itself, fails the test."""
    session.log("browser")
    session.requests()
    yield session
    assert session.log("browser") == []
    assert all(address.startswith(("file:", "data:", "blob:")) for address in session.requests())


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[xr.DataTree], Path]:
    """Pages of fits, written once."""
    folder, written = tmp_path_factory.mktemp("pages"), dict[int, Path]()
    number = itertools.count()

    def page(fit: xr.DataTree) -> Path:
        if id(fit) not in written:
            written[id(fit)] = bm.write_report(fit, folder / f"{next(number)}.html")
        return written[id(fit)]

    return page


Pages = Callable[[xr.DataTree], Path]


@pytest.mark.parametrize(
    ("name", "width", "dark"),
    [
        ("clustered", 1200, False),
        ("clustered", 390, True),
        ("neighbours", 390, False),
        ("functions", 1200, True),
        ("networks", 390, False),
    ],
)
def test_every_part_is_drawn(
    name: str,
    width: int,
    dark: bool,
    request: pytest.FixtureRequest,
    browser: Browser,
    pages: Pages,
) -> None:
    browser.open(pages(request.getfixturevalue(name)), width, dark=dark)
    titles = browser.run("return [...document.querySelectorAll('main h2')].map(x => x.textContent)")
    links = browser.run("return [...document.querySelectorAll('nav a')].map(x => x.textContent)")
    assert titles == links
    assert {"In short", "How the tasks relate", "Diagnostics", "Model"} <= set(titles)
    browser.wait(f"return (() => {{ {PAINTED} }})() > 3")
    # Nothing makes the page wider than the screen.
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert (browser.run(PAPER) == "rgb(252, 252, 250)") is not dark


@pytest.mark.parametrize("n_tasks", [8, 139, 1000])
def test_any_number_of_tasks(
    n_tasks: int, many_tasks: ManyTasks, browser: Browser, tmp_path: Path
) -> None:
    browser.open(bm.write_report(many_tasks(n_tasks), tmp_path / "page.html"))
    browser.wait(f"return (() => {{ {PAINTED} }})() > 3")
    browser.point("canvas.map", 0.9, 0.3)
    first = browser.run(READOUT)
    assert "90% interval" in first
    browser.point("canvas.map", 0.3, 0.9, click=True)
    assert browser.run(READOUT) != first
    assert browser.run(CHOSEN) in browser.run(READOUT)
    assert browser.run("return document.querySelectorAll('#task tbody tr').length") >= 7


def test_hover_and_click(clustered: xr.DataTree, browser: Browser, pages: Pages) -> None:
    browser.open(pages(clustered))
    browser.wait(f"return (() => {{ {PAINTED} }})() > 3")
    browser.point("canvas.map", 0.95, 0.6)
    tip = browser.run("const t = document.getElementById('tip'); return [t.hidden, t.textContent]")
    readout = browser.run(READOUT)
    assert tip == [False, readout.replace(": ", ":\n")]
    browser.point("canvas.map", 0.95, 0.6, click=True)
    chosen = browser.run(CHOSEN)
    assert readout.startswith(f"{chosen} and ")
    assert browser.run("return document.getElementById('task-search').value") == chosen
    browser.run("document.querySelector('#task button.link').click()")
    browser.wait(f"return document.querySelector('#task h3').textContent !== {chosen!r}")


def test_keys(many_tasks: ManyTasks, browser: Browser, tmp_path: Path) -> None:
    browser.open(bm.write_report(many_tasks(12), tmp_path / "page.html"))
    browser.wait(f"return {READOUT.removeprefix('return ')} !== ''")
    browser.run("document.activeElement.blur()")
    browser.press("Tab")
    assert browser.run("return document.activeElement.className") == "skip"
    browser.run("document.querySelector('canvas.map').focus()")
    outline = "return getComputedStyle(document.querySelector('canvas.map')).outlineStyle"
    browser.press("ArrowDown")
    assert browser.run(outline) == "solid"
    order = browser.run("return TASKS.orders.similarity.map(t => TASKS.labels[t])")
    assert browser.run(READOUT).startswith(f"{order[2]} and {order[0]}: ")
    browser.press("ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown", "Enter")
    assert browser.run(READOUT).startswith(f"{order[3]}: ")
    browser.wait(f"return document.querySelector('#task h3').textContent === {order[3]!r}")


def test_order_and_measure(many_tasks: ManyTasks, browser: Browser, tmp_path: Path) -> None:
    browser.open(bm.write_report(many_tasks(12), tmp_path / "page.html"))
    browser.wait(f"return {READOUT.removeprefix('return ')} !== ''")
    before = browser.run(READOUT)
    select(browser, "Order by", "label")
    assert browser.run(READOUT) == before  # the same pair at another place
    browser.run("document.querySelector('canvas.map').focus()")
    browser.press("ArrowDown")
    assert browser.run(READOUT) != before
    select(browser, "Measure", "1")
    browser.wait(f"return {READOUT.removeprefix('return ')}.includes('P(> 0)')")
    select(browser, "Show", "sure")
    browser.run("document.querySelector('#maps details:last-of-type summary').click()")
    rows = "[...document.querySelectorAll('#map-help + div tbody th')].map(x => x.textContent)"
    browser.run("TASKS.orders.similarity = [...TASKS.orders.label].reverse()")
    for order in ("label", "similarity"):  # also of a table that is open
        select(browser, "Order by", order)
        names = f"TASKS.orders.{order}.map(t => TASKS.labels[t])"
        browser.wait(f"return JSON.stringify({rows}) === JSON.stringify({names})")


def select(browser: Browser, label: str, value: Any) -> None:
    """Choose in the list with this label beside the map."""
    browser.run(
        "const label = [...document.querySelectorAll('#maps label')]"
        ".find(x => x.firstChild.textContent === arguments[0]); const list ="
        " label.querySelector('select'); list.value = arguments[1];"
        " list.dispatchEvent(new Event('change'))",
        label,
        value,
    )


def test_nothing_is_certain_without_intervals(
    clustered: xr.DataTree, browser: Browser, pages: Pages
) -> None:
    browser.open(pages(clustered))
    show = "[...document.querySelectorAll('#maps select')].find(x => x.value in {mean: 1, sure: 1})"
    kinds = browser.run("return DATA.maps.kinds.map(kind => Boolean(kind.lower))")
    assert set(kinds) == {True, False}
    select(browser, "Measure", kinds.index(True))
    browser.wait(f"return !{show}.disabled")
    select(browser, "Show", "sure")
    select(browser, "Measure", kinds.index(False))
    browser.wait(f"return {show}.disabled && {show}.value === 'mean'")
    select(browser, "Measure", kinds.index(True))
    browser.wait(f"return !{show}.disabled && {show}.value === 'sure'")


def test_the_theme_can_be_changed(clustered: xr.DataTree, browser: Browser, pages: Pages) -> None:
    browser.open(pages(clustered))
    light = browser.run(PAPER)
    browser.run("document.getElementById('theme').click()")
    assert browser.run(PAPER) != light
    assert browser.run("return document.getElementById('theme').textContent") == "Light theme"
    browser.run("document.getElementById('theme').click()")
    assert browser.run(PAPER) == light


def test_labels_run_nothing(clustered: xr.DataTree, browser: Browser, pages: Pages) -> None:
    browser.open(pages(clustered))
    assert browser.run("return document.querySelectorAll('script').length") == 2
    assert browser.run("return document.querySelector('#task h3').children.length") == 0
    assert browser.run(CHOSEN).startswith("<script>alert(1)</script> & t")


def test_graphs_by_key_and_task(networks: xr.DataTree, browser: Browser, pages: Pages) -> None:
    browser.open(pages(networks))
    browser.run("document.querySelector('#graph .node').focus()")
    told = browser.run("return document.querySelector('#graph .readout').textContent")
    assert told.startswith("a: linked with b")
    browser.press("ArrowRight")
    assert browser.run("return document.activeElement.getAttribute('aria-label')").startswith("b: ")
    browser.run(
        "const list = document.querySelector('#graph select'); list.value = '1';"
        " list.dispatchEvent(new Event('change'))"
    )
    browser.run("document.querySelector('#graph details summary').click()")
    browser.wait("return document.querySelectorAll('#graph tbody tr').length > 0")


def test_nodes_are_buttons_where_they_are_tasks(
    neighbours: xr.DataTree, networks: xr.DataTree, browser: Browser, pages: Pages
) -> None:
    browser.open(pages(neighbours))
    pressed = (
        "return [...document.querySelectorAll('#graph [role=button][aria-pressed=true]')]"
        ".map(x => x.textContent.split('…')[0])"
    )
    for task in (1, 2):
        browser.run("chooseTask(arguments[0])", task)
        label = browser.run("return TASKS.labels[arguments[0]]", task)
        (told,) = browser.run(pressed)
        assert label.startswith(told)
    assert browser.run("return document.querySelectorAll('#graph [role=button]').length") == 8
    browser.open(pages(networks))
    assert browser.run("return document.querySelectorAll('#graph [role=img]').length") == 3
    assert browser.run("return document.querySelector('#graph [aria-pressed]')") is None


def test_colours_of_a_surface_have_a_legend(browser: Browser, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = pd.DataFrame(rng.uniform(0.0, 5.0, (24, 2)), columns=["u", "v"])
    data = data.assign(task=np.repeat(["a", "b"], 12), y=np.sin(data["u"]) + data["v"])
    fit = quiet_fit(bm.MultiTaskGP("y ~ u + v", task="task"), data)
    browser.open(bm.write_report(fit, tmp_path / "page.html"))
    ends = """
        const canvas = Object.assign(document.createElement('canvas'), { width: 256, height: 1 });
        const context = canvas.getContext('2d');
        context.drawImage(document.querySelector('#curves .legend canvas'), 0, 0);
        const { data } = context.getImageData(0, 0, 256, 1);
        return [data[0], data.at(-4)];
    """
    low, high = browser.run(ends)
    assert low > high  # on paper the low end is pale
    browser.run("document.getElementById('theme').click()")
    low, high = browser.run(ends)
    assert low < high
    assert_every_picture_has_a_table(browser)


@pytest.mark.parametrize("name", ["clustered", "neighbours", "functions", "networks"])
def test_pictures_have_tables(
    name: str, request: pytest.FixtureRequest, browser: Browser, pages: Pages
) -> None:
    browser.open(pages(request.getfixturevalue(name)))
    assert_every_picture_has_a_table(browser)


def assert_every_picture_has_a_table(browser: Browser) -> None:
    """Inside its figure, or after it: each opens."""
    bare = browser.run("""
        return [...document.querySelectorAll('main figure')].filter(x => !x.querySelector('details')
            && !x.parentElement.querySelector(':scope > div > details')).map(x => x.textContent);
    """)
    assert bare == []
    browser.run("document.querySelectorAll('main details').forEach(x => { x.open = true; })")
    browser.wait("return [...document.querySelectorAll('main details')].every(x => x.children[1])")
    assert browser.run(
        "return [...document.querySelectorAll('main figure details')]"
        ".every(x => x.querySelector('tbody tr'))"
    )


def test_a_table_says_where_it_is_cut(
    clustered: xr.DataTree, browser: Browser, pages: Pages
) -> None:
    browser.open(pages(clustered))
    caption = """
        const [text, most] = arguments;
        const node = longTable(text, ['a'], [1, 2, 3], (k) => [k], [false], most);
        const rows = node.querySelectorAll('tbody tr').length;
        return [node.querySelector('caption')?.textContent, rows];
    """
    assert browser.run(caption, "x", 2) == ["x: the first 2 of 3", 2]
    assert browser.run(caption, "x", 3) == ["x", 3]
    assert browser.run(caption, "", 3) == [None, 3]


def test_words_about_sharing(many_tasks: ManyTasks, browser: Browser, tmp_path: Path) -> None:
    fit = many_tasks(4)
    words = "return document.getElementById('sharing').textContent"
    browser.open(bm.write_report(fit, tmp_path / "page.html"))
    assert "Tasks with few rows borrow more than tasks with many." in browser.run(words)
    posterior = fit["posterior"].to_dataset()
    fit["posterior"] = xr.DataTree(posterior.assign(sharing=posterior["sharing"] * 0 + 1))
    browser.open(bm.write_report(fit, tmp_path / "page.html"))
    assert "Sharing is 1.00 by the choice of the relation." in browser.run(words)
    assert "borrow" not in browser.run(words)
    assert browser.run("return [rowCount(1), rowCount(2)]") == ["1 row", "2 rows"]


def test_a_label_with_outer_spaces_is_found(
    many_tasks: ManyTasks, browser: Browser, tmp_path: Path
) -> None:
    fit = many_tasks(4)
    labels = [" a", "a", " b ", "c"]
    coords = {"task": labels, "task_bis": labels}
    for name in fit.children:
        group = fit[name].to_dataset()
        fit[name] = xr.DataTree(
            group.assign_coords({key: one for key, one in coords.items() if key in group.coords})
        )
    browser.open(bm.write_report(fit, tmp_path / "page.html"))
    for text, task in ((" a", 0), ("a", 1), (" b ", 2), ("b", 2), ("c ", 3)):
        browser.run(
            "const box = document.getElementById('task-search'); box.value = arguments[0];"
            " box.dispatchEvent(new Event('change'))",
            text,
        )
        assert browser.run("return CHOSEN.task") == task, text


def test_nearest_tasks_where_there_is_no_map(
    many_tasks: ManyTasks, monkeypatch: pytest.MonkeyPatch, browser: Browser, tmp_path: Path
) -> None:
    monkeypatch.setattr("bayesmtl.report.page.maps.MAP_LIMIT", 20)
    browser.open(bm.write_report(many_tasks(30), tmp_path / "page.html"))
    assert browser.run("return document.querySelector('canvas.map')") is None
    browser.run(
        "const box = document.getElementById('task-search'); box.value = 'task 7';"
        " box.dispatchEvent(new Event('change'))"
    )
    browser.wait("return document.querySelector('#task h3').textContent === 'task 7'")
    assert browser.run("return document.querySelectorAll('#task tbody tr').length") >= 8


def test_controls_have_names(clustered: xr.DataTree, browser: Browser, pages: Pages) -> None:
    browser.open(pages(clustered))
    nameless = browser.run(
        "const controls = 'button, select, input, canvas[tabindex], [role=img]';"
        "return [...document.querySelectorAll(controls)]"
        ".filter(x => !(x.getAttribute('aria-label') || x.textContent || x.labels?.length))"
        ".map(x => x.outerHTML)"
    )
    assert nameless == []
