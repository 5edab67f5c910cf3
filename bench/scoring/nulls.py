"""Nulls that cost passes: explanations that rank at random, and random circuits of a given real size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.explanation import Explanation
from bench.graph import ComponentGraph
from bench.metric import ScoreContext
from bench.scoring.selection import Ranking, names_of

RANKINGS = "random rankings of the components"
RANDOM = "random circuits of the same real size"
DRAWS = 19
"""Random rankings behind a p-value of planted models' cells unless the call says otherwise: .05 is the smallest."""
TRIES = 50
Flags = NDArray[np.bool_]


def random_rankings(explanation: Explanation, context: ScoreContext) -> Iterator[Explanation]:
    """``context.permutations`` explanations that rank the components of this level at random, without ties.

    They depend on the model and the level (of latents: on how many there are) alone, so that all methods of a job share
    the random circuits, and their passes. An explanation whose own ties are averaged over orders varies less than they
    do, which errs towards a larger p.
    """
    names = names_of(explanation, context.engine.graph)
    extra = {key: words for key, words in explanation.extra.items() if key != "ties"}
    salt = int.from_bytes(hashlib.sha256(explanation.model_revision.encode()).digest()[:8], "little")
    for draw in range(context.permutations):
        scores = 1.0 + np.random.default_rng([context.seed, draw, salt]).permutation(len(names))
        yield replace(explanation, components=names, scores=scores.astype(np.float32), positions="all", extra=extra)


@lru_cache(maxsize=64)
def random_circuits(graph: ComponentGraph, level: str, edges: int, n: int, seed: int) -> tuple[Flags, ...]:
    """``n`` circuits ``[n_edges]`` without dangling parts, of ``edges`` edges each.

    Level ``edge``: edges in random order, each joined by a random walk to what is there already (at first to ``input``
    and ``logits``), where that fits. Level ``node``: nodes in random order, as many as come nearest to ``edges``.
    """
    make = _of_nodes if level == "node" else _of_edges
    return tuple(make(graph, edges, np.random.default_rng([seed, edges, draw])) for draw in range(n))


def _of_nodes(graph: ComponentGraph, edges: int, rng: np.random.Generator) -> Flags:
    ranking = Ranking(graph, "node", rng.permutation(len(graph.components)))
    below = ranking.largest_within(edges)
    if ranking.n_edges(below) > edges:  # even without a node `input` feeds `logits`
        return np.zeros(graph.n_edges, dtype=bool)
    counts = [below, min(below + 1, len(ranking))]
    return ranking.circuit(min(counts, key=lambda n: abs(ranking.n_edges(n) - edges)))


def _of_edges(graph: ComponentGraph, edges: int, rng: np.random.Generator) -> Flags:
    best = np.zeros(graph.n_edges, dtype=bool)
    for _ in range(TRIES):  # a small circuit may be one that no edge or two can be added to
        grown = _grown(graph, edges, rng)
        best = grown if grown.sum() > best.sum() else best
        if best.sum() == edges:
            break
    return best


def _grown(graph: ComponentGraph, edges: int, rng: np.random.Generator) -> Flags:
    walks = _walks(graph)
    kept, joined = np.zeros(graph.n_edges, dtype=bool), np.zeros(len(graph.sources), dtype=bool)
    joined[0] = True
    left = edges
    for edge in rng.permutation(graph.n_edges):
        if left == 0:
            break
        if kept[edge]:
            continue
        path = walks.through(int(edge), joined, rng)
        if len(path) <= left:
            kept[path] = True
            joined[walks.source[path]] = True
            left -= len(path)
    return kept


class _Walks:
    """Random walks along the edges of a graph."""

    def __init__(self, graph: ComponentGraph) -> None:
        destination, self.source = graph.edge_index
        self.owner = graph.owner[destination]
        """Source index of the node that each edge enters; -1 for ``logits``."""
        nodes = range(len(graph.sources))
        self.out = [np.flatnonzero(self.source == node) for node in nodes]
        self.into = [np.flatnonzero(self.owner == node) for node in nodes]

    def through(self, edge: int, joined: Flags, rng: np.random.Generator) -> list[int]:
        """``edge`` and the edges that join it on both sides to nodes that are ``joined``, or to ``logits``."""
        path = [edge]
        node = int(self.source[edge])
        while not joined[node]:
            path.append(int(rng.choice(self.into[node])))
            node = int(self.source[path[-1]])
        node = int(self.owner[edge])
        while node >= 0 and not (joined[node] and node > 0):
            path.append(int(rng.choice(self.out[node])))
            node = int(self.owner[path[-1]])
        return path


@lru_cache(maxsize=4)
def _walks(graph: ComponentGraph) -> _Walks:
    return _Walks(graph)
