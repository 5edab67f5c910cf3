"""Above the control: a layerwise measure on test examples, less what its control gives there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.data import Tokens
from bench.explanation import Explanation
from bench.method import Skip
from bench.metric import Arrays, HandCase, Metric, ScoreContext, Undefined
from bench.readout.measure import Floats, Measure, MeasureError, Sums, number
from bench.readout.measures import MEASURE, named

SHUFFLED = "shuffled"


@dataclass
class AboveControl(Metric):
    """Difference of a layerwise measure and its control, mean over layers; positive in the published direction.

    sign * (value - control), where both are taken again on the test prompts as the explanation describes the measure,
    with the regression that it hands over where it learns one; sign is -1 for measures that are published to lie below
    their control (prediction residual, intrinsic dimension, coupling). Value and control are ratios of sums over
    examples, resampled together. Parts ``layer=`` are single streams or blocks. 0 is a measure that says no more than
    its control. Not all of it is of one scale: compare layers of one measure, not measures.

    ``weights=shuffled``, which is no score, is the same figure on the weight-randomised model
    (:mod:`bench.variable.randomised`; regressions are learnt anew on it, from the training prompts): what of it a
    network of this shape owes to its prompts. A measure that is no higher than that says nothing of training, however
    far it is above its control.

    Source: the measures' own (:mod:`bench.readout.measures`); Heap et al. 2025, arXiv:2501.17727, for the shuffled
    weights. Higher is better. Cost: twice the measure's, per test example.
    """

    name: ClassVar[str] = "above_control"
    track: ClassVar[str] = "readout"
    levels: ClassVar[tuple[str, ...]] = ("layer",)
    uses_ablation: ClassVar[bool] = False
    resampled: ClassVar[bool | None] = True

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        if MEASURE not in explanation.extra:
            raise Skip("scores explanations that name a layerwise measure")
        try:
            measure = named(explanation.extra)
            components = measure.components(context.engine.graph.n_layers)
            if components != explanation.components:
                raise MeasureError(f"needs the components {', '.join(components)}")
            prompts = [batch.clean.to(context.engine.device) for batch in context.batches()]
            sums = measure.sums(context.engine, prompts, explanation.tensors)
            shuffled = _shuffled(measure, explanation, context, prompts)
        except MeasureError as error:
            raise Undefined(str(error)) from error
        if not sums.bottom.any(axis=0).all():
            raise Undefined("a layer has nothing to measure on these examples")
        return {
            "sum": sums.top, "points.counted": sums.bottom, "layers": np.array([number(c) for c in components]),
            "sign": np.array(measure.direction), **shuffled,
        }  # fmt: skip

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        above = self._above(arrays, weights)
        parts = {f"layer={layer}": above[..., i] for i, layer in enumerate(arrays["layers"])}
        if f"{SHUFFLED}.sum" in arrays:
            parts[f"weights={SHUFFLED}"] = self._above(arrays, weights, f"{SHUFFLED}.").mean(axis=-1)
        return {"": above.mean(axis=-1), **parts}

    @staticmethod
    def _above(arrays: Arrays, weights: NDArray[Any] | None, of: str = "") -> NDArray[np.float64]:
        """``[..., n_components]``"""
        sums = Sums(arrays[f"{of}sum"], arrays[f"{of}points.counted"])
        figures = sums.figures(weights)
        return np.asarray(arrays["sign"] * (figures[..., 0] - figures[..., 1]))

    def suffix_direction(self, suffix: str) -> int:
        return 0 if suffix.startswith("weights=") else self.direction

    def floors(self, arrays: Arrays) -> Mapping[str, float]:
        """The control itself."""
        return {"": 0.0, **{f"layer={layer}": 0.0 for layer in arrays["layers"]}}

    @classmethod
    def hand_case(cls) -> HandCase:
        """Examples of 1 and 3 tokens; at block 1 the value is 5/4 and the control 2, at block 2 they are 1 and 1."""
        one = np.array([[[2.0, 2.0], [1.0, 1.0]], [[3.0, 6.0], [3.0, 3.0]]])
        counted = np.array([[[1.0, 1.0], [1.0, 1.0]], [[3.0, 3.0], [3.0, 3.0]]])
        arrays = {"sum": one, "points.counted": counted, "layers": np.array([1, 2]), "sign": np.array(-1)}
        return HandCase(arrays, {"": 0.375, "layer=1": 0.75, "layer=2": 0.0})


def _shuffled(
    measure: Measure, explanation: Explanation, context: ScoreContext, prompts: Sequence[Tokens]
) -> dict[str, Floats]:
    """Sums on the weight-randomised model; none where the measure would have to learn on a text that is not at hand."""
    from bench.variable.randomised import randomised

    if measure.learns and (explanation.extra.get("of") == "text" or context.on is None):
        return {}
    key = ("randomised model", context.seed)
    if key not in context.shared:
        context.shared[key] = randomised(context.engine, context.seed)
    engine, fitted = context.shared[key], {}
    if measure.learns and context.on is not None:
        fitted = measure.fit(engine, [batch.clean.to(engine.device) for batch in context.on("train").batches()])
    sums = measure.sums(engine, prompts, fitted)
    return {f"{SHUFFLED}.sum": sums.top, f"{SHUFFLED}.points.counted": sums.bottom}
