"""Area under the ROC curve against the planted circuit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.explanation import Explanation
from bench.metric import Arrays, HandCase, Metric, ScoreContext
from bench.scoring.truth import auroc, labelled, permuted


@dataclass
class Auroc(Metric):
    """P(|score| of a component of the circuit > |score| of one outside it), ties counted half.

    Edges: ``in`` against ``out``, with q, k and v joined by the largest |score| (a joined edge is ``in`` if any part
    is, ``out`` only if all its parts are, else left out). Nodes: ``required`` against ``inert`` and ``free``.

    Source: InterpBench (Gupta et al., 2024), with exact ties. In [0, 1], higher is better, .5 for a ranking that
    knows nothing (the analytic floor). Not defined without positives or negatives. The p-value permutes the labels
    over the components (1,999 seeded draws, one-sided).
    """

    name: ClassVar[str] = "auroc"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    needs_truth: ClassVar[bool] = True
    uses_ablation: ClassVar[bool] = False
    null: ClassVar[str] = "labels permuted over the components"

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        assert context.truth is not None
        found = labelled(explanation, context.engine.graph, context.truth)
        null = auroc(found.scores, permuted(found.positive, explanation.model_revision, context.seed))
        return {"scores": found.scores, "positive": found.positive, "null": null}

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        return {"": np.asarray(auroc(arrays["scores"], arrays["positive"]))}

    def floors(self, arrays: Arrays) -> Mapping[str, float]:
        return {"": 0.5}

    def p_draws(self, arrays: Arrays) -> Mapping[str, NDArray[Any]]:
        return {"": arrays["null"]}

    @classmethod
    def hand_case(cls) -> HandCase:
        """Positives 3 and 1, negatives 2, 1 and 0: wins 3 of 3, and 1 + half of 3; 4.5 of 6 pairs."""
        scores = np.array([3.0, 1.0, 2.0, 1.0, 0.0])
        positive = np.array([True, True, False, False, False])
        return HandCase({"scores": scores, "positive": positive, "null": np.array([0.5])}, {"": 4.5 / 6})
