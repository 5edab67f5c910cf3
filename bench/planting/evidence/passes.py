"""The masked pass for measuring: the same as `PlantedModel.masked`, computing only what can reach the logits.

A source that no kept edge leads from to the logits, or that is replaced everywhere, need not be computed: its readers
get the same whether it writes its own output and all its edges are cut, or it writes what is put in.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from bench.planting.graph import Graph
from bench.planting.model import Block, PlantedModel


@lru_cache(maxsize=16)
def _every_edge(graph: Graph) -> Tensor:
    return graph.mask(graph.edges)


def reaching(graph: Graph, edges: Tensor, replaced: set[int]) -> list[bool]:
    """For each source whether it is to be computed, given `edges` [destinations, sources] (1: cut)."""
    kept = (_every_edge(graph) - edges).bool()
    rows = {name: index for index, name in enumerate(graph.destinations)}
    wanted = torch.zeros(len(rows), dtype=torch.bool)
    wanted[rows["logits"]] = True
    live = [False] * len(graph.sources)
    for column in range(len(graph.sources) - 1, -1, -1):
        name = graph.sources[column]
        live[column] = column not in replaced and bool((kept[:, column] & wanted).any())
        if live[column] and column:
            own = [f"{name}<{part}>" for part in "qkv"] if "." in name else [name]
            wanted[[rows[row] for row in own]] = True
    return live


class CutPass:
    """One pass over prompts [n, T] under one set of cut edges."""

    def __init__(self, model: PlantedModel, corrupt: Tensor, edges: Tensor, nodes: dict[int, Tensor | None]) -> None:
        """`corrupt` [sources, n, T, d]; `edges` [destinations, sources], 1 where cut; `nodes`: source to where it is

        replaced, [n, T] of 1 and 0, or None for everywhere.
        """
        self.model, self.graph, self.corrupt, self.edges, self.nodes = model, model.graph, corrupt, edges, nodes
        self.live = reaching(self.graph, edges, {column for column, where in nodes.items() if where is None})
        self.deltas = torch.empty_like(corrupt)
        self.columns: list[int] = []

    def __call__(self, ids: Tensor) -> Tensor:
        """Last-position logits [n, V]."""
        model, n_head = self.model, self.graph.n_head
        stream = self._put(0, model.embed(ids) if self.live[0] else None)
        for layer, block in enumerate(model.blocks()):
            first, rows = 1 + layer * (n_head + 1), self.graph.rows(layer)
            early = self._mlp(stream, layer, block) if self.graph.parallel else None
            heads = [head for head in range(n_head) if self.live[first + head]]
            written = dict(zip(heads, self._heads(stream, rows.start, heads, block), strict=True))
            stream = stream + sum(self._put(first + head, written.get(head)) for head in range(n_head))
            stream = stream if block.b_o is None else stream + block.b_o
            mlp = early if self.graph.parallel else self._mlp(stream, layer, block)
            stream = stream + self._put(first + n_head, mlp)
            stream = stream if block.b_out is None else stream + block.b_out
        last = self._read(stream, [len(self.edges) - 1])[0, :, -1]
        return model.norm(last, model.final_norm()) @ model.wte.T

    def _put(self, column: int, current: Tensor | None) -> Tensor:
        """A source's output [n, T, d] as its readers see it; None where it was not computed."""
        corrupt = self.corrupt[column]
        if current is None:
            return corrupt
        delta = corrupt - current
        if (where := self.nodes.get(column)) is not None:
            step = where[..., None] * delta
            current, delta = current + step, delta - step
        self.deltas[column] = delta
        self.columns.append(column)
        return current

    def _read(self, stream: Tensor, rows: list[int]) -> Tensor:
        """Inputs [rows, n, T, d] of destinations, or [1, n, T, d] where all read the stream as it is."""
        table = self.edges[rows][:, self.columns]
        used = table.any(0).nonzero()[:, 0]
        if not len(used):
            return stream[None]
        deltas = self.deltas[[self.columns[i] for i in used.tolist()]]
        return stream[None] + (table[:, used] @ deltas.flatten(1)).view(-1, *stream.shape)

    def _heads(self, stream: Tensor, first: int, heads: list[int], block: Block) -> Tensor:
        """Outputs [len(heads), n, T, d] of some heads of a layer whose first destination is `first`."""
        if not heads:
            return stream[:0]
        parts = [part * self.graph.n_head + head for part in range(3) for head in heads]
        x = self.model.norm(self._read(stream, [first + part for part in parts]), block.norm1)
        qkv = x.flatten(1, 2) @ block.w_qkv[parts]
        qkv = qkv if block.b_qkv is None else qkv + block.b_qkv[parts]
        q, k, v = qkv.view(len(parts), *stream.shape[:2], -1).split(len(heads))
        z = self.model._attend(q, k, v)[1]
        return (z.flatten(1, 2) @ block.w_o[heads]).view(len(heads), *stream.shape)

    def _mlp(self, stream: Tensor, layer: int, block: Block) -> Tensor | None:
        """An MLP's output [n, T, d]; None where it is not wanted."""
        if not self.live[(layer + 1) * (self.graph.n_head + 1)]:
            return None
        x = self._read(stream, [self.graph.rows(layer).stop])[0]
        return self.model.mlp(self.model.norm(x, block.norm2), block.mlp)
