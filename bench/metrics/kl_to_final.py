"""How far each layer's readout is from the model's final distribution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.explanation import Explanation
from bench.metric import Arrays, HandCase, ScoreContext
from bench.metrics.readouts import ReadoutMetric, averaged
from bench.readout.dealing import dealt


@dataclass
class KlToFinal(ReadoutMetric):
    """KL(final || readout) at the read position in nats, mean over test prompts; headline: mean over layers (area).

    Parts ``layer=l``: of the stream that enters layer l; the part of the last residual is not in the mean.

    Source: Belrose et al. 2023, arXiv:2303.08112, section 3.1 (they give it in bits per byte). From 0, lower is
    better. The floor is a random rotation in front of the lens, or of what heads write. p: the readouts dealt anew
    among the prompts (999 seeded draws). Cost: 1 forward per example.
    """

    name: ClassVar[str] = "kl_to_final"
    direction: ClassVar[int] = -1
    null: ClassVar[str] = "readouts dealt anew among the prompts"
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        found = self.swept(explanation, context)
        arrays = {"kl": found.kl, **self.layer_arrays(found, context)}
        if found.crossed_kl is not None:
            arrays["null"] = dealt(found.crossed_kl, context.seed)
        return arrays

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        return self.by_layer(arrays, averaged(arrays["kl"], weights))

    @classmethod
    def hand_case(cls) -> HandCase:
        """Two layers and the last residual, four prompts."""
        kl = np.array([[2.0, 1.0, 0.0], [4.0, 1.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
        arrays = {"kl": kl, "layers": np.arange(3), "trivial": np.array([False, False, True])}
        return HandCase(arrays, {"": 1.25, "layer=0": 2.0, "layer=1": 0.5, "layer=2": 0.0})
