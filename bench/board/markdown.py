"""A board as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from bench.board.view import (
    Column,
    Section,
    column_name,
    handed_in,
    method_name,
    part_name,
    part_title,
    passes,
    problems,
    sections,
    short,
    with_interval,
)

LEGEND = """\
Scores with 95 % intervals in brackets: the percentile cluster bootstrap over examples (2,000 draws, at least 40
clusters; with five seeds or more the seeds are resampled too), or Student's t over five planted models or more for
figures against the planted truth. ↑ higher is better, ↓ lower is better. Passes are full-model forwards + backwards per
example. † marks a method that was trained on the metric that scores it. Floor: the random baseline, or the analytic
value. Ceiling: the oracle, on planted models only. Parts, p-values, costs and reasons are in the CSV file.
"""


def markdown(frame: pd.DataFrame) -> str:
    """One table per task, model and level, floors and ceilings below, then what has no figure, and why."""
    title = f"# Board: {frame['track'].iloc[0]}\n" if len(frame) else "# Board\n"
    return "\n".join([title, LEGEND, *("\n".join(_section(s)) for s in sections(frame))])


def _section(section: Section) -> Iterator[str]:
    yield f"## {section.title}\n"
    yield f"n = {section.n}\n"
    if section.columns:
        heads = [_head(column, section) for column in section.columns]
        yield _line(["method", *heads, "passes", "seeds"])
        yield _line(["---"] * (len(heads) + 3))
        for method in section.methods:
            found = [section.cells.get((method, column)) for column in section.columns]
            cells = ["–" if row is None else with_interval(row) for row in found]
            yield _line([method_name(method), *cells, passes(section.any_cell(method)), section.seeds(method)])
        for name in ("floor", "ceiling"):
            yield _line([f"*{name}*", *(short(section.anchor(name, c)) for c in section.columns), "", ""])
        yield ""
    for ablation, columns in section.parts.items():
        yield f"{part_title(ablation)}:\n"
        yield from _parts(section, columns)
        yield ""
    for text, link in handed_in(section):
        yield f"- handed in: {_escaped(text)} ({_escaped(link)})"
    for line in problems(section.without):
        yield f"- {_escaped(line)}"
    if section.without or handed_in(section):
        yield ""


def _parts(section: Section, columns: Sequence[Column]) -> Iterator[str]:
    yield _line(["method", *(part_name(c) for c in columns)])
    yield _line(["---"] * (len(columns) + 1))
    for method in section.methods:
        found = [section.cells.get((method, c)) for c in columns]
        if any(found):
            yield _line([method_name(method), *("–" if row is None else short(row["score"]) for row in found)])


def _head(column: tuple[str, str], section: Section) -> str:
    under = "" if column[1] == "none" else f" ({column[1]})"
    return column_name(column, section.directions[column]) + under


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(_escaped(c) for c in cells) + " |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
