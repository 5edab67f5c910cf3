"""What the metrics of readouts share: one look through the reader, and means over the layers that it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.explanation import Explanation
from bench.method import Skip
from bench.metric import Arrays, Metric, ScoreContext
from bench.readout.dealing import TIE
from bench.readout.declared import declares, reader_of
from bench.readout.sweep import Swept, sweep

NO_READER = "scores explanations that declare a readout"


@dataclass
class ReadoutMetric(Metric):
    """Figures per layer as parts ``layer=``, and their mean.

    The mean leaves out the last residual (``layer=L`` where the model has L layers), which any lens reads as the model
    does. For heads a layer's readout is the sum of its heads'. Where a metric keeps draws under :attr:`null`, they are
    of the readouts dealt anew among the prompts: what is left is what a readout says of any prompt of the task.
    """

    track: ClassVar[str] = "readout"
    levels: ClassVar[tuple[str, ...]] = ("layer", "head")
    uses_ablation: ClassVar[bool] = False
    resampled: ClassVar[bool | None] = True

    def swept(self, explanation: Explanation, context: ScoreContext) -> Swept:
        """What the reader says on the scored split; looked up once for all metrics of an explanation."""
        if not declares(explanation):
            raise Skip(NO_READER)
        key = ("readout", "swept", context.split)
        cost = context.engine.cost
        known = context.shared.get(key)
        if known is None or known[0] is not explanation:
            before = cost.forwards
            data = context.recorded()
            found = sweep(reader_of(explanation, data), data, context.split, crossed=True)
            known = context.shared[key] = (explanation, found, cost.forwards - before)
        else:
            cost.add(known[2])
        return known[1]

    def layer_arrays(self, found: Swept, context: ScoreContext) -> Arrays:
        """Which layers the columns are, and which of them the mean leaves out."""
        return {"layers": found.layers, "trivial": found.layers == context.engine.graph.n_layers}

    def by_layer(self, arrays: Arrays, values: NDArray[np.float64]) -> Mapping[str, NDArray[Any]]:
        """Figures ``[..., n_read]`` by suffix."""
        told = ~arrays["trivial"]
        parts = {f"layer={layer}": values[..., i] for i, layer in enumerate(arrays["layers"])}
        return {"": values[..., told].mean(axis=-1), **parts}

    def p_draws(self, arrays: Arrays) -> Mapping[str, NDArray[Any]]:
        """A figure must be better than the draws by more than rounding."""
        if "null" not in arrays:
            return {}
        return dict(self.by_layer(arrays, arrays["null"] + self.direction * TIE))


def averaged(values: NDArray[Any], weights: NDArray[Any] | None) -> NDArray[np.float64]:
    """Mean over examples ``[n, ...]``, or weighted ones ``[n_draws, ...]``."""
    if weights is None:
        return np.asarray(values.mean(axis=0), dtype=np.float64)
    total = weights.sum(axis=1).reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray(np.tensordot(weights, values, axes=1) / total)
