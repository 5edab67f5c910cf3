"""Selection and aggregation apart: any of the stored curves of faithfulness, summarised in any of the ways.

The published figures bundle the two (``cpr_mib`` selects by signed score and takes the linear area of f; ``area_log``
by absolute score and real size, and takes the log area of the closeness). Their stored measurements hold m of each
circuit at the same ten sizes, so each selection can be given each summary without running anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.board.figures import Load
from bench.board.record import CellRecord
from bench.explanation import Explanation
from bench.metric import Arrays, HandCase, Measurement, Metric, ScoreContext
from bench.metrics.grid import MIB_SIZES
from bench.registry import discover
from bench.scoring.curves import closeness, faithfulness, gap, trapezoid

Floats = NDArray[np.float64]
SIZES = np.array(MIB_SIZES)
SELECTIONS = {
    "absolute_real": "faithfulness",
    "absolute_nominal": "cmd_mib",
    "signed_nominal": "cpr_mib",
}
"""How circuits are chosen (by absolute or signed score; the largest within a real size, or so many components), and the
metric whose stored circuits are chosen so."""
AGGREGATIONS: dict[str, tuple[int, Callable[[Floats], Floats]]] = {
    "closeness_log": (1, lambda f: trapezoid(closeness(f), np.log(SIZES)) / np.log(SIZES[-1] / SIZES[0])),
    "closeness_linear": (1, lambda f: trapezoid(closeness(f), SIZES) / (SIZES[-1] - SIZES[0])),
    "f_linear": (1, lambda f: trapezoid(f, SIZES)),
    "distance_linear": (-1, lambda f: trapezoid(np.abs(1.0 - f), SIZES)),
    "closeness_at_.1": (1, lambda f: closeness(f[..., int(np.argmin(np.abs(SIZES - 0.1)))])),
}
"""From f at the ten sizes, ``[..., 10]``, to a figure; with its direction."""
NAME = "summary"


@dataclass
class Summary(Metric):
    """One way to select circuits with one way to summarise their faithfulness; made from stored circuits only."""

    name: ClassVar[str] = NAME
    selection: str = ""
    aggregation: str = ""

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        raise NotImplementedError("made from what other metrics measured")

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        f = faithfulness(arrays["circuits"], arrays["whole"], arrays["empty"], weights).mean(axis=1)
        figure = AGGREGATIONS[self.aggregation][1](f)
        return {"": figure if weights is not None else figure[0]}

    def denominator(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> NDArray[Any]:
        return gap(arrays["whole"], arrays["empty"], weights)

    def suffix_direction(self, suffix: str) -> int:
        return AGGREGATIONS[self.aggregation][0]

    @classmethod
    def hand_case(cls) -> HandCase:
        raise NotImplementedError("see tests/sensitivity")


def with_summaries(records: Iterable[CellRecord]) -> list[CellRecord]:
    """The records, with every summary of every stored selection beside what was measured."""
    out = []
    for record in records:
        keys = record.score_keys or (record.key,) * len(record.measurements)
        more = [
            (made, key)
            for m, key in zip(record.measurements, keys, strict=True)
            if m.status == "ok" and not m.parameters
            for made in _summaries(m)
        ]
        measurements = (*record.measurements, *(made for made, _ in more))
        out.append(replace(record, measurements=measurements, score_keys=(*keys, *(key for _, key in more))))
    return out


def _summaries(found: Measurement) -> list[Measurement]:
    circuits = found.arrays.get("circuits")
    if circuits is None or circuits.shape[-1] != len(SIZES):
        return []
    arrays = {name: found.arrays[name] for name in ("whole", "empty", "circuits")}
    return [
        replace(
            found, metric=NAME, version=Summary.version, arrays=arrays,
            parameters={"selection": selection, "aggregation": aggregation},
        )
        for selection, metric in SELECTIONS.items() if metric == found.metric
        for aggregation in AGGREGATIONS
    ]  # fmt: skip


def label(selection: str, aggregation: str) -> str:
    """The figure's name among figures."""
    return Summary(selection, aggregation).label()


def loading(load: Load | None = None) -> Load:
    """As ``load`` (default: what is registered), with the summaries."""
    known = load or discover().metrics.load
    return lambda name: Summary if name == NAME else known(name)
