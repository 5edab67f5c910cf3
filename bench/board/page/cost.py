"""Cost against score: passes per example on a logarithmic axis, methods by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from bench.board.page.markup import text
from bench.board.page.scales import Axis, around, label

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 600, 300, 46, 150, 14, 40
FREE = 52
"""Pixels at the left end for methods without a pass."""
LINE = 13


class Point(NamedTuple):
    """A method's cost and score; low and high NaN where there is no interval."""

    method: str
    passes: float
    score: float
    low: float = math.nan
    high: float = math.nan


def scatter(points: Sequence[Point], name: str, title: str, anchors: dict[str, float] | None = None) -> str:
    """The figure; empty where fewer than two methods have a cost and a score. ``anchors``: lines across, by name."""
    kept = sorted((p for p in points if math.isfinite(p.passes) and math.isfinite(p.score)), key=lambda p: -p.score)
    lines = {k: v for k, v in (anchors or {}).items() if math.isfinite(v)}
    if len(kept) < 2:
        return ""
    low, high = around([v for p in kept for v in (p.score, p.low, p.high)] + list(lines.values()))
    y = Axis(low, high, HEIGHT - BOTTOM, TOP)
    x = _across([p.passes for p in kept if p.passes > 0])
    parts = [_axes(x, y, any(p.passes <= 0 for p in kept), name), *(_line(k, v, y) for k, v in lines.items())]
    at = [(x(p.passes) if p.passes > 0 else LEFT + FREE / 2) for p in kept]
    parts += [_point(p, x, y) for p, x in zip(kept, at, strict=True)]
    parts += _labels(kept, at, y)
    without = [p.method for p in points if not (math.isfinite(p.passes) and math.isfinite(p.score))]
    note = f" Without cost or score: {', '.join(without)}." if without else ""
    says = "; ".join(f"{p.method}: {p.passes:.4g} passes, {p.score:.3f}" for p in kept)
    return (
        f"<figure><figcaption><b>{text(title)}</b> Full-model passes (forwards + backwards) per example, as if nothing"
        f" were shared; further left is cheaper.{text(note)}</figcaption>"
        f'<div class="scroll" role="region" tabindex="0" aria-label="{text(title)}">'
        f'<svg role="img" aria-label="{text(f"{title}: {says}")}" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}"'
        f' height="{HEIGHT}">{"".join(parts)}</svg></div></figure>'
    )


def _across(passes: Sequence[float]) -> Axis:
    low, high = min(passes, default=1.0), max(passes, default=10.0)
    low, high = 10 ** math.floor(math.log10(low) - 1e-9 + (low >= 1)), 10 ** math.ceil(math.log10(high))
    return Axis(min(low, high / 10), high, LEFT + FREE, WIDTH - RIGHT, log=True)


def _axes(x: Axis, y: Axis, free: bool, name: str) -> str:
    parts = []
    for at in y.ticks(5):
        parts.append(f'<path class="rule" d="M{LEFT} {y(at):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="end" x="{LEFT - 6}" y="{y(at) + 4:.1f}">{label(at)}</text>')
    for at in x.ticks():
        parts.append(f'<path class="rule" d="M{x(at):.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text class="mid" x="{x(at):.1f}" y="{HEIGHT - BOTTOM + 15}">{label(at)}</text>')
    if free:
        parts.append(f'<text class="mid" x="{LEFT + FREE / 2}" y="{HEIGHT - BOTTOM + 15}">none</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="mid" x="{middle}" y="{HEIGHT - 6}">passes per example</text>')
    parts.append(f'<text x="{LEFT + 4}" y="{TOP - 2}">{text(name)}</text>')
    return "".join(parts)


def _line(name: str, value: float, y: Axis) -> str:
    kind = "ceiling" if name == "ceiling" else "floor"
    return (
        f'<path class="{kind}" d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}"/>'
        f'<text class="end" x="{WIDTH - RIGHT - 4}" y="{y(value) - 4:.1f}">{text(name)}</text>'
    )


def _point(p: Point, x: float, y: Axis) -> str:
    whisker = ""
    if math.isfinite(p.low) and math.isfinite(p.high):
        whisker = f'<path class="whisker" d="M{x:.1f} {y(p.low):.1f}V{y(p.high):.1f}"/>'
    return f'{whisker}<circle class="dot" cx="{x:.1f}" cy="{y(p.score):.1f}" r="4.5"/>'


def _labels(points: Sequence[Point], at: Sequence[float], y: Axis) -> list[str]:
    """Names in a column at the right in the order of the scores, none over another, with a thin line to each dot."""
    wanted = [y(p.score) for p in points]
    placed: list[float] = []
    for value in wanted:
        placed.append(max(value, placed[-1] + LINE) if placed else value)
    over = max(0.0, placed[-1] - (HEIGHT - BOTTOM))
    placed = [v - over for v in placed]
    for i in range(len(placed) - 2, -1, -1):
        placed[i] = min(placed[i], placed[i + 1] - LINE)
    edge = WIDTH - RIGHT
    return [
        f'<path class="lead" d="M{x + 5:.1f} {wish:.1f}L{edge + 4} {here:.1f}"/>'
        f'<text x="{edge + 8}" y="{here + 4:.1f}">{text(p.method)}</text>'
        for p, x, wish, here in zip(points, at, wanted, placed, strict=True)
    ]
