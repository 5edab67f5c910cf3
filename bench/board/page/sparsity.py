"""Curves over L0: what dictionaries keep against how many latents they use, a panel per figure and site.

Dictionaries are compared along curves, never point against point. Lines of controls are dashed; the line of a
weight-randomised model is drawn from the parts ``control`` of ``random_model_variance``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

from bench.board.page.layers import COLOURS
from bench.board.page.scales import Axis, around, label
from bench.board.view import Row, Section

FIGURES = {"explained_variance": "explained variance", "ce_loss_score": "CE-loss score"}
"""What is drawn, and what it is called."""
RANDOM, PART, L0_PART = "random_model_variance", "part=control", "part=control_l0"
GREYS = ("#444444", "#7a7a7a", "#a0622d", "#5b7f95", "#8c6bb1", "#9a9a00", "#b05070", "#3f8f6f", "#2b2b8a")
DASHES = ("7 3", "2 3", "8 3 2 3", "4 2", "1 3", "10 4", "3 6")
WIDE, HIGH, LEFT, TOP, GAP, BOTTOM, KEY = 320, 330, 52, 34, 26, 44, 300
LOWEST = -0.25
"""Figures below are drawn at the edge: a reconstruction worse than none would flatten all others."""
Point = tuple[float, float]


class Line(NamedTuple):
    """One curve."""

    figure: str
    site: str
    name: str
    control: bool
    points: tuple[Point, ...]
    """L0 as measured, and the figure; ascending. What has no latents, at L0 0, is drawn as a level."""


def sparsity(board: Section) -> list[Line]:
    """The curves of a board, those with two points or more, and the levels of what has no latents."""
    actual: dict[tuple[str, str], float] = {}
    for row in _ok(board, "l0"):
        actual[row["method"], ""] = row["score"]
    for row in _ok(board, RANDOM):
        if _inside(row).endswith(L0_PART):
            actual[row["method"], RANDOM] = row["score"]
    found: dict[tuple[str, str, str, bool], list[Point]] = {}
    for metric in (*FIGURES, RANDOM):
        for row in _ok(board, metric):
            beside = metric == RANDOM
            if beside != (_inside(row).rpartition(",")[2] == PART):
                continue
            l0 = actual.get((row["method"], RANDOM if beside else ""), _number(row.get("l0", "")))
            name = f"{row['architecture']}, random weights" if beside else row["architecture"]
            key = ("explained_variance" if beside else metric, row["site"], name, beside or row["control"] == "yes")
            found.setdefault(key, []).append((l0, row["score"]))
    kept = {key: sorted((x, y) for x, y in points if x >= 0 and math.isfinite(y)) for key, points in found.items()}
    return [
        Line(*key, tuple(points)) for key, points in kept.items() if len(points) > 1 or points[:1] and not points[0][0]
    ]


def _ok(board: Section, metric: str) -> list[Row]:
    return [
        row for row in board.all
        if row["status"] == "ok" and row.get("architecture") and row["metric"].partition("[")[0] == metric
    ]  # fmt: skip


def _inside(row: Row) -> str:
    """The metric's parameters and part."""
    return str(row["metric"]).partition("[")[2].rstrip("]")


def _number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return math.nan


# -- the picture


def picture(lines: Sequence[Line], title: str) -> str:
    """A picture that stands by itself: sites beside each other, figures below each other, one key for all."""
    sites, figures = sorted({line.site for line in lines}), [f for f in FIGURES if any(li.figure == f for li in lines)]
    looks = _looks(lines)
    width = LEFT + len(sites) * (WIDE + GAP) + KEY
    height = max(TOP + len(figures) * (HIGH + GAP) + BOTTOM, TOP + 16 * len(looks) + 60)
    parts = []
    for column, site in enumerate(sites):
        for row, figure in enumerate(figures):
            corner = (LEFT + column * (WIDE + GAP), TOP + row * (HIGH + GAP))
            here = [line for line in lines if (line.figure, line.site) == (figure, site)]
            values = [y for line in lines if line.figure == figure for _, y in line.points]
            parts += list(_panel(here, figure, site, corner, values, looks, column == 0, row == len(figures) - 1))
    parts += list(_key(looks, LEFT + len(sites) * (WIDE + GAP) + 4))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(title)}" width="{width}"'
        f' height="{height}" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="11"'
        f' fill="currentColor">{"".join(parts)}</svg>'
    )


def _looks(lines: Sequence[Line]) -> dict[str, tuple[str, str]]:
    """Colour and dashes of each name, the better ones first (by the mean of the first figure), controls behind."""
    first = next(f for f in FIGURES if any(line.figure == f for line in lines))
    means: dict[tuple[bool, str], list[float]] = {}
    for line in lines:
        values = [y for _, y in line.points] if line.figure == first else []
        means.setdefault((line.control, line.name), []).extend(values)
    order = sorted(means, key=lambda key: (key[0], -sum(means[key]) / max(1, len(means[key])), key[1]))
    shown, looks, controls = 0, {}, 0
    for control, name in order:
        if control:
            looks[name] = GREYS[controls % len(GREYS)], DASHES[controls % len(DASHES)]
            controls += 1
        else:
            looks[name] = COLOURS[shown % len(COLOURS)], ""
            shown += 1
    return looks


def _panel(
    lines: Sequence[Line], figure: str, site: str, corner: tuple[float, float], values: list[float],
    looks: Mapping[str, tuple[str, str]], first: bool, last: bool,
) -> Iterator[str]:  # fmt: skip
    left, top = corner
    at = [x for line in lines for x, _ in line.points if x] or [1.0, 2.0]
    low, high = around([max(v, LOWEST) for v in values])
    x = Axis(min(at) / 1.08, max(at) * 1.08, left, left + WIDE, log=True)
    y = Axis(low, min(high, 1.05) if max(values) <= 1 else high, top + HIGH, top)
    yield f'<text x="{left}" y="{top - 8}">{escape(f"{FIGURES[figure]}, {site}")}</text>'
    for tick in y.ticks(8):
        yield f'<path d="M{left} {y(tick):.1f}H{left + WIDE}" stroke="#8884" fill="none"/>'
        if first:
            yield f'<text text-anchor="end" x="{left - 6}" y="{y(tick) + 4:.1f}">{label(tick)}</text>'
    for tick in (2.0**p for p in range(-4, 16)):
        if x.low <= tick <= x.high:
            yield f'<path d="M{x(tick):.1f} {top}V{top + HIGH}" stroke="#8883" fill="none"/>'
            if last:
                yield f'<text text-anchor="middle" x="{x(tick):.1f}" y="{top + HIGH + 15}">{label(tick)}</text>'
    if last:
        yield f'<text text-anchor="middle" x="{left + WIDE / 2}" y="{top + HIGH + 32}">L0 (latents per token)</text>'
    for line in sorted(lines, key=lambda line: not line.control):
        yield from _curve(line, x, y, *looks[line.name])


def _curve(line: Line, x: Axis, y: Axis, colour: str, dash: str) -> Iterator[str]:
    if not line.points[0][0]:
        level = f'<path d="M{x.start} {y(line.points[0][1]):.1f}H{x.stop}" stroke="{colour}" stroke-width="1.7"'
        yield f'{level} fill="none" stroke-dasharray="{dash}"><title>{escape(line.name)}</title></path>'
        return
    points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in line.points)
    yield (
        f'<polyline points="{points}" stroke="{colour}" stroke-width="1.7" fill="none" stroke-dasharray="{dash}">'
        f"<title>{escape(line.name)}</title></polyline>"
    )
    for a, b in line.points:
        yield (
            f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="2.4" fill="{colour}">'
            f"<title>{escape(line.name)}: {b:.3f} at L0 {a:.3g}</title></circle>"
        )


def _key(looks: Mapping[str, tuple[str, str]], left: float) -> Iterator[str]:
    for i, (name, (colour, dash)) in enumerate(looks.items()):
        at = TOP + 8 + 17 * i
        yield f'<path d="M{left} {at}h34" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}" fill="none"/>'
        yield f'<text x="{left + 42}" y="{at + 4}">{escape(name)}</text>'
    yield f'<text x="{left}" y="{TOP + 24 + 17 * len(looks)}">dashed: controls</text>'
