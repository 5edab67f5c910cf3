"""Axes of the drawings: where a value lies, and which ticks are shown."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple


class Axis(NamedTuple):
    """Values from ``low`` to ``high`` on pixels from ``start`` to ``stop``; what is beyond is drawn at the end."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (math.log10(v) for v in (self.low, self.high, value)) if self.log else (*self[:2], value)
        share = min(max((at - low) / (high - low), 0.0), 1.0) if high > low else 0.5
        return self.start + share * (self.stop - self.start)

    def ticks(self, wanted: int = 4) -> Iterator[float]:
        """Powers of ten, or about ``wanted`` round numbers."""
        if self.log:
            yield from (10.0**p for p in range(_up(math.log10(self.low)), _down(math.log10(self.high)) + 1))
            return
        step = _round_step((self.high - self.low) / wanted)
        yield from (i * step for i in range(_up(self.low / step), _down(self.high / step) + 1))


def around(values: list[float], margin: float = 0.06) -> tuple[float, float]:
    """The range of finite ``values`` with a margin; (0, 1) where there are none."""
    known = [v for v in values if math.isfinite(v)]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    edge = margin * (high - low) or 0.5 * abs(high) or 0.5
    return low - edge, high + edge


def label(value: float) -> str:
    """A tick's label: ``0.5``, ``1``, ``.001`` as ``0.001``, without a negative zero."""
    return f"{round(value, 10) + 0.0:g}"


def _round_step(step: float) -> float:
    if step <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= step * 0.999)


def _up(value: float) -> int:
    return math.ceil(value - 1e-9)


def _down(value: float) -> int:
    return math.floor(value + 1e-9)
