"""Selectivity against a wrong causal model: could the method have made the model say anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.explanation import Explanation
from bench.metric import Arrays, HandCase, ScoreContext, Undefined
from bench.metrics.controlled import CONTROL, OWN, PART, Controlled
from bench.metrics.swaps import MIN_PAIRS
from bench.variable.data import VariableData
from bench.variable.declared import Declared

ANSWERS = "answers"


@dataclass
class WrongCausalModel(Controlled):
    """Interchange accuracy minus that of the same method, fitted and scored with the targets of a wrong causal model.

    ``wrong=answers``: an arbitrary mapping, each of the task's answers standing for another one (one seeded cycle
    through them all, the same on train and test). What is fitted well enough to say those as readily as the right ones
    owes its score to its freedom, not to the model. Pairs whose mapped target is the base's own answer are left out on
    both sides, so that doing nothing scores 0. ``wrong=N``: another variable of the task is looked for at this one's
    site, on that one's own pairs. Not defined with fewer than three answers.

    Source: the control task of CausalGym (Arora et al. 2024, arXiv:2402.12560). In [-1, 1], higher is better. Cost: the
    method's own on the one site, 2 forwards per pair, 2 per example.
    """

    name: ClassVar[str] = "wrong_causal_model"
    wrong: str = ANSWERS

    def views(self, data: VariableData, found: Declared, context: ScoreContext) -> tuple[VariableData, VariableData]:
        if self.wrong == data.variable:
            raise Undefined(f"{self.wrong} is the variable itself")
        if self.wrong != ANSWERS:
            if self.wrong not in data.causal_model.variables:
                raise Undefined(
                    f"the task has no variable {self.wrong}; it has {', '.join(data.causal_model.variables)}"
                )
            return data, context.data_of(self.wrong).control("in place", at=found.site)
        tokens = data.tokens()
        if len(tokens) < 3:
            raise Undefined(f"an arbitrary mapping needs 3 answers; the task has {len(tokens)}")
        cycle = np.random.default_rng([context.seed, 31]).permutation(tokens)
        name = f"wrong answers {context.seed}"
        return data, data.control(name, target_of=lambda target: derange(target, cycle), at=found.site)

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        arrays = super().measure(explanation, context)
        if self.wrong != ANSWERS:
            return arrays
        rows = context.data_of(str(explanation.extra["variable"])).rows("test")
        same = arrays[f"{CONTROL}.target"] == np.array([row["answer_id"] for row in rows])
        for name in (OWN, CONTROL):
            arrays[f"{name}.counted"] = arrays[f"{name}.counted"] & ~same
        if (n := int(arrays[f"{OWN}.counted"].sum())) < MIN_PAIRS:
            raise Undefined(f"{n} pairs have a mapped target that is not the base's answer; {MIN_PAIRS} are needed")
        return {**arrays, **self.nulls(arrays, context)}

    @classmethod
    def hand_case(cls) -> HandCase:
        """2/3 against 1/3."""
        return HandCase(cls.case(), {"": 1 / 3, PART: 1 / 3})


def derange(target: NDArray[np.int64], cycle: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each token's successor in ``cycle``, which holds them all: none stands for itself."""
    order = np.argsort(cycle)
    at = order[np.searchsorted(cycle, target, sorter=order)]
    return np.asarray(cycle[(at + 1) % len(cycle)])
