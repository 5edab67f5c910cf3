"""The sensitivity map: how far the order of the methods holds when one choice is made otherwise."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bench.board.agreement import Tau, mean_tau
from bench.board.figures import Figure
from bench.board.page.heat import STEPS
from bench.board.page.markup import details, small, table, td, text, th
from bench.board.ranks import kind
from bench.board.view import FIRST

if TYPE_CHECKING:
    from bench.sensitivity.axes import Pair

Line = tuple[str, str, str]
"""An axis and two choices on it."""
ACROSS = "planted against naturally trained"
LEAST = 2
"""Methods that two boards must share for a tau."""
INTRO = (
    "Kendall's tau-b between the orders of the methods under two choices, everything else at its default: 1 the same"
    " order, 0 none in common, -1 the reverse. In brackets its 95 % interval, over methods and the error of their"
    " scores; with fewer than five methods there is none. A flip is a pair of methods that the two order otherwise,"
    " sure where the intervals of both differences exclude 0. Natural and planted models stand apart, the oracle is"
    " left out."
)


def sensitivity(found: Sequence[Figure]) -> str:
    """The maps of all kinds of models, and what these cells cannot tell."""
    from bench.sensitivity.axes import (  # bench.sensitivity is made of boards: a top import would be a circle
        AXES,
        pairs,
    )
    from bench.sensitivity.boards import boards

    compared = pairs(boards([f for f in found if f.status == "ok"]))
    planted = {(f.record.task, f.record.model): f.record.planted for f in found}
    groups: dict[str, list[Pair]] = defaultdict(list)
    for pair in compared:
        models = {pair.a.model, pair.b.model}
        both = len(models) > 1
        groups[ACROSS if both else kind(pair.a.model, planted[pair.a.task, pair.a.model])
               ].append(pair)  # fmt: skip
    parts = [f"<p>{text(INTRO)}</p>"]
    parts += [_group(name, members) for name, members in groups.items()]
    lacking = [axis for axis in AXES if axis not in {pair.axis for pair in compared}]
    if lacking:
        parts.append(
            f'<p class="note">Not shown: {text(", ".join(lacking))}. Either these cells hold one choice only (run or'
            " score another one), or it takes stored curves under each summary; <code>bench sensitivity</code> names"
            " what is missing, and has selection, aggregation and the declared grid.</p>"
        )
    return "".join(parts)


def _group(name: str, compared: Sequence[Pair]) -> str:
    headline = next((m for m in FIRST if any(m in (p.one, p.other) for p in compared if p.axis == "metric")), "")
    first = [p for p in compared if p.axis != "metric" or headline in (p.one, p.other)]
    rest = [p for p in compared if p not in first]
    content = _map(first, f"tau-b between choices, {name} models") if first else ""
    if rest:
        lines = len({_line(p) for p in rest})
        content += details(
            f"{lines} more pairs of metrics", _map(rest, f"tau-b between further pairs of metrics, {name} models")
        )
    data = "" if name == ACROSS else f' data-model="{text(name)}"'
    return f"<div{data}><h3>{text(name)} models</h3>{content}</div>"


def _line(pair: Pair) -> Line:
    """The pair's choices, a headline metric first."""
    if pair.other in FIRST and (pair.one not in FIRST or FIRST.index(pair.other) < FIRST.index(pair.one)):
        return pair.axis, pair.other, pair.one
    return pair.axis, pair.one, pair.other


def _map(compared: Sequence[Pair], caption: str) -> str:
    places = sorted({(p.a.task, p.a.level) for p in compared})
    cells: dict[Line, dict[tuple[str, str], list[Pair]]] = defaultdict(lambda: defaultdict(list))
    for pair in compared:
        cells[_line(pair)][pair.a.task, pair.a.level].append(pair)
    columns = [th("two choices")]
    columns += [th(task, "number", f"{level} scores", data_task=task, data_level=level) for task, level in places]
    columns.append(th("mean", "number"))
    order = sorted(cells, key=lambda line: (line[0], _place(line[1]), _place(line[2])))
    return table(caption, columns, [_row(line, cells[line], places) for line in order], (), "heat")


def _place(name: str) -> tuple[int, str]:
    return (FIRST.index(name) if name in FIRST else len(FIRST), name)


def _row(line: Line, cells: dict[tuple[str, str], list[Pair]], places: Sequence[tuple[str, str]]) -> str:
    names = f'<th scope="row">{text(f"{line[1]} / {line[2]}")}{small([line[0]])}</th>'
    shown = [_cell(cells.get(place, []), place) for place in places]
    every = [p.tau for found in cells.values() for p in found]
    return f"<tr>{names}{''.join(shown)}{_tau(mean_tau(every), [f'{len(every)} boards'])}</tr>"


def _cell(found: Sequence[Pair], place: tuple[str, str]) -> str:
    if not found:
        return td("–", math.nan, class_="state", data_task=place[0], data_level=place[1])
    return _tau(mean_tau([p.tau for p in found]), list(_under(found)), data_task=place[0], data_level=place[1])


def _under(found: Sequence[Pair]) -> Iterator[str]:
    if len(found) > 1:
        yield f"mean of {len(found)} boards"
    flips, sure = sum(len(p.flips) for p in found), sum(p.sure for p in found)
    if flips:
        yield f"{flips} flip{'s' * (flips > 1)}" + (f", {sure} sure" if sure else "")


def _tau(tau: Tau, under: list[str], **data: object) -> str:
    if not math.isfinite(tau.value):
        return td(
            "–", math.nan, [f"{tau.methods} methods" if tau.methods < LEAST else "all tied"], class_="state", **data
        )
    share = min(abs(tau.value), 1.0)
    shade = f"h{round(share * STEPS)}" if tau.value >= 0 else f"n{round(share * STEPS)}"
    bounds = [f"[{tau.low:.2f}, {tau.high:.2f}]"] if math.isfinite(tau.low) else []
    return td(f"{tau.value + 0.0:.2f}", tau.value, [*bounds, *under], class_=shade, **data)
