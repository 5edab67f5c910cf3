"""Does the method find the same circuit again, from other prompts and with another seed?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.explanation import Explanation
from bench.metric import NULL, Arrays, HandCase, ScoreContext, Undefined
from bench.metrics.grid import circuit_within
from bench.metrics.single import Flags, SingleCircuit, chosen
from bench.scoring.nulls import RANDOM, random_circuits
from bench.scoring.selection import rankings

VARY = {"both": (True, True), "prompts": (True, False), "seeds": (False, True)}
NULL_CIRCUITS, NULL_DRAWS = 60, 199


@dataclass
class Stability(SingleCircuit):
    """Mean Jaccard index, |A and B| / |A or B| of kept edges, over all pairs of ``draws`` circuits found again.

    For each draw the method is run again: on as many training prompts, whole clusters drawn with replacement, and,
    where it has chance in it, with another seed (``vary``: both, prompts or seeds). Its circuit is the largest one that
    is no larger than the explanation's own circuit, whose ``size`` is chosen once. Two empty circuits are alike. A
    method that looks at no prompt and no chance is perfectly stable, whatever it says.

    p is of the null that the draws are unrelated: 199 sets of ``draws`` among 60 random circuits of the same real size.
    No passes. Not defined where there is no method to run again (a submitted file). No interval over examples: the
    figure is of the training prompts.

    Source: Jaccard over bootstrapped prompts, Meloux et al. 2025 (arXiv:2510.00845). Bounds [0, 1]; higher is better.
    Cost: ``draws`` times the method's own passes, and up to 31 per validation example for ``size=auto``.
    """

    name: ClassVar[str] = "stability"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    uses_ablation: ClassVar[bool] = True
    resampled: ClassVar[bool] = False
    permutable: ClassVar[bool] = False
    null: ClassVar[str] = RANDOM
    draws: int = 5
    vary: str = "both"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vary not in VARY or self.draws < 2:
            raise ValueError(f"vary={self.vary!r}, draws={self.draws}: use {', '.join(VARY)}, and 2 draws or more")

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        if context.again is None:
            raise Undefined("needs the method itself, to run it again on other prompts; a stored file has none")
        graph = context.engine.graph
        size = chosen(explanation, context, self.size, self.objective).mean()
        found = [
            circuit_within(rankings(again, graph, True, context.seed, tie_draws=1)[0], size)
            for again in (context.again(draw, *VARY[self.vary]) for draw in range(self.draws))
        ]
        edges = int(round(size * graph.n_edges))
        random = jaccard(random_circuits(graph, explanation.level, edges, NULL_CIRCUITS, context.seed))
        return {"jaccard": jaccard(found), "size": np.array(size), NULL: self._null(random, context.seed)}

    def judge(self, circuit: Flags, level: str, context: ScoreContext) -> Arrays:
        raise NotImplementedError("stability is of a method, not of a circuit")

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        return {"": np.asarray(_of_pairs(arrays["jaccard"]))}

    def denominator(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> None:
        return None

    def _null(self, random: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
        rng = np.random.default_rng([seed, len(random)])
        sets = (rng.choice(len(random), size=min(self.draws, len(random)), replace=False) for _ in range(NULL_DRAWS))
        return np.array([_of_pairs(random[np.ix_(chosen, chosen)]) for chosen in sets])

    @classmethod
    def hand_case(cls) -> HandCase:
        """Edges {1, 2}, {2, 3} and {1, 2, 3}: Jaccard 1/3, 2/3 and 2/3."""
        circuits = np.array([[0, 1, 1, 0], [0, 0, 1, 1], [0, 1, 1, 1]], dtype=bool)
        return HandCase({"jaccard": jaccard(list(circuits)), NULL: np.array([0.0])}, {"": 5 / 9})


def jaccard(circuits: list[Flags] | tuple[Flags, ...]) -> NDArray[np.float64]:
    """Jaccard index of every pair, ``[n, n]``; two empty circuits have 1."""
    flags = np.stack(circuits).astype(np.float64)
    both = flags @ flags.T
    either = flags.sum(axis=1)[:, None] + flags.sum(axis=1)[None, :] - both
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


def _of_pairs(table: NDArray[np.float64]) -> float:
    """Mean over the pairs of two different circuits."""
    return float(table[np.triu_indices(len(table), 1)].mean())
