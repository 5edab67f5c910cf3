"""Paired differences on one task as a forest: every pair of methods, with its interval and corrected p."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from bench.board.figures import Figure
from bench.board.page.bars import axis, bar, scale
from bench.board.page.markup import attributes, small, table, td, text, th
from bench.board.page.scales import around
from bench.board.pairs import difference
from bench.board.view import ARROWS, Column, short
from bench.scoring.estimate import Estimate
from bench.scoring.significance import ALPHA, holm

MOST = 45
"""Pairs that are drawn: of ten methods; with more methods those with the best one."""


class Pair(NamedTuple):
    """The difference of two methods, turned so that it is not below 0: the first is the better one."""

    better: str
    other: str
    estimate: Estimate
    by_example: bool
    seeds: int
    holm: float = math.nan


def forest(methods: Mapping[str, Sequence[Figure]], column: Column, direction: int) -> str:
    """The table of pairs of ``methods``, the best first; empty where there are none. ``direction`` 1: up is better."""
    found, untested = pairs(methods, direction)
    if not found:
        return ""
    shown = found if len(found) <= MOST else [p for p in found if next(iter(methods)) in (p.better, p.other)]
    low, high = around([0.0] + [v for p in shown for v in (p.estimate.value, p.estimate.low, p.estimate.high)])
    along = axis(low, high)
    columns = [
        th("higher, over lower"),
        _drawn(scale(along)),
        th("difference", "number"),
        th("p (Holm)", "number"),
        th("paired by"),
    ]
    body = [_line(pair, along) for pair in shown]
    under = "" if column[1] == "none" else f" ({column[1]} ablation)"
    name = f"Paired differences of {column[0]} {ARROWS[direction]}".strip() + under
    return table(f"{name}: {_caption(found, shown, untested)}", columns, body)


def pairs(methods: Mapping[str, Sequence[Figure]], direction: int) -> tuple[list[Pair], int]:
    """All pairs by difference, the largest first, p by Holm over all of them; and how many have no test."""
    found = []
    for first, second in combinations(methods, 2):
        apart = difference(methods[first], methods[second])
        if apart is None:
            continue
        estimate, better, other = apart.estimate, first, second
        if direction * estimate.value < 0:
            better, other = second, first
        if estimate.value < 0:
            estimate = estimate._replace(value=-estimate.value, low=-estimate.high, high=-estimate.low)
        found.append(Pair(better, other, estimate, apart.by_example, apart.seeds))
    adjusted = holm([pair.estimate.p for pair in found])
    table = [pair._replace(holm=float(p)) for pair, p in zip(found, adjusted, strict=True)]
    order = sorted(table, key=lambda p: (-p.estimate.value, p.better, p.other))
    return order, sum(not pair.estimate.tested for pair in table)


def _drawn(marks: str) -> str:
    return f'<th scope="col" data-sort="none"><span>95 % interval</span>{marks}</th>'


def _line(pair: Pair, along: object) -> str:
    e = pair.estimate
    bounds = f" [{short(e.low)}, {short(e.high)}]" if math.isfinite(e.low) else ""
    told = pair.holm <= ALPHA
    says = f"{pair.better} above {pair.other} by {short(e.value)}{bounds}"
    drawing = bar(e.value, e.low, e.high, along, says, full=told, zero=True)  # type: ignore[arg-type]
    p = "–" if not math.isfinite(pair.holm) else "&lt;1e-4" if pair.holm < 1e-4 else f"{pair.holm:.2g}"
    paired = ("examples" if pair.by_example else "models") + f", {pair.seeds} seed{'s' * (pair.seeds != 1)}"
    why = [e.note] if e.note else []
    data = attributes(data_method=pair.better, data_method2=pair.other)
    return (
        f'<tr{data}><th scope="row">{text(pair.better)}{small([f"over {pair.other}"])}</th>'
        f"<td>{drawing}</td>{td(text(short(e.value) + bounds), e.value)}"
        f"{td(f'<b>{p}</b>' if told else p, pair.holm)}<td>{text(paired)}{small(why)}</td></tr>"
    )


def _caption(found: Sequence[Pair], shown: Sequence[Pair], untested: int) -> str:
    told = sum(pair.holm <= ALPHA for pair in found)
    parts = [f"{told} of {len(found)} pairs are told apart at 5 % (Holm over all; full dots)"]
    if untested:
        parts.append(f"{untested} cannot be tested")
    if len(shown) < len(found):
        parts.append(f"of them the {len(shown)} with the highest method are shown; `bench compare` has the others")
    return "; ".join(parts)
