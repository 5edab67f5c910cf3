"""Faithfulness against size as a small inline drawing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

import numpy as np
from numpy.typing import NDArray

COLOURS = ("#4477aa", "#ee6677", "#228833", "#aa8800", "#0099bb", "#aa3377", "#777777", "#994400")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 300, 44, 170, 12, 36


def curves(lines: Mapping[str, NDArray[np.float64]]) -> str:
    """One line per method through its points ``[n, 2]`` (size > 0, f); the size axis is logarithmic."""
    kept = {name: points[points[:, 0] > 0] for name, points in lines.items()}
    kept = {name: points for name, points in kept.items() if len(points)}
    if not kept:
        return ""
    smallest = min(float(p[:, 0].min()) for p in kept.values())
    f = np.concatenate([p[:, 1] for p in kept.values()])
    low, high = max(-1.0, min(0.0, float(f.min()))), min(3.0, max(1.1, float(f.max())))
    decades = max(-math.log10(smallest), 1e-9)

    def x(size: float) -> float:
        return LEFT + (1 + math.log10(size) / decades) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - min(max(value, low), high)) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [_axes(x, y, smallest, low, high)]
    for i, (name, points) in enumerate(kept.items()):
        colour, dash = COLOURS[i % len(COLOURS)], ("", ' stroke-dasharray="5 3"')[i // len(COLOURS) % 2]
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.8"{dash} points="{path}"/>')
        row = TOP + 14 + 16 * i
        start = WIDTH - RIGHT + 12
        parts.append(f'<line x1="{start}" x2="{start + 18}" y1="{row - 4}" y2="{row - 4}" stroke="{colour}"{dash}/>')
        parts.append(f'<text x="{start + 24}" y="{row}">{escape(name)}</text>')
    tall = max(HEIGHT, TOP + 16 * len(kept) + 20)
    return (
        f'<svg role="img" aria-label="faithfulness against size" viewBox="0 0 {WIDTH} {tall}" width="{WIDTH}">'
        + "".join(parts)
        + "</svg>"
    )


def _axes(x, y, smallest: float, low: float, high: float) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Grid lines at the decades and at f = 0 and 1, with labels."""
    parts = []
    for power in range(0, -math.ceil(-math.log10(smallest)) - 1, -1):
        size = 10.0**power
        if size >= smallest * 0.999:
            parts.append(f'<line class="grid" x1="{x(size):.1f}" x2="{x(size):.1f}" y1="{y(high)}" y2="{y(low)}"/>')
            parts.append(f'<text text-anchor="middle" x="{x(size):.1f}" y="{HEIGHT - 20}">{size:g}</text>')
    for value in (0.0, 0.5, 1.0, 2.0):
        if low <= value <= high:
            line = f'x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"'
            parts.append(f'<line class="{"one" if value == 1 else "grid"}" {line}/>')
            parts.append(f'<text text-anchor="end" x="{LEFT - 6}" y="{y(value) + 4:.1f}">{value:g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text text-anchor="middle" x="{middle}" y="{HEIGHT - 4}">kept edges / all edges</text>')
    return "".join(parts)
