"""A GPT-2 written as a sum of components, so that any edge can be cut in one pass, and its exchange with transformers.

The forward is GPT-2's: pre-norm, learned positions, gelu_new MLPs, tied embeddings. Parameters are stacked over
layers and kept per head, so that a step is few operations.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.planting.graph import Graph


@dataclass(frozen=True)
class Shape:
    """Sizes of a planted model."""

    vocab: int
    n_layer: int = 6
    n_head: int = 4
    d_model: int = 64
    d_mlp: int = 128
    n_positions: int = 32


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


class PlantedModel(nn.Module):
    """GPT-2 with per-head parameters: `forward` is the clean pass, `masked` cuts edges and nodes (reference: MIB)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape, self.graph = shape, Graph(shape.n_layer, shape.n_head)
        n, h, d, m = shape.n_layer, shape.n_head, shape.d_model, shape.d_mlp
        self.wte = nn.Parameter(torch.randn(shape.vocab, d) * 0.15)
        self.wpe = nn.Parameter(torch.randn(shape.n_positions, d) * 0.15)
        self.w_qkv = nn.Parameter(torch.randn(n, 3 * h, d, d // h) * 0.12)
        self.b_qkv = nn.Parameter(torch.zeros(n, 3 * h, 1, d // h))
        self.w_o = nn.Parameter(torch.randn(n, h, d // h, d) * 0.08)
        self.b_o = nn.Parameter(torch.zeros(n, d))
        self.w_in = nn.Parameter(torch.randn(n, d, m) * 0.1)
        self.b_in = nn.Parameter(torch.zeros(n, m))
        self.w_out = nn.Parameter(torch.randn(n, m, d) * 0.04)
        self.b_out = nn.Parameter(torch.zeros(n, d))
        self.ln_w = nn.Parameter(torch.ones(2 * n + 1, d))
        self.ln_b = nn.Parameter(torch.zeros(2 * n + 1, d))

    def _embed(self, ids: Tensor) -> Tensor:
        return self.wte[ids] + self.wpe[: ids.shape[1]]

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Causal attention over [..., T, d_head]; the pattern and its product with v."""
        size = q.shape[-2]
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        future = torch.ones(size, size, dtype=torch.bool, device=q.device).triu(1)
        pattern = scores.masked_fill(future, float("-inf")).softmax(-1)
        return pattern, pattern @ v

    def forward(self, ids: Tensor) -> Run:
        """The clean pass over ids [rows, T]."""
        n_head, d = self.shape.n_head, self.shape.d_model
        stream = self._embed(ids)
        outs, patterns = [stream], []
        ln_w, ln_b = self.ln_w.unbind(0), self.ln_b.unbind(0)
        layers = zip(
            self.w_qkv.unbind(0), self.b_qkv.unbind(0), self.w_o.unbind(0), self.b_o.unbind(0),
            self.w_in.unbind(0), self.b_in.unbind(0), self.w_out.unbind(0), self.b_out.unbind(0), strict=True,
        )  # fmt: skip
        for i, (w_qkv, b_qkv, w_o, b_o, w_in, b_in, w_out, b_out) in enumerate(layers):
            x = F.layer_norm(stream, (d,), ln_w[2 * i], ln_b[2 * i])
            q, k, v = (x[:, None] @ w_qkv + b_qkv).split(n_head, 1)
            pattern, z = self._attend(q, k, v)
            heads = z @ w_o
            patterns.append(pattern)
            outs.extend(heads.unbind(1))
            stream = stream + heads.sum(1) + b_o
            x = F.layer_norm(stream, (d,), ln_w[2 * i + 1], ln_b[2 * i + 1])
            mlp = F.gelu(x @ w_in + b_in, approximate="tanh") @ w_out
            outs.append(mlp)
            stream = stream + mlp + b_out
        logits = F.layer_norm(stream[:, -1], (d,), ln_w[-1], ln_b[-1]) @ self.wte.T
        return Run(logits, outs, patterns)

    def masked(self, ids: Tensor, cut: Cut) -> Tensor:
        """Last-position logits [rows, V] of ids [rows, T] under `cut`; rows are in group order.

        A destination's input is the current stream plus the sum over its cut edges of (corrupt - current), current
        being the source's output in this same pass. Biases belong to no component.
        """
        groups, _, per, size, d = cut.corrupt.shape
        n_head = self.shape.n_head
        state = _Masked(cut, n_head)
        stream = state.put(self._embed(ids).view(groups, 1, per, size, d))[:, 0]
        ln_w, ln_b = self.ln_w.unbind(0), self.ln_b.unbind(0)
        layers = zip(
            self.w_qkv.unbind(0), self.b_qkv.unbind(0), self.w_o.unbind(0), self.b_o.unbind(0),
            self.w_in.unbind(0), self.b_in.unbind(0), self.w_out.unbind(0), self.b_out.unbind(0), strict=True,
        )  # fmt: skip
        for i, (w_qkv, b_qkv, w_o, b_o, w_in, b_in, w_out, b_out) in enumerate(layers):
            rows = self.graph.rows(i)
            x = F.layer_norm(state.read(stream, rows), (d,), ln_w[2 * i], ln_b[2 * i])
            qkv = x.view(groups, 3 * n_head, per * size, d) @ w_qkv + b_qkv
            q, k, v = qkv.view(groups, 3 * n_head, per, size, d // n_head).split(n_head, 1)
            heads = self._attend(q, k, v)[1].reshape(groups, n_head, per * size, d // n_head) @ w_o
            heads = state.put(heads.view(groups, n_head, per, size, d))
            stream = stream + heads.sum(1) + b_o
            x = state.read(stream, slice(rows.stop, rows.stop + 1))[:, 0]
            x = F.layer_norm(x, (d,), ln_w[2 * i + 1], ln_b[2 * i + 1])
            mlp = F.gelu(x @ w_in + b_in, approximate="tanh") @ w_out
            stream = stream + state.put(mlp[:, None])[:, 0] + b_out
        last = state.read(stream, slice(-1, None))[:, 0, :, -1].reshape(groups * per, d)
        return F.layer_norm(last, (d,), ln_w[-1], ln_b[-1]) @ self.wte.T


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


def to_state(model: PlantedModel) -> dict[str, Tensor]:
    """The weights under transformers' GPT-2 names; the unembedding is tied."""
    shape = model.shape
    d = shape.d_model
    state: dict[str, Tensor] = {"transformer.wte.weight": model.wte, "transformer.wpe.weight": model.wpe}
    state |= {"transformer.ln_f.weight": model.ln_w[-1], "transformer.ln_f.bias": model.ln_b[-1]}
    for i in range(shape.n_layer):
        at = f"transformer.h.{i}."
        state |= {
            at + "ln_1.weight": model.ln_w[2 * i],
            at + "ln_1.bias": model.ln_b[2 * i],
            at + "ln_2.weight": model.ln_w[2 * i + 1],
            at + "ln_2.bias": model.ln_b[2 * i + 1],
            at + "attn.c_attn.weight": model.w_qkv[i].permute(1, 0, 2).reshape(d, 3 * d),
            at + "attn.c_attn.bias": model.b_qkv[i].reshape(3 * d),
            at + "attn.c_proj.weight": model.w_o[i].reshape(d, d),
            at + "attn.c_proj.bias": model.b_o[i],
            at + "mlp.c_fc.weight": model.w_in[i],
            at + "mlp.c_fc.bias": model.b_in[i],
            at + "mlp.c_proj.weight": model.w_out[i],
            at + "mlp.c_proj.bias": model.b_out[i],
        }
    return {name: value.detach().clone().contiguous() for name, value in state.items()}


def from_state(state: dict[str, Tensor], shape: Shape) -> PlantedModel:
    """A planted model from weights under transformers' GPT-2 names; the inverse of `to_state`."""
    model = PlantedModel(shape)
    n, h, d = shape.n_layer, shape.n_head, shape.d_model

    def stack(name: str) -> Tensor:
        return torch.stack([state[f"transformer.h.{i}.{name}"].float() for i in range(n)])

    def norms(part: str) -> Tensor:
        pairs = torch.stack([stack(f"ln_1.{part}"), stack(f"ln_2.{part}")], 1).reshape(2 * n, d)
        return torch.cat([pairs, state[f"transformer.ln_f.{part}"].float()[None]])

    values = {
        "wte": state["transformer.wte.weight"],
        "wpe": state["transformer.wpe.weight"],
        "w_qkv": stack("attn.c_attn.weight").view(n, d, 3 * h, d // h).permute(0, 2, 1, 3),
        "b_qkv": stack("attn.c_attn.bias").view(n, 3 * h, 1, d // h),
        "w_o": stack("attn.c_proj.weight").view(n, h, d // h, d),
        "b_o": stack("attn.c_proj.bias"),
        "w_in": stack("mlp.c_fc.weight"),
        "b_in": stack("mlp.c_fc.bias"),
        "w_out": stack("mlp.c_proj.weight"),
        "b_out": stack("mlp.c_proj.bias"),
        "ln_w": norms("weight"),
        "ln_b": norms("bias"),
    }
    model.load_state_dict(values)
    return model


def load(directory: Path) -> PlantedModel:
    """Read a shipped directory's weights into a planted model."""
    c = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    shape = Shape(c["vocab_size"], c["n_layer"], c["n_head"], c["n_embd"], c["n_inner"], c["n_positions"])
    return from_state(load_file(directory / "model.safetensors"), shape)
