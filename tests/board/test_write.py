"""Boards as files and as text."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from bench.board import rows, text, write
from bench.board.write import csv, number
from tests.board.records import area, faithful, load, record, roc
from tests.board.test_rows import PROMISED


@pytest.fixture
def records():
    cells = [
        record(m, area(level, seed=s), faithful(level, seed=s), roc(4 * level, seed=s), model_seed=s, data_seed=s)
        for m, level in (("eap", 0.6), ("eap_ig[steps=10]", 0.7), ("oracle", 0.95), ("random", 0.1))
        for s in range(3)
    ]
    cells.append(record("acdc", model_seed=0, status="skipped", reason="1,592,881 edges <too many> | by far"))
    cells.append(record("eap", area(0.4), level="node", planted=False, model="tiny", model_seed=None))
    return cells


def test_the_csv_has_the_promised_header_and_reads_back(records, tmp_path):
    write(records, tmp_path, load)
    content = (tmp_path / "circuit.csv").read_text()
    assert content.startswith(PROMISED + ",")
    found = pd.read_csv(tmp_path / "circuit.csv", keep_default_na=False, na_values=[""])
    frame = rows(records, load)
    assert found.score.to_numpy() == pytest.approx(frame.score.to_numpy(), rel=1e-9, nan_ok=True)
    assert found.reason.fillna("").tolist() == frame.reason.tolist() and found.key.tolist() == frame.key.tolist()


def test_files_are_the_same_to_the_byte_whatever_the_order_of_the_records(records, tmp_path):
    write(records, tmp_path / "a", load)
    write(records[::-1], tmp_path / "b", load)
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert names == ["circuit.csv", "circuit.md", "circuit_random.csv", "circuit_ranks.csv", "index.html"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_seconds_are_in_the_csv_alone(records, tmp_path):
    slower = [type(r)(**{**vars(r), "seconds": 99.0}) for r in records]
    write(records, tmp_path / "a", load)
    write(slower, tmp_path / "b", load)
    for name in ("circuit.md", "index.html"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    one, other = (pd.read_csv(tmp_path / d / "circuit.csv").drop(columns="seconds") for d in "ab")
    assert one.equals(other)


def test_numbers_have_ten_digits_and_no_negative_zero():
    assert [number(v) for v in (1 / 3, -0.0, 1e-12, 2.0, 1234567.0)] == ["0.3333333333", "0", "1e-12", "2", "1234567"]
    assert number(float("nan")) == "" == number(float("inf"))


class Page(HTMLParser):
    """Checks that tags close in order, and collects the text and what would be fetched."""

    def __init__(self):
        super().__init__()
        self.open, self.fetched, self.words = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            self.open.append(tag)
        self.fetched += [v for k, v in attrs if k in ("src", "href") and not v.startswith("#")]

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_is_whole_offline_and_says_everything_without_scripts(records, tmp_path):
    write(records, tmp_path, load)
    content = (tmp_path / "index.html").read_text()
    page = Page()
    page.feed(content)
    assert not page.open and not page.fetched
    words = " ".join(page.words)
    frame = rows(records, load)
    for row in frame.itertuples():
        assert row.method in words and (not row.reason or row.reason in words)
        assert not np.isfinite(row.score) or f"{row.score:.3f}" in words
    assert "planted: the circuit is known" in words and "no ceiling" in words


def test_markdown_tables_are_rectangular_and_escape_what_would_break_them(records, tmp_path):
    write(records, tmp_path, load)
    content = (tmp_path / "circuit.md").read_text()
    for table in re.split(r"\n\n", content):
        lines = [line for line in table.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) <= 1
    assert "<too many>" not in content and "\\| by far" in content
    assert "| method | m=0 | size=0.1 | size=0.5 | size=1 |" in content
    assert "*floor*" in content and "*ceiling*" in content


def test_the_terminal_shows_methods_best_first_with_intervals_floor_ceiling_and_reasons(records):
    shown = text(rows(records, load))
    assert max(map(len, shown.splitlines())) <= 140
    order = [shown.index(m) for m in ("oracle (the truth)", "eap_ig[steps=10]", "  eap ", "random (floor)")]
    assert order == sorted(order)
    assert re.search(r"area_log ↑", shown) and re.search(r"0\.6\d\d \[0\.\d{3}, 0\.\d{3}\]", shown)
    assert "acdc: skipped" in shown and "too many" in shown


def test_an_empty_board_says_so(tmp_path):
    assert "empty" in text(rows([], load))
    write([], tmp_path, load)
    assert "empty" in (tmp_path / "index.html").read_text()
    assert csv(rows([], load)).startswith(PROMISED)


def test_small_negative_figures_are_not_shown_as_minus_zero():
    from bench.board.view import short

    assert [short(v) for v in (-1e-9, -0.0004, -0.0006, 1234.5, float("nan"))] == [
        "0.000",
        "0.000",
        "-0.001",
        "1234",
        "–",
    ]


def test_the_cost_is_that_of_the_seeds_that_were_run():
    nothing = {"status": "skipped", "reason": "not there", "forwards": float("nan"), "backwards": float("nan")}
    cells = [record("eap", model_seed=1, **nothing), record("eap", area(0.5), model_seed=0)]
    frame = rows(cells, load)
    for order in (frame, frame.iloc[::-1]):
        line = next(line for line in text(order).splitlines() if line.strip().startswith("eap "))
        assert re.search(r"2 \+ 1", line) and "\u2013" not in line


def test_a_page_of_another_name_stands_beside_the_others_and_links_to_them(records, tmp_path):
    write(records, tmp_path, load)
    first = (tmp_path / "index.html").read_bytes()
    write(records, tmp_path, load, name="more.html")
    assert (tmp_path / "index.html").read_bytes() == first
    assert '<a href="index.html">index</a>' in (tmp_path / "more.html").read_text()
    write(records, tmp_path, load)
    assert '<a href="more.html">more</a>' in (tmp_path / "index.html").read_text()
