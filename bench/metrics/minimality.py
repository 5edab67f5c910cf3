"""Is there, for every node of the circuit, a situation in which it matters?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.metric import Arrays, HandCase, ScoreContext, Undefined
from bench.metrics.single import Flags, SingleCircuit
from bench.scoring.circuits import circuit_values
from bench.scoring.curves import gap, means
from bench.scoring.knockout import Nodes, nodes_of, sampled_sets, without


@dataclass
class Minimality(SingleCircuit):
    """Share of the circuit's nodes v for which a set K of other nodes has a change of at least ``tolerance``.

    The change of v under K is |m(C without K and v) - m(C without K)| / |m(M) - m(empty)|; nodes that are knocked out
    carry the ablation. K is the best of: no node; one other node (``partners`` of them, all where there are no more),
    which shows what backs v up or is backed up by it; and ``sampled`` random sets (each node with probability 1/2). It
    is chosen for each v on validation and scored on test. The part ``change=least`` is the smallest change of a node,
    at most 1: the node that the circuit can best do without. ``input`` is no node; an edge circuit's nodes are those
    from which it keeps an edge. Not defined for a circuit without nodes.

    Source: Wang et al. 2022 (arXiv:2211.00593), section 4: every node has a K with a change of at least 1 % (of the
    model's logit difference; here of its effect over the empty circuit), the Ks being given by hand there. Bounds
    [0, 1]; higher is better. Cost, for n nodes: 2 + 2 n passes per test example, and at most
    1 + n (2 + partners + sampled) + sampled per validation example. The p-value costs as much for each of
    ``permutations``.
    """

    name: ClassVar[str] = "minimality"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    tolerance: float = 0.01
    partners: int = 12
    sampled: int = 4

    def judge(self, circuit: Flags, level: str, context: ScoreContext) -> Arrays:
        graph = context.engine.graph
        if not (nodes := nodes_of(graph, circuit)):
            raise Undefined("the circuit has no node but input")
        best = self._best(circuit, nodes, context)
        kept = [without(graph, circuit, best[node]) for node in nodes]
        cut = [without(graph, circuit, best[node] | {node}) for node in nodes]
        found, values = self.ends(context, [*kept, *cut])
        return {**found, "kept": values[:, : len(nodes)], "cut": values[:, len(nodes) :]}

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        effect = gap(arrays["whole"], arrays["empty"], weights)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            change = np.abs(means(arrays["cut"] - arrays["kept"], weights) / effect)
        figures = {
            "": (change >= self.tolerance).mean(axis=1),
            "change=least": np.minimum(1.0, change.min(axis=1)),
        }
        return figures if weights is not None else {key: value[0] for key, value in figures.items()}

    def _best(self, circuit: Flags, nodes: list[int], context: ScoreContext) -> dict[int, Nodes]:
        """For each node the set of others that makes it matter most, on validation."""
        validation, rng = context.validation(), np.random.default_rng([context.seed, len(nodes)])
        shared: list[Nodes] = [frozenset(), *sampled_sets(nodes, self.sampled, rng)]
        tried: dict[int, list[Nodes]] = {}
        for node in nodes:
            others = [other for other in nodes if other != node]
            partners = rng.choice(others, size=min(self.partners, len(others)), replace=False)
            tried[node] = [*(s - {node} for s in shared), *(frozenset([int(p)]) for p in partners)]
        sets = list(dict.fromkeys(s for node in nodes for k in tried[node] for s in (k, k | {node})))
        circuits = [without(context.engine.graph, circuit, s) for s in sets]
        value = dict(zip(sets, circuit_values(validation, circuits, self.objective).mean(axis=0).tolist(), strict=True))
        return {v: max(tried[v], key=lambda k: abs(value[k | {v}] - value[k])) for v in nodes}

    @classmethod
    def hand_case(cls) -> HandCase:
        """Effect 4; the three nodes change 2, -.02 and .04 of it: two reach 1 %."""
        return HandCase(
            {
                "whole": np.array([2.0, 4.0]),
                "empty": np.array([-2.0, 0.0]),
                "kept": np.array([[3.0, 1.0, 1.0], [3.0, 1.0, 1.0]]),
                "cut": np.array([[0.0, 0.98, 1.04], [2.0, 0.98, 1.04]]),
            },
            {"": 2 / 3, "change=least": 0.005},
        )
