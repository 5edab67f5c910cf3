"""Can the circuit be shown to do what the model does?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.metric import Arrays, HandCase, ScoreContext
from bench.metrics.single import Flags, SingleCircuit
from bench.scoring.curves import faithfulness
from bench.scoring.equivalence import tost_null


@dataclass
class Equivalence(SingleCircuit):
    """|1 - f|: how far m(C) is from m(M), as a share of m(M) - m(empty). p is of two one-sided tests.

    The nulls are that m(C) exceeds m(M), or falls short of it, by ``margin`` (a share of m(M) - m(empty)) or more: p is
    the larger of the two, and a small one shows that the difference is within the margin. A test of no difference, by
    contrast, is passed by whatever has few examples. Each one-sided test flips the signs of whole clusters (1,999
    seeded draws); no passes.

    Source: two one-sided tests, Schuirmann 1987; asked of circuits by Shi et al. 2024 (arXiv:2410.13032), there as a
    sign test of equal chances with margin .1. Bounds [0, inf); lower is better. Cost: 3 passes per test example.
    """

    name: ClassVar[str] = "equivalence"
    direction: ClassVar[int] = -1
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    permutable: ClassVar[bool] = False
    null: ClassVar[str] = "a difference of the margin (two one-sided sign-flip tests)"
    margin: float = 0.1

    def judge(self, circuit: Flags, level: str, context: ScoreContext) -> Arrays:
        found, values = self.ends(context, [circuit])
        _, cluster = np.unique(np.array(list(context.clusters)), return_inverse=True)
        return {**found, "circuit": values[:, 0], "cluster": cluster, "seed": np.array(context.seed)}

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        away = np.abs(1 - faithfulness(arrays["circuit"], arrays["whole"], arrays["empty"], weights))
        return {"": away if weights is not None else away[0]}

    def p_draws(self, arrays: Arrays) -> Mapping[str, NDArray[Any]]:
        circuit, whole, empty = arrays["circuit"], arrays["whole"], arrays["empty"]
        return {"": tost_null(circuit, whole, empty, arrays["cluster"], self.margin, int(arrays["seed"]))}

    @classmethod
    def hand_case(cls) -> HandCase:
        """Means 4 (whole), 0 (empty) and 3 (circuit): f is .75."""
        return HandCase(
            {
                "whole": np.array([3.0, 5.0]),
                "empty": np.array([-1.0, 1.0]),
                "circuit": np.array([1.0, 5.0]),
                "cluster": np.array([0, 1]),
                "seed": np.array(0),
            },
            {"": 0.25},
        )
