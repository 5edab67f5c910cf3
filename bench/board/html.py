"""A board as one offline page that reads without JavaScript."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.board.figures import Figure
from bench.board.markdown import LEGEND
from bench.board.standings import Table, of_section, over_tasks
from bench.board.svg import curves
from bench.board.view import (
    Column,
    Row,
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

STYLE = """
:root { color-scheme: light dark; --line: #8885; --soft: #8882; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1200px; margin: 2em auto; padding: 0 1em; }
h2 { margin-top: 2.2em; font-size: 1.15em; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .6em 0; }
th, td { padding: .25em .8em .25em 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th small, td small { display: block; opacity: .7; font-weight: normal; white-space: nowrap; }
tr.bound { background: var(--soft); font-style: italic; }
details { margin: .6em 0; } details table { font-size: .85em; }
svg { max-width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
svg .grid { stroke: var(--line); } svg .one { stroke: currentColor; stroke-dasharray: 2 3; }
"""
LONG = (
    "method", "metric", "ablation", "score", "low", "high", "n", "seeds", "values", "floor", "ceiling", "normalized",
    "p", "forwards", "backwards", "status", "reason", "note",
)  # fmt: skip
P_NOTE = (
    "p: one-sided, labels permuted over the components (1,999 seeded draws); empty where no null is drawn. Values:"
    " the score of each model and data seed, or of each method seed where there is one model. n: examples per seed."
)


def page(frame: pd.DataFrame, found: Sequence[Figure] = (), ranks: pd.DataFrame | None = None, note: str = "") -> str:
    """The page of all rows, with a faithfulness-size drawing per section where ``found`` has the points.

    ``ranks`` (:mod:`bench.board.ranks`) adds the tables over tasks, and ranks and groups on each.
    """
    parts = [f"<p>{escape(note)}</p>"] if note else []
    parts += [] if ranks is None else [_standing(table) for table in over_tasks(ranks)]
    parts += ["\n".join(_section(s, found, ranks)) for s in sections(frame)] or ["<p>The board is empty.</p>"]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>interpassay boards</title>\n<style>{STYLE}</style></head>\n<body>\n<h1>interpassay boards</h1>\n"
        f"<p>{escape(LEGEND)}</p>\n<p>{escape(P_NOTE)}</p>\n{body}\n</body></html>\n"
    )


def _standing(table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.head)
    body = ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows]
    return f"<p>{escape(table.title)}</p>{_table(head, body)}<p>{escape(table.note)}</p>"


def _section(section: Section, found: Sequence[Figure], ranks: pd.DataFrame | None) -> Iterator[str]:
    yield f"<h2>{escape(section.title)}</h2>\n<p>n = {section.n}</p>"
    if section.columns:
        heads = [
            f"<th>{escape(column_name(c, section.directions[c]))}<small>{escape(c[1] if c[1] != 'none' else '')}"
            "</small></th>"
            for c in section.columns
        ]
        body = [_method(section, method) for method in section.methods]
        for name in ("floor", "ceiling"):
            cells = "".join(f"<td>{short(section.anchor(name, c))}</td>" for c in section.columns)
            body.append(f'<tr class="bound"><td>{name}</td>{cells}<td></td><td></td></tr>')
        yield _table(f"<th>method</th>{''.join(heads)}<th>passes</th><th>seeds</th>", body)
    if ranks is not None and (standing := of_section(section, ranks)):
        yield _standing(standing)
    for ablation, columns in section.parts.items():
        yield f"<p>{escape(part_title(ablation))}</p>{_parts(section, columns)}"
    for text, link in handed_in(section):
        yield f'<p>Handed in: <a href="{escape(link)}" rel="nofollow noopener">{escape(text)}</a></p>'
    if section.without:
        yield "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in problems(section.without)) + "</ul>"
    yield from _drawings(section, found)
    yield f"<details><summary>All figures</summary>{_long(section.all)}</details>"


def _parts(section: Section, columns: Sequence[Column]) -> str:
    head = "".join(f"<th>{escape(part_name(c))}</th>" for c in columns)
    body = []
    for method in section.methods:
        found = [section.cells.get((method, c)) for c in columns]
        if any(found):
            cells = "".join("<td>–</td>" if row is None else f"<td>{short(row['score'])}</td>" for row in found)
            body.append(f"<tr><td>{escape(method_name(method))}</td>{cells}</tr>")
    return _table(f"<th>method</th>{head}", body)


def _method(section: Section, method: str) -> str:
    cells = [_cell(section.cells.get((method, column))) for column in section.columns]
    cost, seeds = escape(passes(section.any_cell(method))), escape(section.seeds(method))
    return f"<tr><td>{escape(method_name(method))}</td>{''.join(cells)}<td>{cost}</td><td>{seeds}</td></tr>"


def _cell(row: Row | None) -> str:
    if row is None:
        return "<td>–</td>"
    figure, _, bounds = with_interval(row).partition(" ")
    under = [bounds] if bounds else [f"values {row['values']}"] if row["values"] else []
    if np.isfinite(row["normalized"]):
        under.append(f"normalized {short(row['normalized'])}")
    return f"<td>{escape(figure)}{''.join(f'<small>{escape(u)}</small>' for u in under)}</td>"


def _drawings(section: Section, found: Sequence[Figure]) -> Iterator[str]:
    """f against real size, one line per method from its first cell, for each ablation that has curves."""
    mine = [f for f in found if f.curve is not None and _belongs(f, section)]
    for ablation in dict.fromkeys(f.ablation for f in mine):
        lines: dict[str, NDArray[np.float64]] = {}
        for figure in sorted((f for f in mine if f.ablation == ablation), key=_first):
            assert figure.curve is not None
            lines.setdefault(figure.record.method, figure.curve)
        ordered = {m: lines[m] for m in section.methods if m in lines}
        if drawing := curves(ordered):
            yield f"<figure><figcaption>Faithfulness against real size, {escape(ablation)} ablation, first seed"
            yield f"</figcaption>{drawing}</figure>"


def _belongs(figure: Figure, section: Section) -> bool:
    record = figure.record
    mine = (record.task, record.model, record.planted, record.counterfactual, record.split, record.level)
    return mine == (
        section.task, section.model, section.planted, section.counterfactual, section.split, section.level,
    )  # fmt: skip


def _first(figure: Figure) -> tuple[int, ...]:
    return tuple(-1 if s is None else s for s in figure.record.seeds)


def _long(found: Iterable[Row]) -> str:
    head = "".join(f"<th>{name}</th>" for name in LONG)
    return _table(head, ["<tr>" + "".join(f"<td>{_plain(row[name])}</td>" for name in LONG) + "</tr>" for row in found])


def _table(head: str, body: Iterable[str]) -> str:
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if np.isfinite(value) else ""
    return escape(str(value))
