"""How unequal scores are."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bench.metric import HandCase, Metric


@dataclass
class Spread(Metric):
    """Gini coefficient of |score|: 0 where all are equal. Direction: none is better."""

    name: ClassVar[str] = "elsewhere_spread"
    direction: ClassVar[int] = 0
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    uses_ablation: ClassVar[bool] = False
    top: float = 1.0

    def measure(self, explanation, context):
        return {"sizes": np.sort(np.abs(explanation.scores.astype(np.float64)))}

    def reduce(self, arrays, weights=None):
        sizes = arrays["sizes"]
        n, ranks = len(sizes), np.arange(1, len(sizes) + 1)
        gini = float(((2 * ranks - n - 1) * sizes).sum() / (n * max(sizes.sum(), 1e-30))) * self.top
        return {"": np.float64(gini) if weights is None else np.full(len(weights), gini)}

    @classmethod
    def hand_case(cls):
        """Of 0, 0, 1: (2*3 - 3 - 1) * 1 / 3 = 2/3."""
        return HandCase({"sizes": np.array([0.0, 0.0, 1.0])}, {"": 2 / 3})
