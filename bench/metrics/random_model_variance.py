"""What a dictionary explains beyond what the same training explains in a model whose weights are shuffled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.dictionary.judging import sums
from bench.explanation import Explanation
from bench.metric import Arrays, HandCase, ScoreContext, Undefined
from bench.metrics.dictionaries import OnTokens, ratio
from bench.variable.randomised import randomised

PART, L0_PART = "part=control", "part=control_l0"


@dataclass
class RandomModelVariance(OnTokens):
    """Explained variance minus that of the control: the same method on the weight-randomised model, judged there.

    The randomised model has the entries of every parameter dealt anew (:mod:`bench.variable.randomised`; one per data
    seed); the method is trained on its activations with the same settings and seed. ``part=control`` is the control's
    own explained variance, ``part=control_l0`` its L0 there, which are no scores. A difference near 0 or below says
    that what is explained owes nothing to what the model has learned. The variances are each model's own. The loss of a
    randomised model says nothing, so that the CE-loss score has no such control.

    Source: Heap et al. 2025 (arXiv:2501.17727), after Adebayo et al. 2018 (arXiv:1810.03292). Bounds (-inf, inf): as
    explained variance is not bounded below; higher is better. Cost: the method's own, and 2 forwards per example.
    """

    name: ClassVar[str] = "random_model_variance"
    direction: ClassVar[int] = 1

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        if context.on_model is None:
            raise Undefined("needs the method itself, to run it on another model; a stored file has none")
        key = ("randomised model", context.seed)
        if key not in context.shared:
            context.shared[key] = randomised(context.engine, context.seed)
        engine = context.shared[key]
        own = sums(explanation, context, self.material)
        control = sums(context.on_model(engine), replace(context, engine=engine), self.material)
        arrays = {"tokens.counted": own.tokens}
        for name, found in (("own", own), ("control", control)):
            arrays |= {f"{name}.squares": found.squares, f"{name}.spread": found.spread}
        return {**arrays, "control.active": control.active}

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        own, control = (
            1 - ratio(arrays[f"{name}.squares"], arrays[f"{name}.spread"], weights) for name in ("own", "control")
        )
        l0 = ratio(arrays["control.active"], arrays["tokens.counted"], weights)
        return {"": own - control, PART: control, L0_PART: l0}

    def suffix_direction(self, suffix: str) -> int:
        return 0 if suffix.startswith("part=") else 1

    def floors(self, arrays: Arrays) -> Mapping[str, float]:
        """What the control explains."""
        return {"": 0.0}

    @classmethod
    def hand_case(cls) -> HandCase:
        """Own errors 1 of a spread of 4, the control's 3 of 4; 8 latents of it at 4 tokens."""
        arrays = {
            "tokens.counted": np.array([3.0, 1.0]), "own.squares": np.array([1.0, 0.0]),
            "own.spread": np.array([3.0, 1.0]), "control.squares": np.array([1.0, 2.0]),
            "control.spread": np.array([2.0, 2.0]), "control.active": np.array([5.0, 3.0]),
        }  # fmt: skip
        return HandCase(arrays, {"": 0.5, PART: 0.25, L0_PART: 2.0})
