"""How often each layer's readout has the final arg-max."""

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
class Agreement(ReadoutMetric):
    """Share of test prompts on which the readout's most probable token is the model's own (agreement@1).

    Headline: mean over layers; parts ``layer=l``, of which that of the last residual is not in the mean.

    Source: Ghandeharioun et al. 2024, arXiv:2401.06102, section 4.1 (precision@1). In [0, 1], higher is better.
    p: the readouts dealt anew among the prompts (999 seeded draws). Cost: 1 forward per example.
    """

    name: ClassVar[str] = "agreement"
    null: ClassVar[str] = "readouts dealt anew among the prompts"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        found = self.swept(explanation, context)
        arrays = {"agrees": found.agrees, **self.layer_arrays(found, context)}
        if found.crossed_agrees is not None:
            arrays["null"] = dealt(found.crossed_agrees, context.seed)
        return arrays

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        return self.by_layer(arrays, averaged(arrays["agrees"], weights))

    @classmethod
    def hand_case(cls) -> HandCase:
        """Two layers and the last residual, four prompts."""
        agrees = np.array([[0.0, 1.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
        arrays = {"agrees": agrees, "layers": np.arange(3), "trivial": np.array([False, False, True])}
        return HandCase(arrays, {"": 0.5, "layer=0": 0.25, "layer=1": 0.75, "layer=2": 1.0})
