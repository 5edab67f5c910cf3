"""The drawings of one board: each that its figures allow, folded behind its title."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from bench.board.figures import Figure
from bench.board.page.cost import Point, scatter
from bench.board.page.curves import Curve, curve
from bench.board.page.differences import forest
from bench.board.page.layers import charts, svg
from bench.board.page.markup import attributes, details, head, table, td, text, th
from bench.board.page.panels import panels
from bench.board.page.sparsity import picture, sparsity
from bench.board.page.standing import on_a_task
from bench.board.ranks import competes
from bench.board.rows import CEILING, FLOOR
from bench.board.standings import of_section
from bench.board.view import Column, Section, column_name, method_name, part_name, part_title, short


def drawings(board: Section, found: Sequence[Figure], ranks: pd.DataFrame | None) -> Iterable[str]:
    """Figures by layer, curves, ranks, paired differences and cost by the headline metric, and f at each size."""
    for chart in charts(board):
        name = f"{chart.metric} by layer" + (f" at {chart.position}" if chart.position else "")
        yield details(name, f"<figure>{svg(chart, name)}</figure>", open="")
    if over_l0 := sparsity(board):
        name = "Curves over L0 (dashed: controls)"
        yield details(name, f"<figure>{picture(over_l0, name)}</figure>", open="")
    for ablation in dict.fromkeys(f.ablation for f in found if f.curve is not None):
        lines = _curves(board, [f for f in found if f.ablation == ablation])
        if drawing := panels(lines, f"Faithfulness against real size, {ablation} ablation."):
            yield details(f"Faithfulness against size ({ablation})", drawing, open="")
    if board.columns:
        column = board.columns[0]
        direction = board.directions[column]
        if ranks is not None and direction:
            standing = on_a_task(ranks, column, direction)
            yield details(f"Ranks by {column[0]}", standing + _standing(board, ranks)) if standing else ""
        if pairs := _forest(board, found, column):
            yield details(f"Paired differences of {column[0]}", pairs)
        if drawing := _cost(board, column):
            yield details(f"Cost against {column[0]}", drawing)
    if board.parts:
        shown = [f"<p>{text(part_title(a))}</p>{_parts(board, a, columns)}" for a, columns in board.parts.items()]
        title = "At other sites" if list(board.parts) == ["none"] else "Faithfulness at each size"
        yield details(title, "".join(shown))


def _curves(board: Section, found: Sequence[Figure]) -> dict[str, Curve]:
    """Each method's curve, in the board's order; of the first metric that has any."""
    named = [f for f in found if f.curve is not None]
    first = next((f.metric for f in named), "")
    out = {}
    for method in board.methods:
        mine = [f for f in named if f.record.method == method and f.metric == first]
        if mine and (one := curve(mine)) is not None:
            out[method] = one
    return out


def _standing(board: Section, ranks: pd.DataFrame) -> str:
    """Open ranks and groups by every metric, as text."""
    standing = of_section(board, ranks)
    if standing is None or len(standing.head) <= 2:
        return ""
    body = [
        f"<tr{attributes(data_method=row[0])}><th scope=\"row\">{text(row[0])}</th>"
        + "".join(f"<td>{text(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in standing.rows
    ]  # fmt: skip
    return table(standing.title, [th(name) for name in standing.head], body)


def _forest(board: Section, found: Sequence[Figure], column: Column) -> str:
    direction = board.directions[column]
    mine = [f for f in found if (f.metric, f.ablation, f.status) == (*column, "ok") and competes(f)]
    methods = {m: [f for f in mine if f.record.method == m] for m in board.methods}
    return forest({m: figures for m, figures in methods.items() if figures}, column, direction) if direction else ""


def _cost(board: Section, column: Column) -> str:
    points = []
    for method in board.methods:
        row = board.cells.get((method, column))
        if row is not None and method not in (FLOOR, CEILING):
            cost = row["forwards"] + row["backwards"]
            points.append(Point(method, cost, row["score"], row["low"], row["high"]))
    name = column_name(column, board.directions[column]) + (f" ({column[1]})" if column[1] != "none" else "")
    anchors = {edge: board.anchor(edge, column) for edge in ("floor", "ceiling")}
    return scatter(points, name, f"Cost against {column[0]}.", anchors)


def _parts(board: Section, ablation: str, columns: Sequence[Column]) -> str:
    body = []
    for method in board.methods:
        found = [board.cells.get((method, c)) for c in columns]
        if any(found):
            shown = "".join(td("–", math.nan) if r is None else td(short(r["score"]), r["score"]) for r in found)
            body.append(f"<tr{attributes(data_method=method)}>{head(method, method_name(method))}{shown}</tr>")
    return table(f"f by size ({ablation})", [th("method"), *(th(part_name(c), "number") for c in columns)], body)
