"""Average precision against the planted circuit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.explanation import Explanation
from bench.metric import Arrays, HandCase, Metric, ScoreContext
from bench.scoring.truth import average_precision, labelled, permuted


@dataclass
class AveragePrecision(Metric):
    """Sum over distinct |score| thresholds of the precision times the gain in recall.

    Components, labels and null as for :class:`bench.metrics.auroc.Auroc`. Ties are one threshold, so that a constant
    score gets exactly the prevalence, which is the analytic floor. In (0, 1], higher is better.

    Source: the step-wise definition that scikit-learn also uses.
    """

    name: ClassVar[str] = "average_precision"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    needs_truth: ClassVar[bool] = True
    uses_ablation: ClassVar[bool] = False
    null: ClassVar[str] = "labels permuted over the components"

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        assert context.truth is not None
        found = labelled(explanation, context.engine.graph, context.truth)
        null = average_precision(found.scores, permuted(found.positive, explanation.model_revision, context.seed))
        return {"scores": found.scores, "positive": found.positive, "null": null}

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        return {"": np.asarray(average_precision(arrays["scores"], arrays["positive"]))}

    def floors(self, arrays: Arrays) -> Mapping[str, float]:
        return {"": float(arrays["positive"].mean())}

    def p_draws(self, arrays: Arrays) -> Mapping[str, NDArray[Any]]:
        return {"": arrays["null"]}

    @classmethod
    def hand_case(cls) -> HandCase:
        """Thresholds 3, 2, {1, 1}: precision 1 at recall 1/2, then 2/4 for the other half."""
        scores = np.array([3.0, 1.0, 2.0, 1.0, 0.0])
        positive = np.array([True, True, False, False, False])
        return HandCase({"scores": scores, "positive": positive, "null": np.array([0.5])}, {"": 0.5 + 0.5 * 0.5})
