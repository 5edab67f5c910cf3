"""Does the circuit behave like the model when parts of both are knocked out?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.metric import Arrays, HandCase, ScoreContext
from bench.metrics.single import Flags, SingleCircuit
from bench.scoring.circuits import circuit_values, whole
from bench.scoring.curves import gap, means
from bench.scoring.knockout import Nodes, greedy_sets, nodes_of, sampled_sets, without

NONE: Nodes = frozenset()


@dataclass
class Completeness(SingleCircuit):
    """1 - |m(C without K) - m(M without K)| / |m(M) - m(empty)|, at least 0, for the worst set K of C's nodes found.

    Nodes of K carry the ablation, in the circuit C as in the whole model M. K is the worst of: no node; ``sampled``
    random sets (each node with probability 1/2); and the sets that a greedy search passes (``restarts`` times
    ``steps`` nodes, each the worst of ``candidates`` random ones). It is chosen on validation, so that the maximum over
    many sets is not taken over noise, and scored on test. Parts: ``K=sampled``, the mean over the random sets;
    ``K=none``, plain closeness of C and M. A circuit without a backup that the model has is faithful, not complete.
    Large circuits are complete by themselves, and all of the model is perfectly so: read it beside minimality.

    Source: Wang et al. 2022 (arXiv:2211.00593), section 4, there not divided by the effect of the whole model, and
    with the greedy search's 5 restarts of 10 steps of 10 candidates. Bounds [0, 1]; higher is better.
    Cost: 2 (sampled + 1) + 4 passes per test example and at most 2 (sampled + 1 + restarts * steps * candidates) per
    validation example: 38 and 290. The p-value costs as much for each of ``permutations``.
    """

    name: ClassVar[str] = "completeness"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    sampled: int = 16
    restarts: int = 2
    steps: int = 8
    candidates: int = 8

    def judge(self, circuit: Flags, level: str, context: ScoreContext) -> Arrays:
        nodes = nodes_of(context.engine.graph, circuit)
        rng = np.random.default_rng([context.seed, len(nodes)])
        drawn = sampled_sets(nodes, self.sampled, rng) if nodes else [NONE]
        worst = self._worst(circuit, nodes, drawn, context.validation(), rng)
        pairs = _pairs(context, circuit, [NONE, worst, *drawn])
        found, values = self.ends(context, [c for pair in pairs for c in pair])
        return {**found, "circuit": values[:, ::2], "model": values[:, 1::2]}

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        missing = means(arrays["circuit"] - arrays["model"], weights)
        effect = gap(arrays["whole"], arrays["empty"], weights)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            near = np.maximum(0.0, 1 - np.abs(missing / effect))
        figures = {"": near[:, 1], "K=sampled": near[:, 2:].mean(axis=1), "K=none": near[:, 0]}
        return figures if weights is not None else {key: value[0] for key, value in figures.items()}

    def _worst(
        self, circuit: Flags, nodes: list[int], drawn: list[Nodes], validation: ScoreContext, rng: np.random.Generator
    ) -> Nodes:
        def incompleteness(sets: Sequence[Nodes]) -> NDArray[np.float64]:
            pairs = _pairs(validation, circuit, sets)
            values = circuit_values(validation, [c for pair in pairs for c in pair], self.objective)
            return np.abs((values[:, ::2] - values[:, 1::2]).mean(axis=0))

        first = [NONE, *drawn]
        found = dict(zip(first, incompleteness(first).tolist(), strict=True))
        found |= greedy_sets(nodes, incompleteness, self.restarts, self.steps, self.candidates, rng)
        return max(found, key=lambda chosen: found[chosen])

    @classmethod
    def hand_case(cls) -> HandCase:
        """Effect 4. |C - M| is 1 without K, 3 at the worst K, 2 and 8 (clipped) at two random ones."""
        return HandCase(
            {
                "whole": np.array([2.0, 4.0]),
                "empty": np.array([-2.0, 0.0]),
                "circuit": np.array([[2.0, 1.0, 0.0, 9.0], [4.0, 1.0, 0.0, 9.0]]),
                "model": np.array([[3.0, 4.0, 1.0, 1.0], [5.0, 4.0, 3.0, 1.0]]),
            },
            {"": 0.25, "K=sampled": (0.5 + 0.0) / 2, "K=none": 0.75},
        )


def _pairs(context: ScoreContext, circuit: Flags, sets: Sequence[Nodes]) -> list[tuple[Flags, Flags]]:
    """Circuit and model, each without the nodes of a set."""
    graph, model = context.engine.graph, whole(context)
    return [(without(graph, circuit, nodes), without(graph, model, nodes)) for nodes in sets]
