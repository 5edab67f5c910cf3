"""A transformer written as a sum of components, so that any edge can be cut in one pass.

Here are the two passes, which are the same for every architecture; the architectures beside this file say what is in
a block (`gpt2`, `llama`, `neox`). Parameters are stacked over layers and kept per head, so that a step is few
operations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from bench.planting.graph import Graph

_graph = lru_cache(maxsize=64)(Graph)  # one object per shape keeps what it has worked out


@dataclass(frozen=True)
class Shape:
    """Sizes of a planted model, and its architecture: `gpt2`, `llama` or `neox`.

    n_kv_head: heads of keys and values (llama), each shared by n_head / n_kv_head query heads; None is n_head.
    rotary: the share of a head's dimensions that is rotated, where positions are rotary; 1 for llama.
    """

    vocab: int
    n_layer: int = 6
    n_head: int = 4
    d_model: int = 64
    d_mlp: int = 128
    n_positions: int = 32
    arch: str = "gpt2"
    n_kv_head: int | None = None
    rotary: float = 1.0

    @property
    def d_head(self) -> int:
        """Dimensions of a head."""
        return self.d_model // self.n_head

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.n_kv_head or self.n_head

    @property
    def graph(self) -> Graph:
        """The component graph; NeoX's blocks are parallel."""
        return _graph(self.n_layer, self.n_head, self.arch == "neox")

    def __post_init__(self) -> None:
        if self.d_model % self.n_head:
            raise ValueError(f"d_model={self.d_model} is no multiple of n_head={self.n_head}")
        if self.n_kv_head == self.n_head:
            object.__setattr__(self, "n_kv_head", None)  # one way to say it, so that equal shapes are equal
        if self.n_head % self.kv_heads:
            raise ValueError(f"n_head={self.n_head} is no multiple of n_kv_head={self.n_kv_head}")
        if self.kv_heads != self.n_head and self.arch != "llama":
            raise ValueError(f"only arch='llama' can have fewer heads of keys and values, not {self.arch!r}")
        if self.arch == "llama" and self.rotary != 1.0:
            raise ValueError(f"llama rotates whole heads: rotary={self.rotary} has to be 1")


@dataclass
class Cut:
    """What to replace in a masked pass over groups of rows; rows of a group share one edge mask.

    corrupt: [groups, sources, rows per group, T, d], the outputs put in.
    edges: [groups, destinations, sources], 1 where an edge is cut.
    nodes: [groups, sources, rows per group, T], 1 where a source's output is replaced for all its readers, or None.
    """

    corrupt: Tensor
    edges: Tensor
    nodes: Tensor | None = None


@dataclass
class Run:
    """A clean pass: last-position logits [rows, V], and every source's output and attention pattern.

    outs: per source [rows, T, d]; patterns: per layer [rows, heads, T, T].
    """

    logits: Tensor
    outs: list[Tensor]
    patterns: list[Tensor]

    @cached_property
    def sources(self) -> Tensor:
        """All outputs as one tensor [sources, rows, T, d]."""
        return torch.stack(self.outs)


class Block(NamedTuple):
    """One layer's weights; a bias that an architecture lacks is None.

    norm1, norm2: before attention and MLP, as the architecture's `norm` takes them. w_qkv: [3 heads, d, d_head], all
    of q, then k, then v, keys and values once per query head. w_o: [heads, d_head, d].
    """

    norm1: tuple[Tensor, ...]
    norm2: tuple[Tensor, ...]
    w_qkv: Tensor
    b_qkv: Tensor | None
    w_o: Tensor
    b_o: Tensor | None
    mlp: tuple[Tensor, ...]
    b_out: Tensor | None


class PlantedModel(nn.Module, ABC):
    """The passes over what an architecture says: `forward` is the clean one, `masked` cuts edges and nodes (as MIB)."""

    model_type: ClassVar[str]
    """As transformers calls the architecture."""
    wte: nn.Parameter

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape, self.graph = shape, shape.graph

    @abstractmethod
    def embed(self, ids: Tensor) -> Tensor:
        """What enters block 0, [rows, T, d], for ids [rows, T]."""

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """The layers' weights, in order."""

    @abstractmethod
    def norm(self, x: Tensor, weights: tuple[Tensor, ...]) -> Tensor:
        """A norm over the last dimension."""

    @abstractmethod
    def final_norm(self) -> tuple[Tensor, ...]:
        """The weights of the last norm."""

    @abstractmethod
    def mlp(self, x: Tensor, weights: tuple[Tensor, ...]) -> Tensor:
        """What an MLP writes, its output bias aside, for inputs behind the norm."""

    def rotate(self, x: Tensor) -> Tensor:
        """Queries or keys [..., T, d_head] with their positions in them, where an architecture rotates them."""
        return x

    @abstractmethod
    def start_parts(self, layer: int, head: int | None) -> dict[str, list[Tensor]]:
        """The weights of a head (or, for None, of the MLP) by part: `q`, `k`, `v` or `mlp` read, `out` writes.

        Readers are [d, ...], writers [..., d]. Under grouped-query attention `k` and `v` are the group's.
        """

    def embeddings(self) -> list[nn.Parameter]:
        """The tables that `embed` sums, each [n, d]."""
        return [self.wte]

    @abstractmethod
    def to_state(self) -> dict[str, Tensor]:
        """The weights under transformers' names; the unembedding is tied."""

    @abstractmethod
    def load(self, state: dict[str, Tensor]) -> None:
        """Take weights under transformers' names: the inverse of `to_state`."""

    @classmethod
    @abstractmethod
    def config(cls, shape: Shape) -> Any:
        """The configuration for transformers."""

    @classmethod
    @abstractmethod
    def shape_of(cls, config: dict[str, Any]) -> Shape:
        """The sizes that a config.json states."""

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Causal attention over [..., T, d_head]; the pattern and its product with v."""
        size = q.shape[-2]
        scores = self.rotate(q) @ self.rotate(k).transpose(-1, -2) * q.shape[-1] ** -0.5
        future = torch.ones(size, size, dtype=torch.bool, device=q.device).triu(1)
        pattern = scores.masked_fill(future, float("-inf")).softmax(-1)
        return pattern, pattern @ v

    def forward(self, ids: Tensor) -> Run:
        """The clean pass over ids [rows, T]."""
        stream = self.embed(ids)
        outs, patterns = [stream], []
        for block in self.blocks():
            before = stream
            x = self.norm(stream, block.norm1)
            q, k, v = _plus(x[:, None] @ block.w_qkv, block.b_qkv).split(self.shape.n_head, 1)
            pattern, z = self._attend(q, k, v)
            heads = z @ block.w_o
            patterns.append(pattern)
            outs.extend(heads.unbind(1))
            stream = _plus(stream + heads.sum(1), block.b_o)
            mlp = self.mlp(self.norm(before if self.graph.parallel else stream, block.norm2), block.mlp)
            outs.append(mlp)
            stream = _plus(stream + mlp, block.b_out)
        logits = self.norm(stream[:, -1], self.final_norm()) @ self.wte.T
        return Run(logits, outs, patterns)

    def masked(self, ids: Tensor, cut: Cut) -> Tensor:
        """Last-position logits [rows, V] of ids [rows, T] under `cut`; rows are in group order.

        A destination's input is the current stream plus the sum over its cut edges of (corrupt - current), current
        being the source's output in this same pass. Biases belong to no component.
        """
        groups, _, per, size, d = cut.corrupt.shape
        state = _Masked(cut, self.shape.n_head)
        stream = state.put(self.embed(ids).view(groups, 1, per, size, d))[:, 0]
        for i, block in enumerate(self.blocks()):
            rows = self.graph.rows(i)
            mlp_row = slice(rows.stop, rows.stop + 1)
            heads = self._masked_heads(self.norm(state.read(stream, rows), block.norm1), block)
            early = state.read(stream, mlp_row) if self.graph.parallel else None
            stream = _plus(stream + state.put(heads).sum(1), block.b_o)
            x = (state.read(stream, mlp_row) if early is None else early)[:, 0]
            mlp = self.mlp(self.norm(x, block.norm2), block.mlp)
            stream = _plus(stream + state.put(mlp[:, None])[:, 0], block.b_out)
        last = state.read(stream, slice(-1, None))[:, 0, :, -1].reshape(groups * per, d)
        return self.norm(last, self.final_norm()) @ self.wte.T

    def _masked_heads(self, x: Tensor, block: Block) -> Tensor:
        """Outputs [groups, heads, per, T, d] of a layer's heads for their inputs x [groups, 3 heads, per, T, d]."""
        groups, rows, per, size, d = x.shape
        n_head, d_head = self.shape.n_head, self.shape.d_head
        qkv = _plus(x.view(groups, rows, per * size, d) @ block.w_qkv, block.b_qkv)
        q, k, v = qkv.view(groups, rows, per, size, d_head).split(n_head, 1)
        z = self._attend(q, k, v)[1].reshape(groups, n_head, per * size, d_head)
        return (z @ block.w_o).view(groups, n_head, per, size, d)


def _plus(x: Tensor, bias: Tensor | None) -> Tensor:
    return x if bias is None else x + bias


class _Masked:
    """The differences (corrupt - current) of the sources so far, and what a destination reads."""

    def __init__(self, cut: Cut, n_head: int) -> None:
        self.cut, self.done = cut, 0
        self.deltas: list[Tensor] = []
        # one split, not a slice per source: each slice's gradient would be a whole tensor of zeros
        self.corrupt = iter(cut.corrupt.split([1] + [n_head, 1] * ((cut.corrupt.shape[1] - 1) // (n_head + 1)), 1))

    def put(self, current: Tensor) -> Tensor:
        """Enter the outputs [groups, k, per, T, d] of the next k sources; give them back with cut nodes replaced."""
        n = current.shape[1]
        delta = next(self.corrupt) - current
        if self.cut.nodes is not None:
            step = self.cut.nodes[:, self.done : self.done + n, ..., None] * delta
            current, delta = current + step, delta - step
        self.deltas.append(delta.flatten(2))
        self.done += n
        return current

    def read(self, stream: Tensor, rows: slice) -> Tensor:
        """Inputs [groups, rows, per, T, d] of some destinations, given the stream [groups, per, T, d]."""
        self.deltas = [torch.cat(self.deltas, 1)] if len(self.deltas) > 1 else self.deltas
        patch = self.cut.edges[:, rows, : self.done] @ self.deltas[0]
        return stream[:, None] + patch.view(stream.shape[0], -1, *stream.shape[1:])
