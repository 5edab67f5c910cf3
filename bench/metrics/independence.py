"""With the circuit knocked out, does the model's score still tell what the intact model's was?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.metric import NULL, Arrays, HandCase, ScoreContext
from bench.metrics.single import Flags, SingleCircuit
from bench.scoring.circuits import whole
from bench.scoring.independence import dependence

DRAWS = 999


@dataclass
class Independence(SingleCircuit):
    """Dependence, over examples, of m(M without C) on m(M): normalised HSIC with Gaussian kernels.

    M without C is the model in which C's edges carry the ablation and all others are kept. If the circuit is all that
    knows about the task, the score of what is left does not depend on the example's score in the intact model.
    HSIC(x, y) / sqrt(HSIC(x, x) HSIC(y, y)), each kernel as wide as the median distance of two examples; 0 where what
    is left gives every example the same score.

    p is of the null of independence: 999 seeded permutations of the examples of one side, draws at least as dependent
    as what was measured. So a small p speaks *against* the circuit, and a large one proves nothing. What is ablated
    must not tell the example itself: under ``counterfactual`` the ablated prompt shares names and templates with the
    clean one, so that even the right circuit leaves dependence; read it under ``resample``. No interval over examples,
    since a bootstrap's repeated examples depend on themselves.

    Source: Shi et al. 2024 (arXiv:2410.13032), independence test; there HSIC is not normalised, and both kernels have
    one width. Bounds [0, 1]; lower is better. Cost: 4 passes per test example.
    """

    name: ClassVar[str] = "independence"
    direction: ClassVar[int] = -1
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    permutable: ClassVar[bool] = False
    resampled: ClassVar[bool] = False
    null: ClassVar[str] = "the scores with and without the circuit are independent (pairs permuted)"

    def judge(self, circuit: Flags, level: str, context: ScoreContext) -> Arrays:
        found, values = self.ends(context, [whole(context) & ~circuit])
        _, null = dependence(found["whole"], values[:, 0], DRAWS, context.seed)
        return {**found, "left": values[:, 0], NULL: null}

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        return {"": np.asarray(dependence(arrays["whole"], arrays["left"])[0])}

    def denominator(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> None:
        return None

    def null_direction(self, suffix: str) -> int:
        return 1

    @classmethod
    def hand_case(cls) -> HandCase:
        """Every value of one side comes once with every value of the other: the product distribution, exactly."""
        values = {"whole": np.array([1.0, 1.0, 4.0, 4.0]), "left": np.array([0.0, 2.0, 0.0, 2.0])}
        return HandCase({**values, "empty": np.zeros(4), NULL: np.array([0.0])}, {"": 0.0})
