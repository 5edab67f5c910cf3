"""The component graph: sources, destinations and the edges between them (MIB circuit track, EAP-IG).

Sources are ``input`` (the stream that enters block 0), every head ``a{l}.h{h}`` and every MLP ``m{l}``.
Destinations are the q, k and v input of every head, every MLP's input and ``logits`` (the last residual).
An edge joins a source to every later destination; in parallel blocks a layer's heads do not feed its own MLP.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

INPUT = "input"
LOGITS = "logits"
PARTS = ("q", "k", "v")


@dataclass(frozen=True)
class ComponentGraph:
    """Nodes and edges of a decoder with ``n_layers`` layers of ``n_heads`` query heads.

    Under grouped-query attention k and v inputs are counted per query head.
    """

    n_layers: int
    n_heads: int
    parallel: bool = False

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources in forward order, ``[n_sources]``."""
        names = [INPUT]
        for layer in range(self.n_layers):
            names += [f"a{layer}.h{head}" for head in range(self.n_heads)] + [f"m{layer}"]
        return tuple(names)

    @cached_property
    def destinations(self) -> tuple[str, ...]:
        """Names of the destinations in forward order, ``[n_destinations]``; a layer's are q of all heads, k, v, MLP."""
        names = []
        for layer in range(self.n_layers):
            names += [f"a{layer}.h{head}<{part}>" for part in PARTS for head in range(self.n_heads)] + [f"m{layer}"]
        return (*names, LOGITS)

    @cached_property
    def components(self) -> tuple[str, ...]:
        """Names of the nodes that are scored: heads and MLPs; ``input`` and ``logits`` are always kept."""
        return self.sources[1:]

    @property
    def n_nodes(self) -> int:
        """Number of nodes as published counts have it: the sources, ``input`` among them."""
        return len(self.sources)

    def source_index(self, name: str) -> int:
        return self._source_index[name]

    def destination_index(self, name: str) -> int:
        return self._destination_index[name]

    def visible(self, layer: int, mlp: bool = False) -> int:
        """How many sources, from the first, feed the attention (or the MLP) of ``layer``; ``n_layers`` is logits."""
        heads = self.n_heads if mlp and not self.parallel else 0
        return 1 + layer * (self.n_heads + 1) + heads

    @cached_property
    def allowed(self) -> NDArray[np.bool_]:
        """Which edges exist, ``[n_destinations, n_sources]``."""
        table = np.zeros((len(self.destinations), len(self.sources)), dtype=bool)
        width = 3 * self.n_heads + 1
        for layer in range(self.n_layers):
            table[layer * width : layer * width + width - 1, : self.visible(layer)] = True
            table[layer * width + width - 1, : self.visible(layer, mlp=True)] = True
        table[-1] = True
        return table

    @property
    def n_edges(self) -> int:
        return int(self.allowed.sum())

    @cached_property
    def edge_index(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Destination and source index of each edge, both ``[n_edges]``, in the order of :attr:`edges`."""
        destination, source = np.nonzero(self.allowed)
        return destination, source

    @cached_property
    def edges(self) -> tuple[str, ...]:
        """Names of the edges, ``source->destination``, ordered by destination, then source."""
        pairs = zip(*self.edge_index, strict=True)
        return tuple(f"{self.sources[s]}->{self.destinations[d]}" for d, s in pairs)

    def names(self, level: str) -> tuple[str, ...]:
        """The ordered component names of a ``level``: ``node`` or ``edge``."""
        if level == "node":
            return self.components
        if level == "edge":
            return self.edges
        raise ValueError(f"unknown level {level!r}: use 'node' or 'edge'")

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """Source index of the node that each destination belongs to, ``[n_destinations]``; -1 for ``logits``."""
        heads = {name: index for index, name in enumerate(self.sources)}
        return np.array([heads.get(name.split("<")[0], -1) for name in self.destinations])

    def edge_mask(self, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """``[n_edges]`` kept flags as a ``[n_destinations, n_sources]`` table."""
        table = np.zeros_like(self.allowed)
        table[self.edge_index] = kept
        return table

    def edges_of_nodes(self, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """``[n_components]`` kept nodes as ``[n_edges]`` kept edges: an edge is kept when both its ends are."""
        source = np.concatenate([[True], kept])
        destination = np.where(self.owner < 0, True, source[self.owner])
        d, s = self.edge_index
        return destination[d] & source[s]

    def prune(self, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Drop the ``[n_edges]`` kept edges that lie on no kept path from ``input`` to ``logits``."""
        table = self.edge_mask(kept)
        reached = np.zeros(len(self.sources), dtype=bool)
        reached[0] = True
        for d, owner in enumerate(self.owner):  # forward order, so one sweep is enough
            if owner >= 0:
                reached[owner] |= bool((table[d] & reached).any())
        table &= reached[None, :]
        used = np.zeros(len(self.sources), dtype=bool)
        for d in range(len(self.destinations) - 1, -1, -1):
            if self.owner[d] >= 0 and not used[self.owner[d]]:
                table[d] = False
            used |= table[d]
        return table[self.edge_index]

    @cached_property
    def _source_index(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.sources)}

    @cached_property
    def _destination_index(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.destinations)}
