"""Interchange accuracy: does swapping a variable's part make the model say what the causal model says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.explanation import Explanation
from bench.metric import Arrays, HandCase, ScoreContext
from bench.metrics.swaps import Swaps, permuted_targets
from bench.variable.pairs import ACROSS


@dataclass
class Interchange(Swaps):
    """Share of pairs on which the model, with the variable's part from the source, gives the causal model's answer.

    IIA = mean 1[LM(base; F(h_base)_Z := F(h_source)_Z) = causal(base, X <- source)] over pairs whose answer changes
    with the variable (so that doing nothing scores 0) and whose base and source the model answers right; an answer is
    the largest logit among the answers and wrong answers of the task's examples. One pair per test example at most, the
    source drawn from the same split, from its own template where one there tells something. ``across=true`` takes
    sources of other templates alone: is the variable in one code in all of them? Parts ``site=`` are other declared
    sites; what is not declared has no figure.

    Source: Geiger et al. 2021, arXiv:2106.02997; MIB (Mueller et al. 2025, arXiv:2504.13151). In [0, 1], higher is
    better. The p-value deals the targets anew among the pairs (999 seeded draws). Cost: 1 forward per pair and site, 2
    per example.
    """

    name: ClassVar[str] = "interchange"
    null: ClassVar[str] = "targets dealt anew among the pairs"

    across: bool = False

    def __post_init__(self) -> None:
        if self.across:
            self.kinds = (ACROSS,)  # type: ignore[misc]

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        arrays = super().measure(explanation, context)
        return {**arrays, "null": permuted_targets(arrays, self.kinds[0], context.seed)}

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        return self.by_site(arrays, self.shares(arrays, self.kinds[0], weights))

    def p_draws(self, arrays: Arrays) -> Mapping[str, NDArray[Any]]:
        return self.by_site(arrays, arrays["null"])

    @classmethod
    def hand_case(cls) -> HandCase:
        """Three of four examples count; the chosen site hits two of them, the other one none."""
        arrays = {
            "sites": np.array(["stream1@END", "stream0@END"]),
            "cause.counted": np.array([True, True, False, True]),
            "cause.target": np.array([5, 6, 7, 8]),
            "cause.said": np.array([[5, 1], [6, 1], [7, 7], [1, 1]]),
            "null": np.zeros((3, 2)),
        }
        return HandCase(arrays, {"": 2 / 3, "site=stream0@END": 0.0})
