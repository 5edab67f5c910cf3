"""Does a method find the nodes that work against the answer, as such?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.metric import Arrays, HandCase
from bench.metrics.recall import RoleRecall


@dataclass
class NegativeRecall(RoleRecall):
    """Share of the ``negative`` nodes that are among the ``k`` highest |scores| with a score below 0.

    ``k`` is how many nodes are ``required``, ``negative`` or ``backup``. The analytic floor is half of k / n, a random
    ranking with random signs.

    Source: defined by this project. In [0, 1], higher is better. Not defined without negative nodes.
    """

    name: ClassVar[str] = "negative_recall"
    role: ClassVar[str] = "negative"

    def wanted(self, arrays: Arrays) -> NDArray[np.bool_]:
        return arrays["wanted"] & (arrays["scores"] < 0)

    def floors(self, arrays: Arrays) -> Mapping[str, float]:
        return {"": float(arrays["k"] / len(arrays["scores"]) / 2)}

    @classmethod
    def hand_case(cls) -> HandCase:
        """k = 3 of |5, 4, 2, 2, 1|; the negatives are -4 (found), -2 (tied for one place of two) and +5."""
        scores = np.array([5.0, -4.0, -2.0, 2.0, 1.0])
        wanted = np.array([True, True, True, False, False])
        return HandCase({"scores": scores, "wanted": wanted, "k": np.array(3)}, {"": 1.5 / 3})
