"""The component graph of a small pre-norm transformer: names of nodes and edges, and their place in a mask.

Sources are `input`, and per layer its heads and then its MLP, in forward order. Destinations are, per layer, the q, k
and v input of every head and the MLP's input, and last `logits`. An edge joins a source to every later destination;
in sequential blocks a layer's heads feed its own MLP, in parallel ones they do not. Under grouped-query attention k
and v inputs are counted per query head.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch


@dataclass(frozen=True)
class Graph:
    """Names and mask positions for `n_layer` blocks of `n_head` heads and one MLP."""

    n_layer: int
    n_head: int
    parallel: bool = False

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """All sources in forward order, `input` first."""
        names = ["input"]
        for layer in range(self.n_layer):
            names += [f"a{layer}.h{head}" for head in range(self.n_head)] + [f"m{layer}"]
        return tuple(names)

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """Heads and MLPs: the sources without `input`."""
        return self.sources[1:]

    @cached_property
    def destinations(self) -> tuple[str, ...]:
        """All destinations in the order of a mask's rows: per layer q, k, v of every head, then the MLP."""
        names: list[str] = []
        for layer in range(self.n_layer):
            names += [f"a{layer}.h{head}<{part}>" for part in "qkv" for head in range(self.n_head)] + [f"m{layer}"]
        return (*names, "logits")

    def rows(self, layer: int) -> slice:
        """The mask rows of one layer's q, k and v inputs; the MLP's row comes right after them."""
        first = layer * (3 * self.n_head + 1)
        return slice(first, first + 3 * self.n_head)

    def n_before(self, destination: str) -> int:
        """How many sources come before a destination."""
        if destination == "logits":
            return len(self.sources)
        layer = int(destination.split(".")[0][1:])
        before = 1 + layer * (self.n_head + 1)
        return before + self.n_head if destination.startswith("m") and not self.parallel else before

    @cached_property
    def edges(self) -> tuple[str, ...]:
        """Every edge, by destination and then by source."""
        return tuple(f"{u}->{v}" for v in self.destinations for u in self.sources[: self.n_before(v)])

    @cached_property
    def index(self) -> dict[str, tuple[int, int]]:
        """Edge name to (row, column) of a mask of shape [destinations, sources]."""
        row = {name: i for i, name in enumerate(self.destinations)}
        column = {name: i for i, name in enumerate(self.sources)}
        return {edge: (row[edge.split("->")[1]], column[edge.split("->")[0]]) for edge in self.edges}

    def mask(self, edges: Iterable[str]) -> torch.Tensor:
        """A mask of shape [destinations, sources] that is 1 on `edges` and 0 elsewhere."""
        out = torch.zeros(len(self.destinations), len(self.sources))
        for edge in edges:
            out[self.index[edge]] = 1.0
        return out
