"""Knocking nodes out of circuits, and sets of nodes to knock out.

A node that is knocked out carries the ablation everywhere: all its outgoing edges are cut. ``input`` is no node here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.graph import ComponentGraph

Flags = NDArray[np.bool_]
Nodes = frozenset[int]
"""Source indices (``input`` is 0)."""
Judge = Callable[[Sequence[Nodes]], NDArray[np.float64]]
"""Figures, the larger the better for the search, of several sets."""


def nodes_of(graph: ComponentGraph, circuit: Flags) -> list[int]:
    """Source indices of the nodes from which the circuit keeps an edge."""
    _, source = graph.edge_index
    return [int(node) for node in np.unique(source[circuit]) if node > 0]


def without(graph: ComponentGraph, circuit: Flags, nodes: Iterable[int]) -> Flags:
    """The circuit with ``nodes`` knocked out."""
    _, source = graph.edge_index
    return circuit & ~np.isin(source, list(nodes))


def sampled_sets(nodes: Sequence[int], n: int, rng: np.random.Generator) -> list[Nodes]:
    """``n`` subsets, uniform over all subsets: each node is in with probability one half."""
    drawn = rng.random((n, len(nodes))) < 0.5
    return [frozenset(node for node, taken in zip(nodes, row, strict=True) if taken) for row in drawn]


def greedy_sets(
    nodes: Sequence[int], judge: Judge, restarts: int, steps: int, candidates: int, rng: np.random.Generator
) -> dict[Nodes, float]:
    """Sets found greedily, and their figures.

    Each of ``restarts`` sets grows by one node in each of ``steps``: of ``candidates`` nodes, drawn anew from those
    that are not in it, the one with the highest figure. All sets on the way are kept. The restarts go in step, so that
    ``judge`` gets many sets at once: at most ``restarts * candidates``, ``steps`` times.
    """
    found: dict[Nodes, float] = {}
    current: list[Nodes] = [frozenset()] * restarts
    for _ in range(min(steps, len(nodes))):
        grown: list[list[Nodes]] = []
        for chosen in current:
            free = [node for node in nodes if node not in chosen]
            drawn = rng.choice(free, size=min(candidates, len(free)), replace=False)
            grown.append([chosen | {int(node)} for node in drawn])
        tried = list(dict.fromkeys(s for sets in grown for s in sets))
        figures = dict(zip(tried, judge(tried).tolist(), strict=True))
        current = [max(sets, key=lambda s: figures[s]) for sets in grown]
        found |= {chosen: figures[chosen] for chosen in current}
    return found
