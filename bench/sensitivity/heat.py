"""A heat map as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDE, TALL, CHAR = 78, 24, 6.6


def heat(rows: Sequence[str], columns: Sequence[str], values: Mapping[tuple[str, str], float], title: str) -> str:
    """Values in [-1, 1] by (row, column): blue where 1, red where -1, white at 0, hatched grey where there is none."""
    left = 16 + int(CHAR * max((len(name) for name in rows), default=0))
    top = 40 + int(CHAR * 0.72 * max((len(name) for name in columns), default=0))
    width, height = left + WIDE * len(columns) + 40, top + TALL * len(rows) + 12
    parts = [f'<text x="8" y="18" font-weight="bold">{escape(title)}</text>']
    for j, name in enumerate(columns):
        x = left + WIDE * (j + 0.45)
        parts.append(f'<text transform="translate({x:.0f},{top - 8}) rotate(-38)">{escape(name)}</text>')
    for i, name in enumerate(rows):
        y = top + TALL * i
        parts.append(f'<text text-anchor="end" x="{left - 8}" y="{y + 16}">{escape(name)}</text>')
        for j, column in enumerate(columns):
            value = values.get((name, column), math.nan)
            x = left + WIDE * j
            fill = colour(value)
            parts.append(f'<rect x="{x}" y="{y}" width="{WIDE - 2}" height="{TALL - 2}" fill="{fill}"/>')
            ink = "#fff" if math.isfinite(value) and abs(value) > 0.65 else "#222"
            shown = f"{value + 0.0:.2f}" if math.isfinite(value) else "–"
            middle = x + WIDE / 2 - 1
            parts.append(f'<text text-anchor="middle" x="{middle}" y="{y + 16}" fill="{ink}">{shown}</text>')
    body = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(title)}" '
        f'viewBox="0 0 {width + top} {height}" width="{width + top}" font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="#fff"/>{body}</svg>\n'
    )


def colour(value: float) -> str:
    """White at 0, towards #2166ac at 1 and #b2182b at -1; grey where there is none."""
    if not math.isfinite(value):
        return "#dddddd"
    end = (33, 102, 172) if value > 0 else (178, 24, 43)
    share = min(abs(value), 1.0)
    return "#" + "".join(f"{round(255 + (c - 255) * share):02x}" for c in end)
