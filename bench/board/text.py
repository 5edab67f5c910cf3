"""A board for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from bench.board.view import (
    TRAINED,
    Column,
    Section,
    column_name,
    method_name,
    passes,
    problems,
    sections,
    short,
    with_interval,
)

WIDTH = 118


def text(frame: pd.DataFrame, width: int = WIDTH) -> str:
    """Per task, model and level a table of methods by headline metrics, with intervals, floor and ceiling."""
    if frame.empty:
        return "The board is empty.\n"
    blocks = ["\n".join(_lines(section, width)) for section in sections(frame)]
    if any(TRAINED in block for block in blocks):
        blocks.append(f"{TRAINED} trained on the metric that scores it")
    return "\n\n".join(blocks) + "\n"


def _lines(section: Section, width: int) -> Iterator[str]:
    yield f"{section.title}, n = {section.n}"
    for columns in _pages(section, width):
        yield from _table(section, columns)
    for line in problems(section.without):
        yield f"  {line}"


def _pages(section: Section, width: int) -> Iterator[list[Column]]:
    """Columns that fit side by side."""
    room = width - max((len(method_name(m)) for m in section.methods), default=0) - 24
    page: list[Column] = []
    used = 0
    for column in section.columns:
        wide = max(len(c) for c in _column(section, column)) + 2
        if page and used + wide > room:
            yield page
            page, used = [], 0
        page.append(column)
        used += wide
    if page:
        yield page


def _column(section: Section, column: Column) -> list[str]:
    head = [column_name(column, section.directions[column]), "" if column[1] == "none" else column[1]]
    found = [section.cells.get((m, column)) for m in section.methods]
    return head + ["–" if row is None else with_interval(row) for row in found]


def _table(section: Section, columns: Sequence[Column]) -> Iterator[str]:
    body = [
        ["method", "", *(method_name(m) for m in section.methods)],
        *(_column(section, c) for c in columns),
        ["passes", "", *(passes(section.any_cell(m)) for m in section.methods)],
        ["seeds", "", *(section.seeds(m) for m in section.methods)],
    ]
    bounds = [f"{short(section.anchor('floor', c))} … {short(section.anchor('ceiling', c))}" for c in columns]
    for cells, last in zip(body, ["floor … ceiling", *bounds, "", ""], strict=True):
        cells.append(last)
    widths = [max(len(cell) for cell in cells) for cells in body]
    for i, line in enumerate(zip(*body, strict=True)):
        if any(line):
            yield "  " + "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        if i == 1:
            yield "  " + "  ".join("-" * w for w in widths)
