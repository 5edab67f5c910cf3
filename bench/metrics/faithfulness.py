"""Faithfulness at each size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.explanation import Explanation
from bench.metric import Arrays, HandCase, ScoreContext
from bench.metrics.grid import MIB_SIZES, circuit_within, measure_circuits
from bench.metrics.selecting import Selecting
from bench.scoring.curves import at_zero, faithfulness, gap
from bench.scoring.nulls import DRAWS, RANKINGS
from bench.scoring.space import space_of

AT_ZERO = "m=0"


@dataclass
class Faithfulness(Selecting):
    """f = (m(C) - m(empty)) / (m(whole) - m(empty)), of data-set means, at MIB's sizes.

    C is the largest circuit, by absolute score, whose real size (kept edges / all edges, pruned) is at most the size
    in the label; where even the smallest circuit is larger, it is the empty one and f is 0. The part ``m=0`` is f of
    a circuit with zero logit difference: what an uninformative circuit gets (about .5 where the counterfactual flips
    the answer); it is no score of the method. ``select`` chooses circuits otherwise (:mod:`bench.scoring.choosing`).
    Of latents (level ``feature``) the size is kept components / all, and the floor that of random rankings of them.

    Source: Hanna et al., "Have Faith in Faithfulness" (2024), normalised faithfulness. No bounds; 1 is the whole
    model, and values above it overshoot. Not defined where the interval of the denominator contains 0.
    """

    name: ClassVar[str] = "faithfulness"
    direction: ClassVar[int] = 1
    across_levels: ClassVar[bool] = True
    levels: ClassVar[tuple[str, ...]] = ("node", "edge", "feature")
    permutable: ClassVar[bool] = True
    null_draws: ClassVar[int] = DRAWS
    null: ClassVar[str] = RANKINGS

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        chosen = []
        for ranking in self.selections(explanation, context):
            chosen.append([circuit_within(ranking, size) for size in MIB_SIZES])
        found = measure_circuits(context, chosen, self.objective, space_of(explanation, context))
        return self.with_floor(explanation, {**found, "sizes": np.array(MIB_SIZES)})

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        whole, empty = arrays["whole"], arrays["empty"]
        f = faithfulness(arrays["circuits"], whole, empty, weights).mean(axis=1)
        figures = {f"size={size:g}": f[:, i] for i, size in enumerate(arrays["sizes"])}
        if self.objective == "logit_diff":
            figures[AT_ZERO] = at_zero(whole, empty, weights)
        return figures if weights is not None else {key: value[0] for key, value in figures.items()}

    def denominator(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> NDArray[Any]:
        return gap(arrays["whole"], arrays["empty"], weights)

    def suffix_direction(self, suffix: str) -> int:
        return 0 if suffix == AT_ZERO else self.direction

    @classmethod
    def hand_case(cls) -> HandCase:
        """Means: whole 4, empty -2, circuits 1 and 4, so f is (1 + 2) / 6 and 1, and (0 + 2) / 6 at zero."""
        return HandCase(
            {
                "whole": np.array([3.0, 5.0]),
                "empty": np.array([-4.0, 0.0]),
                "circuits": np.array([[[0.0, 3.0]], [[2.0, 5.0]]]),
                "edges": np.array([[0.2, 1.0]]),
                "sizes": np.array([0.2, 1.0]),
                "n_edges": np.array(10),
            },
            {"size=0.2": 0.5, "size=1": 1.0, AT_ZERO: 1 / 3},
        )
