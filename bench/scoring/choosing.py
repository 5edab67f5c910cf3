"""Other ways from scores to circuits than taking the first n: grown from the logits, exact, or steady over bootstraps.

They stand in for :class:`bench.scoring.selection.Ranking` where a metric's ``select`` names one:

- ``top``: the first n by absolute or signed score, as the metric has it;
- ``signed``, ``absolute``: the first n the way that is named;
- ``greedy``: edges join from the logits backwards, each time the highest score among those that enter a node that is
  there already (Hanna et al. 2024, arXiv:2403.17806);
- ``exact``: of all circuits of at most n edges without dangling parts, the one with the largest sum of scores, as an
  integer programme (edges; small graphs);

  of nodes both would choose what ``top`` does, since no set of nodes has dangling parts: each node reads the input and
  is read by the logits, and edges between kept nodes are kept. So they are skipped for nodes;
- ``bootstrap``: scores are means over :data:`BOOTSTRAPS` runs of the method on resampled training prompts, and 0 for
  components whose sign is the same (``signed`` metrics: is positive) in less than :data:`RATIO` of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from bench.explanation import Explanation
from bench.features.latents import LEVEL
from bench.graph import ComponentGraph
from bench.method import Skip
from bench.metric import ScoreContext, Undefined
from bench.scoring.selection import Ranking, flat_scores, names_of, order, rankings

SELECTIONS = ("top", "signed", "absolute", "greedy", "exact", "bootstrap")
BOOTSTRAPS = 5
RATIO = 0.8
MAX_EXACT = 2_000
"""Edges of the largest graph that is solved exactly."""
SECONDS = 120
"""Per integer programme; what is not solved by then is undefined rather than wrong."""
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def selections(
    explanation: Explanation, context: ScoreContext, absolute: bool, tie_draws: int, select: str = "top"
) -> Sequence[Ranking]:
    """The circuits of every size that ``select`` makes of an explanation, once for each order of random ties.

    Raises:
        Skip: nodes where edges are selected, or a graph that is too large for an exact solution.
    """
    graph = context.engine.graph
    if select not in SELECTIONS:
        raise ValueError(f"select={select!r} is none of {', '.join(SELECTIONS)}")
    if select in ("signed", "absolute"):
        absolute = select == "absolute"
    if select == "bootstrap" and explanation.level == LEVEL:
        raise Skip("select=bootstrap is not for latents: dictionaries of other prompts have others")
    if select == "bootstrap":
        explanation = steady(explanation, context, absolute)
    if select not in ("greedy", "exact"):
        return rankings(explanation, graph, absolute, context.seed, tie_draws)
    if explanation.level != "edge":
        raise Skip(
            f"select={select} is for edges; of {explanation.level}s select=top already gives it, since each reads the"
            " input and is read by the logits, so that no set of them has a dangling part"
        )
    scores = flat_scores(explanation, graph)
    scores = np.abs(scores) if absolute else scores
    if select == "greedy":
        return [Ranking(graph, "edge", greedy_order(graph, scores))]
    if graph.n_edges > MAX_EXACT:
        raise Skip(f"select=exact is for at most {MAX_EXACT:,} edges; this model has {graph.n_edges:,}")
    return [Exact(graph, "edge", order(scores, absolute=False), scores=scores)]


def greedy_order(graph: ComponentGraph, scores: Floats) -> NDArray[np.int64]:
    """Edges in the order in which they join; ties by position. Edges of nodes that feed nothing come last."""
    destination, source = graph.edge_index
    owner = graph.owner[destination]
    into: dict[int, list[int]] = {}
    for edge, node in enumerate(owner):
        into.setdefault(int(node), []).append(edge)
    waiting = [(-scores[edge], edge) for edge in into[-1]]
    heapq.heapify(waiting)
    joined, found = {0}, []
    while waiting:
        _, edge = heapq.heappop(waiting)
        found.append(edge)
        if (node := int(source[edge])) not in joined:
            joined.add(node)
            for other in into.get(node, ()):
                heapq.heappush(waiting, (-scores[other], other))
    return np.array(found)


@dataclass
class Exact(Ranking):
    """For each number of edges the best circuit of at most as many; these need not hold one another."""

    scores: Floats = field(default_factory=lambda: np.empty(0))

    def selected(self, n: int) -> Flags:
        return self.circuit(n)

    def circuit(self, n: int) -> Flags:
        if n not in self._pruned:
            self._pruned[n] = best_circuit(self.graph, self.scores, n)
        return self._pruned[n]

    def largest_within(self, edges: float) -> int:
        return min(int(edges), len(self.order))

    def smallest_nonempty(self) -> int:
        return 1  # the edge from the input to the logits is a circuit


def best_circuit(graph: ComponentGraph, scores: Floats, n: int) -> Flags:
    """``[n_edges]`` flags of the circuit of at most ``n`` edges, none dangling, with the largest sum of ``scores``.

    Raises:
        Undefined: not solved within :data:`SECONDS`.
    """
    if n < 1:
        return np.zeros(graph.n_edges, dtype=bool)
    matrix = _programme(graph)
    largest = float(np.abs(scores).max()) or 1.0
    nodes = len(graph.components)
    # A little more for each edge, so that of equal sums the larger circuit wins and sizes never fall as n grows.
    worth = np.concatenate([scores / largest + np.where(scores >= 0, 1e-6, 0.0), np.zeros(nodes)])
    budget = np.concatenate([np.ones(graph.n_edges), np.zeros(nodes)])[None]
    found = milp(
        -worth, integrality=np.ones(len(worth)), bounds=Bounds(0, 1),
        constraints=[LinearConstraint(matrix, -np.inf, 0), LinearConstraint(budget, 0, n)],
        options={"time_limit": SECONDS, "mip_rel_gap": 0},
    )  # fmt: skip
    if found.status != 0:
        raise Undefined(f"the best circuit of {n} edges was not found: {found.message}")
    return graph.prune(found.x[: graph.n_edges] > 0.5)


@lru_cache(maxsize=4)
def _programme(graph: ComponentGraph) -> csr_array:
    """Rows that are at most 0, over edges and then nodes: no edge without its ends, no node without edges in and out.

    The graph has no cycles, so that this leaves paths from the input to the logits and nothing else.
    """
    destination, source = graph.edge_index
    owner = graph.owner[destination]
    edges, nodes = np.arange(graph.n_edges), len(graph.components)
    entries: list[tuple[int, int, float]] = []
    row = 0
    for ends in (source, owner):
        for edge in edges[ends > 0]:
            entries += [(row, int(edge), 1.0), (row, graph.n_edges + int(ends[edge]) - 1, -1.0)]
            row += 1
    for node in range(1, nodes + 1):
        for ends in (source, owner):
            entries += [(row, graph.n_edges + node - 1, 1.0), *((row, int(e), -1.0) for e in edges[ends == node])]
            row += 1
    rows, columns, values = zip(*entries, strict=True)
    return csr_array((values, (rows, columns)), shape=(row, graph.n_edges + nodes))


def steady(explanation: Explanation, context: ScoreContext, absolute: bool) -> Explanation:
    """Mean scores over runs on resampled training prompts; 0 where the sign is not the same in :data:`RATIO` of them.

    Raises:
        Undefined: where there is no method to run again.
    """
    if context.again is None:
        raise Undefined("select=bootstrap runs the method again on other prompts; a stored file has no method")
    graph = context.engine.graph
    key = ("bootstrap", explanation.method, explanation.counterfactual, explanation.scores.tobytes())
    if key not in context.shared:
        runs = (context.again(draw, True, True) for draw in range(BOOTSTRAPS))
        context.shared[key] = np.stack([flat_scores(run, graph) for run in runs])
    kept = filtered(context.shared[key], absolute).astype(np.float32)
    return replace(explanation, components=names_of(explanation, graph), scores=kept, positions="all")


def filtered(draws: Floats, absolute: bool, ratio: float = RATIO) -> Floats:
    """Means of ``[n_draws, n_components]``; 0 where fewer than ``ratio`` of the draws have the sign that counts."""
    mean = draws.mean(axis=0)
    wanted = np.sign(mean) if absolute else np.ones_like(mean)
    steady_share = (np.sign(draws) == wanted).mean(axis=0)
    return np.where(steady_share >= ratio - 1e-9, mean, 0.0)
