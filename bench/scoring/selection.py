"""From scores to circuits: which edges are kept at a size. Selection is the metric's business, not the method's."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.explanation import Explanation, ExplanationError
from bench.features.declared import declared
from bench.features.latents import LEVEL
from bench.graph import ComponentGraph

TIE_DRAWS = 3
"""Random orders over which an explanation with ``extra={"ties": "random"}`` (the oracle) is averaged."""


def names_of(explanation: Explanation, graph: ComponentGraph) -> tuple[str, ...]:
    """The components that an explanation of its level scores: the graph's, or those of the dictionaries it brings."""
    return declared(explanation).names if explanation.level == LEVEL else graph.names(explanation.level)


def flat_scores(explanation: Explanation, graph: ComponentGraph) -> NDArray[np.float64]:
    """Signed scores ``[n_components]`` in the graph's order, summed over positions where there is that axis.

    Raises :class:`ExplanationError` where the explanation does not score exactly the components of its level.
    """
    names = names_of(explanation, graph)
    scores = explanation.scores.astype(np.float64)
    if scores.ndim == 2:
        scores = scores.sum(axis=1)
    if explanation.components == names:
        return scores
    where = {name: row for row, name in enumerate(explanation.components)}
    missing = [name for name in names if name not in where]
    if missing or len(where) != len(names):
        extra = sorted(set(where) - set(names))
        raise ExplanationError(
            f"the explanation scores {len(where)} components and the model has {len(names)} at level"
            f" {explanation.level}; missing: {missing[:3]}, unknown: {extra[:3]}"
        )
    return scores[[where[name] for name in names]]


def node_scores(explanation: Explanation, graph: ComponentGraph) -> NDArray[np.float64]:
    """Signed scores of the nodes, ``[n_nodes]`` in the order of ``graph.components``.

    From edge scores a node's is the signed sum over its outgoing edges.
    """
    scores = flat_scores(explanation, graph)
    if explanation.level == "node":
        return scores
    _, source = graph.edge_index
    return np.asarray(np.bincount(source, weights=scores, minlength=len(graph.sources))[1:], dtype=np.float64)


def random_ties(explanation: Explanation) -> bool:
    """Whether ties are broken by expectation over random orders, rather than by the order of the components."""
    return explanation.extra.get("ties") == "random"


def order(scores: NDArray[np.float64], absolute: bool, rng: np.random.Generator | None = None) -> NDArray[np.int64]:
    """Indices from the highest (signed or absolute) score down; ties by position, or at random with an ``rng``."""
    key = np.abs(scores) if absolute else scores
    ties = np.arange(len(scores)) if rng is None else rng.permutation(len(scores))
    return np.lexsort((ties, -key))


@dataclass
class Ranking:
    """An order of components, and the circuit that its first ``n`` make.

    The pruned circuits are nested, so their sizes never fall as ``n`` grows.
    """

    graph: ComponentGraph
    level: str
    order: NDArray[np.int64]
    _pruned: dict[int, NDArray[np.bool_]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.order)

    @property
    def total(self) -> int:
        """The edges of the whole model."""
        return self.graph.n_edges

    def selected(self, n: int) -> NDArray[np.bool_]:
        """Flags of the first ``n`` components, ``[n_components]``."""
        kept = np.zeros(len(self.order), dtype=bool)
        kept[self.order[:n]] = True
        return kept

    def circuit(self, n: int) -> NDArray[np.bool_]:
        """Flags of the edges of the circuit, ``[n_edges]``, dangling parts pruned.

        From nodes, an edge is kept when both its ends are; ``input`` and ``logits`` always are.
        """
        if n not in self._pruned:
            kept = self.selected(n)
            edges = self.graph.edges_of_nodes(kept) if self.level == "node" else kept
            self._pruned[n] = self.graph.prune(edges)
        return self._pruned[n]

    def n_edges(self, n: int) -> int:
        """Edges in the pruned circuit of the first ``n`` components."""
        return int(self.circuit(n).sum())

    def largest_within(self, edges: float) -> int:
        """The largest ``n`` whose pruned circuit has at most ``edges`` edges; 0 where even the smallest has more."""
        low, high = 0, len(self.order)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.n_edges(middle) <= edges else (low, middle - 1)
        return low

    def smallest_nonempty(self) -> int:
        """The smallest ``n`` whose pruned circuit has an edge."""
        low, high = 0, len(self.order)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.n_edges(middle) > 0 else (middle + 1, high)
        return low


class LatentRanking(Ranking):
    """An order of latents and errors: a circuit is its first ``n``, and each counts as one; nothing dangles."""

    @property
    def total(self) -> int:
        """All components."""
        return len(self.order)

    def circuit(self, n: int) -> NDArray[np.bool_]:
        """Flags of the first ``n`` components, ``[n_components]``."""
        return self.selected(n)

    def largest_within(self, edges: float) -> int:
        """How many components are at most ``edges``."""
        return min(int(edges), len(self.order))

    def smallest_nonempty(self) -> int:
        """One component is a circuit."""
        return 1


def rankings(
    explanation: Explanation, graph: ComponentGraph, absolute: bool, seed: int, tie_draws: int = TIE_DRAWS
) -> list[Ranking]:
    """The orders to average over: one, or ``tie_draws`` seeded ones where ties are broken at random."""
    scores = flat_scores(explanation, graph)
    generators: list[np.random.Generator | None] = [None]
    if random_ties(explanation):
        generators = [np.random.default_rng([seed, draw]) for draw in range(tie_draws)]
    make = LatentRanking if explanation.level == LEVEL else Ranking
    return [make(graph, explanation.level, order(scores, absolute, rng)) for rng in generators]
