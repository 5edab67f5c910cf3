"""The page in a real browser, where one is installed: sort, filter, open a cell, on a wide and on a narrow screen."""

from __future__ import annotations

import pytest

from bench.board import write
from tests.board.browser import Browser, programs
from tests.board.pages import MADE, cells, hostile, look
from tests.board.records import load

MISSING = programs()
pytestmark = pytest.mark.skipif(isinstance(MISSING, str), reason=f"the page is not seen in a browser: {MISSING}")
WIDE, NARROW = (1400, 900), (390, 800)
IOI = "section.board[data-task='ioi'][data-model='planted']"
TEXTS = "return [...document.querySelectorAll(arguments[0])].filter(e => e.checkVisibility()).map(e => e.innerText)"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write(cells(), folder, load, looks=look, made=MADE)
    return folder / "index.html"


@pytest.fixture
def browser():
    with Browser(*WIDE) as found:
        yield found


def shown(browser, css):
    return browser.run(TEXTS, css)


def column(browser, index):
    """The texts of one column of the first board's first table, as they stand."""
    rows = browser.run(
        "return [...document.querySelector(arguments[0]).tBodies[0].rows].map(r => r.cells[arguments[1]].innerText)",
        f"{IOI} table", index,
    )  # fmt: skip
    return [text.split("\n")[0] for text in rows]


def test_a_figure_with_an_interval_sorts_by_its_value_and_missing_ones_stay_last(browser, path):
    browser.open(path)
    head = f"{IOI} table thead th:nth-child(2)"
    first = browser.run(
        "return document.querySelector(arguments[0]).tBodies[0].rows[0].cells[1].innerText", f"{IOI} table"
    )
    assert "[" in first  # the figures do have intervals
    for order, sign in (("descending", -1), ("ascending", 1)):
        browser.click(f"{head} button")
        found = column(browser, 1)
        values = [float(text) for text in found if text != "–"]
        assert values == sorted(values, key=lambda v: sign * v) and len(values) > 3
        assert "–" in found and found[len(values) :] == ["–"] * (len(found) - len(values))
        assert browser.run("return document.querySelector(arguments[0]).getAttribute('aria-sort')", head) == order
    assert column(browser, 0)[0] == "random (floor)"
    assert browser.errors() == []


def test_names_sort_as_text_with_numbers_in_their_order(browser, path):
    browser.open(path)
    browser.click(f"{IOI} table thead th:first-child button")
    names = column(browser, 0)
    assert names == sorted(names) and "acdc" in names[0]


def test_filters_leave_one_task_one_method_and_rows_with_a_text(browser, path):
    browser.open(path)
    boards = "section.board > h3"
    every = shown(browser, boards)
    assert any("greater_than" in title for title in every) and any(title.startswith("ioi") for title in every)
    pick = (
        "const s = document.querySelector(arguments[0]); s.value = arguments[1]; s.dispatchEvent(new Event('change'))"
    )
    browser.run(pick, "#filter-task", "ioi")
    left = shown(browser, boards)
    assert left and all(title.startswith("ioi ") for title in left)
    assert not any("greater_than" in text for text in shown(browser, "table.heat thead th"))
    assert f"{len(left)} of {len(every)} boards" in shown(browser, "#controls output")[0]
    browser.run(pick, "#filter-method", "eap")
    assert set(shown(browser, f"{IOI} > .scroll tbody th")) == {"eap"}
    browser.click("#controls button")
    assert shown(browser, boards) == every
    browser.type("#filter-text", "why it is fail")
    assert [title.split()[0] for title in shown(browser, boards)] == ["ioi"]
    assert browser.errors() == []


def test_a_figure_leads_to_its_cell_and_the_picture_is_seen(browser, path):
    browser.open(path)
    assert shown(browser, f"{IOI} details.cell figure.nodes") == []
    browser.click(f"{IOI} table tbody tr[data-method='eap'] th a")
    seen = shown(browser, f"{IOI} details.cell[open] figure.nodes")
    assert len(seen) == 3 and "seed 0" in seen[0] and "accuracy .4 is under .9" in seen[2]
    boxes = browser.run(
        "return [...document.querySelectorAll(arguments[0])].map(e => {const b = e.getBoundingClientRect();"
        " return [b.width, b.height, e.querySelectorAll('rect').length]})",
        f"{IOI} details.cell[open] svg.nodes",
    )
    assert len(boxes) == 4 and all(width > 50 and height > 30 for width, height, _ in boxes)
    assert boxes[0][2] == 6  # two layers of two heads and an MLP
    fills = browser.run(
        "return [...document.querySelectorAll(arguments[0])].map(e => getComputedStyle(e).fill)",
        f"{IOI} details.cell[open] svg.nodes rect",
    )
    assert len(set(fills[:6])) == 2  # helping and harming
    role = browser.run("return getComputedStyle(document.querySelector('svg.defs rect.required')).fill")
    assert role not in ("rgb(0, 0, 0)", "none")


@pytest.mark.parametrize("dark", (False, True))
def test_a_narrow_screen_never_scrolls_sideways_as_a_whole(path, dark):
    with Browser(*NARROW, dark=dark) as browser:
        browser.open(path)
        browser.run("for (const d of document.querySelectorAll('details')) d.open = true")
        wide, room = browser.run("return [document.documentElement.scrollWidth, window.innerWidth]")
        assert wide <= room == NARROW[0]
        ink, paper = browser.run("const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]")
        assert (brightness(ink) > brightness(paper)) == dark


def brightness(colour):
    return sum(int(part) for part in colour.removeprefix("rgb(").rstrip(")").split(","))


def test_without_scripts_the_page_reads_and_offers_no_dead_controls(browser, path):
    browser.scripts(False)
    browser.open(path)
    assert browser.run("return document.querySelectorAll('#controls *, th button').length") == 0
    assert any("0." in text for text in shown(browser, "table.heat td"))
    browser.click(f"{IOI} > details.cells > summary")
    browser.click(f"{IOI} > details.cells > details:nth-of-type(1) > summary")
    assert shown(browser, f"{IOI} figure.nodes")


def test_what_others_hand_in_does_not_run(browser, tmp_path):
    write(hostile(), tmp_path, load, looks=look)
    browser.open(tmp_path / "index.html")
    assert browser.run("return document.images.length") == 0
    assert browser.run("return document.scripts.length") == 1
    assert browser.errors() == []  # an alert would have failed the calls above
