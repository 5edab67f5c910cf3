"""Area under the faithfulness curve over the log of the real size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.explanation import Explanation
from bench.metric import Arrays, HandCase, ScoreContext
from bench.metrics.grid import log_grid, measure_circuits, within
from bench.metrics.selecting import Selecting
from bench.scoring.curves import area_log, area_log_bias, faithfulness, gap
from bench.scoring.nulls import DRAWS, RANKINGS
from bench.scoring.selection import Ranking
from bench.scoring.space import space_of


@dataclass
class AreaLog(Selecting):
    """Integral of max(0, 1 - |1 - f|) over log size, divided by the log range (one edge to all edges).

    f = (m(C) - m(empty)) / (m(whole) - m(empty)), of data-set means. The size is real: kept edges / all edges after
    dangling parts are pruned, q, k and v apart. Circuits are the highest scores by absolute value; the grid of sizes
    is 1, 2, 5 x powers of ten, from one edge to all, and holds for each the largest circuit that is no larger, and
    also the smallest circuit that has an edge. The integrand is 0 below that one and linear in log size between
    measured ones. Circuits that overshoot (f above 1) lose what they overshoot by.

    Source: defined by this project, as a bounded companion of MIB's CPR and CMD. Bounds [0, 1]; higher is better.
    Not defined where the interval of m(whole) - m(empty) contains 0. Ties that an explanation marks as random are
    averaged over ``tie_draws`` seeded orders. Of latents (level ``feature``) the size is kept components / all, errors
    among them, and the floor is the mean of random rankings of the same components.
    ``select`` chooses circuits in another way than the first n scores (:mod:`bench.scoring.choosing`).
    """

    name: ClassVar[str] = "area_log"
    direction: ClassVar[int] = 1
    across_levels: ClassVar[bool] = True
    levels: ClassVar[tuple[str, ...]] = ("node", "edge", "feature")
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    permutable: ClassVar[bool] = True
    null_draws: ClassVar[int] = DRAWS
    null: ClassVar[str] = RANKINGS

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        space = space_of(explanation, context)
        grid = log_grid(space.size)
        chosen = []
        for ranking in self.selections(explanation, context):
            chosen.append([ranking.circuit(n) for n in _counts(ranking, grid)])
        return self.with_floor(explanation, measure_circuits(context, chosen, self.objective, space))

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        f = faithfulness(arrays["circuits"], arrays["whole"], arrays["empty"], weights)
        n_edges = int(arrays["n_edges"])
        areas = [area_log(f[:, i], sizes, n_edges) for i, sizes in enumerate(arrays["edges"])]
        area = np.mean(areas, axis=0)
        return {"": area if weights is not None else area[0]}

    def denominator(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> NDArray[Any]:
        return gap(arrays["whole"], arrays["empty"], weights)

    def bias(self, arrays: Arrays, weights: NDArray[Any]) -> Mapping[str, float]:
        f = faithfulness(arrays["circuits"], arrays["whole"], arrays["empty"])[0]
        draws = faithfulness(arrays["circuits"], arrays["whole"], arrays["empty"], weights)
        n_edges = int(arrays["n_edges"])
        found = [area_log_bias(f[i], draws[:, i], sizes, n_edges) for i, sizes in enumerate(arrays["edges"])]
        return {"": float(np.mean(found))}

    def curve(self, arrays: Arrays) -> NDArray[np.float64]:
        f = faithfulness(arrays["circuits"], arrays["whole"], arrays["empty"])[0]
        return np.stack([arrays["edges"][0], f[0]], axis=1)

    @classmethod
    def hand_case(cls) -> HandCase:
        """Ten edges; f is 0, .5, 1.5, 1 at 0, 1, 5 and 10 edges: closeness .5, .5, 1 from log 1 to log 10."""
        return HandCase(
            {
                "whole": np.array([3.0, 5.0]),
                "empty": np.array([-1.0, 1.0]),
                "circuits": np.array([[[-1.0, 1.0, 4.0, 3.0]], [[1.0, 3.0, 8.0, 5.0]]]),
                "edges": np.array([[0.0, 0.1, 0.5, 1.0]]),
                "n_edges": np.array(10),
            },
            {"": 0.5 + 0.25 * np.log(2) / np.log(10)},
        )


def _counts(ranking: Ranking, grid: tuple[float, ...]) -> list[int]:
    """Ascending counts of components, as many for every order: one per size of the grid and the smallest circuit."""
    return sorted([ranking.smallest_nonempty(), *(within(ranking, size) for size in grid)])
