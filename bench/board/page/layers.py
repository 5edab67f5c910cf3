"""Figures by layer: metrics that are measured at several sites of one position, drawn as lines over the layers.

The parts of such a metric are called ``interchange[site=stream3@END]`` or ``kl_to_final[layer=3]``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

from bench.board.page.scales import Axis, around, label
from bench.board.view import Row, Section

STREAM = re.compile(r"stream(\d+)@([^,\]]+)")
PART = re.compile(r"[\[,](?:site=(?P<site>[^,\]]+)|layer=(?P<layer>\d+))\]$")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 300, 46, 190, 26, 40
OWN_SCALE = ("above_control",)
"""Metrics whose figures of different methods are not on one scale: a picture for each method."""
COLOURS = ("#0b5cad", "#b35900", "#2e7d32", "#8e24aa", "#c62828", "#00838f", "#6d4c41", "#546e7a")
DASHES = ("", "6 3", "2 3")
LINE = 13
FIRST = ("interchange", "probe_accuracy")
"""Metrics whose pictures come before those of others."""
Point = tuple[float, float]


class Chart(NamedTuple):
    """One picture: a metric at one position, a line for each method."""

    metric: str
    position: str
    lines: dict[str, list[Point]]
    """By method: layer and figure, ascending."""


def charts(board: Section) -> list[Chart]:
    """The pictures of a board; lines of fewer than three layers are left out."""
    found: dict[tuple[str, str], dict[str, dict[float, float]]] = {}
    for row in board.all:
        if row["status"] == "ok" and (point := _point(row)) is not None:
            metric, position, layer = point
            metric += f" of {row['method']}" if metric.partition("[")[0] in OWN_SCALE else ""
            found.setdefault((metric, position), {}).setdefault(row["method"], {})[layer] = row["score"]
    kept = []
    for (metric, position), methods in found.items():
        lines = {m: sorted(points.items()) for m, points in methods.items() if len(points) > 2}
        if lines:
            kept.append(Chart(metric, position, _shortened(lines, position)))
    return sorted(kept, key=lambda chart: FIRST.index(chart.metric) if chart.metric in FIRST else len(FIRST))


def _shortened(lines: dict[str, list[Point]], position: str) -> dict[str, list[Point]]:
    """The lines without the position in their names, which the picture tells, and without the text that a method was
    trained on, where that leaves them apart."""
    short = {_brief(name, position): points for name, points in lines.items()}
    return short if len(short) == len(lines) else lines


def _brief(name: str, position: str) -> str:
    """``das[steps=60]`` of ``das[position=END,steps=60]``."""
    front, _, inside = name.rstrip("]").partition("[")
    kept = [part for part in inside.split(",") if part and part != f"position={position}" and part[:5] != "text="]
    return f"{front}[{','.join(kept)}]" if kept else front


def _point(row: Row) -> tuple[str, str, float] | None:
    """Metric without the part, position and layer of a row; None where it belongs to no layer."""
    part = PART.search(row["metric"])
    if part and part["layer"]:
        return _without(row["metric"]), "", float(part["layer"])
    site = STREAM.fullmatch(part["site"] if part else str(row.get("site", "")))
    return (_without(row["metric"]), site[2], float(site[1])) if site else None


def _without(metric: str) -> str:
    """``interchange`` of ``interchange[site=stream3@END]``."""
    part = PART.search(metric)
    if part is None:
        return metric
    rest = metric[: part.start()]
    return rest + "]" if "[" in rest else rest


def svg(chart: Chart, title: str, of: str = "") -> str:
    """A picture; one that stands by itself says of which task and model it is."""
    values = [y for points in chart.lines.values() for _, y in points]
    layers = [x for points in chart.lines.values() for x, _ in points]
    low, high = around([*values, 0.0, 1.0] if all(0 <= v <= 1 for v in values) else values)
    x, y = Axis(min(layers), max(layers), LEFT, WIDTH - RIGHT), Axis(low, high, HEIGHT - BOTTOM, TOP)
    parts = [*_axes(x, y, sorted(set(layers)), chart, of), *_drawn(chart.lines, x, y)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(title)}" width="{WIDTH}"'
        f' height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, sans-serif" font-size="10.5"'
        f' fill="currentColor">{"".join(parts)}</svg>'
    )


def _axes(x: Axis, y: Axis, layers: Sequence[float], chart: Chart, of: str) -> Iterator[str]:
    for at in y.ticks(5):
        yield f'<path d="M{LEFT} {y(at):.1f}H{WIDTH - RIGHT}" stroke="#8886" fill="none"/>'
        yield f'<text text-anchor="end" x="{LEFT - 6}" y="{y(at) + 4:.1f}">{label(at)}</text>'
    every = math.ceil(len(layers) / 16)
    for at in layers[::every]:
        yield f'<text text-anchor="middle" x="{x(at):.1f}" y="{HEIGHT - BOTTOM + 15}">{label(at)}</text>'
    where = f" at {chart.position}" if chart.position else ""
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text text-anchor="middle" x="{middle}" y="{HEIGHT - 6}">{escape(f"stream entering layer{where}")}</text>'
    yield f'<text x="{LEFT}" y="{TOP - 10}">{escape(", ".join(filter(None, [chart.metric, of])))}</text>'


def _drawn(lines: Mapping[str, Sequence[Point]], x: Axis, y: Axis) -> Iterator[str]:
    """Each method has the same colour in all pictures of a board; names stand beside the ends, none upon another."""
    looks = {name: (COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)])
             for i, name in enumerate(sorted(lines))}  # fmt: skip
    order = sorted(lines, key=lambda name: (-lines[name][-1][1], name))
    ends = [y(lines[name][-1][1]) for name in order]
    for name, end, at in zip(order, ends, apart(ends, TOP, HEIGHT - LINE / 2), strict=True):
        colour, dash = looks[name]
        points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in lines[name])
        yield (
            f'<polyline points="{points}" stroke="{colour}" stroke-width="1.8" fill="none"'
            f' stroke-dasharray="{dash}"><title>{escape(name)}</title></polyline>'
            f'<path d="M{WIDTH - RIGHT + 2} {end:.1f}L{WIDTH - RIGHT + 12} {at:.1f}" stroke="{colour}"'
            f' stroke-width=".6" fill="none"/>'
            f'<text x="{WIDTH - RIGHT + 15}" y="{at + 4:.1f}" style="fill:{colour}">{escape(name)}</text>'
        )


def apart(ends: Sequence[float], top: float, bottom: float) -> list[float]:
    """Heights for the names of lines that end at ``ends``, ascending: a line apart each, from ``top`` to ``bottom``
    where they are not too many."""
    found: list[float] = []
    for end in ends:
        found.append(max(end, found[-1] + LINE if found else top))
    limit = max(bottom, top + LINE * (len(ends) - 1))
    for i in reversed(range(len(found))):
        found[i] = min(found[i], limit - LINE * (len(found) - 1 - i))
    return found
