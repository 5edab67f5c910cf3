"""What a method finds in a trained model, beyond what it finds in one whose weights are shuffled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.metric import HandCase, ScoreContext
from bench.metrics.controlled import PART, Controlled
from bench.variable.data import VariableData
from bench.variable.declared import Declared
from bench.variable.randomised import randomised


@dataclass
class RandomModelGap(Controlled):
    """Interchange accuracy minus that of the same method on the weight-randomised model, both on unfiltered examples.

    The randomised model has the entries of every parameter dealt anew (:mod:`bench.variable.randomised`; one per data
    seed); the method is fitted on it at the chosen site. It answers next to nothing right, so neither side is filtered
    by what the model answers, and no gate holds. Where the control is above its floor, the figure itself owes something
    to what any network of this shape carries over from its inputs.

    Source: Adebayo et al. 2018 (arXiv:1810.03292); for interchange, Sutter et al. 2025 (arXiv:2507.08802). In [-1, 1],
    higher is better. Cost: the method's own on the one site, and 2 forwards per pair, 2 per example.
    """

    name: ClassVar[str] = "random_model_gap"

    def views(self, data: VariableData, found: Declared, context: ScoreContext) -> tuple[VariableData, VariableData]:
        key = ("randomised model", context.seed)
        if key not in context.shared:
            context.shared[key] = randomised(context.engine, context.seed)
        return data.control("unfiltered", filtered=False), data.control(
            f"randomised {context.seed}", engine=context.shared[key], filtered=False, at=found.site
        )

    @classmethod
    def hand_case(cls) -> HandCase:
        """2/3 against 1/3."""
        return HandCase(cls.case(), {"": 1 / 3, PART: 1 / 3})
