"""Exact patching of nodes, sets of nodes and edges, many interventions in one batch.

Layers before the first intervention are not run again: the recorded stream enters where the intervention is. A row of
a batch is one intervention on one prompt, ordered intervention by intervention: row = intervention * B + prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from bench.data import Tokens
from bench.engine.passes import Pass
from bench.engine.reading import project_stream
from bench.engine.sources import SourceBank, SourcePass, Sources, written_delta
from bench.engine.wiring import Layout, Wiring
from bench.graph import LOGITS, PARTS

Read = Callable[[Tensor], Tensor]


class ResumePass(Pass):
    """Start at ``first_layer`` with ``hidden``; optionally with that layer's attention or MLP input replaced.

    With ``first_layer`` = n_layers, ``hidden`` enters right before the final norm.
    """

    def __init__(
        self,
        first_layer: int,
        n_layers: int,
        hidden: Tensor,
        attention: Tensor | None = None,
        mlp_in: Tensor | None = None,
    ) -> None:
        self.first_layer, self.n_layers = first_layer, n_layers
        self.hidden, self.mixed, self.read = hidden, attention, mlp_in

    def stream(self, layer: int, x: Tensor) -> Tensor:
        return self.hidden if layer == self.first_layer else x

    def attention(self, layer: int) -> Tensor | None:
        return self.mixed if layer == self.first_layer else None

    def mlp_in(self, layer: int, x: Tensor) -> Tensor:
        return self.read if layer == self.first_layer and self.read is not None else x

    def final(self, x: Tensor) -> Tensor:
        return self.hidden if self.first_layer == self.n_layers else x


class ProjectedPass(ResumePass):
    """Resume at a layer with projections of its own: q, k and v ``[rows, T, H * D]``, one per query head."""

    qkv: tuple[Tensor, ...] = ()
    layout: Layout

    def project(self, layer: int, project: Callable[[], tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, ...]:
        if layer == self.first_layer:
            return self.qkv
        q, k, v = project()
        return q, self.layout.expand(k), self.layout.expand(v)


class SetPass(ResumePass):
    """Patch several nodes at once in every row; ``patched`` is ``[rows, n_components]`` bool."""

    patched: Tensor
    other: Sources
    where: Tensor

    def z(self, layer: int, z: Tensor) -> Tensor:
        width = z.shape[2] + 1
        mask = self.patched[:, layer * width : (layer + 1) * width - 1]
        return torch.where(mask[:, None, :, None] & self.where[:, :, None, None], self.other.z[layer], z)

    def mlp_out(self, layer: int, x: Tensor) -> Tensor:
        width = self.patched.shape[1] // self.n_layers
        mask = self.patched[:, (layer + 1) * width - 1]
        return torch.where(mask[:, None, None] & self.where[:, :, None], self.other.mlp[layer], x)


class Patcher:
    """Patches the run of ``tokens`` (with ``input`` entering block 0, if given) towards ``replacement``."""

    def __init__(
        self, wiring: Wiring, tokens: Tokens, replacement: Sources, rows: int, input: Tensor | None = None
    ) -> None:
        self.wiring, self.graph, self.tokens, self.replacement = wiring, wiring.graph, tokens, replacement
        self.per_batch = max(1, rows // len(tokens))
        self.record = SourcePass(wiring, input)
        self.base_logits = wiring.run(tokens, self.record)
        self.base = self.record.sources()

    def nodes(self, names: Sequence[str], read: Read, positions: Tensor | None = None) -> Tensor:
        """``[n_names, B]``: ``read`` of the logits when one node's output is the replacement's.

        ``positions`` is ``[B, T]`` bool, where to patch; everywhere by default.
        """
        where = (self.tokens.mask if positions is None else positions)[..., None]
        results = self.base.input.new_empty(len(names), len(self.tokens))
        for chunk in self._chunks([(self._layer(name), name.startswith("m")) for name in names]):
            layer = self._layer(names[chunk[0]])
            if names[chunk[0]].startswith("m"):
                stream, change = self.record.streams[layer + 1], self.replacement.mlp[layer] - self.base.mlp[layer]
                resume = ResumePass(layer + 1, self.graph.n_layers, (stream + where * change).repeat(len(chunk), 1, 1))
            else:
                attention = torch.cat([self._attention_with(names[i], where) for i in chunk])
                hidden = self.record.streams[layer].repeat(len(chunk), 1, 1)
                resume = ResumePass(layer, self.graph.n_layers, hidden, attention)
            self._read_into(results, chunk, resume, read)
        return results

    def sets(self, sets: Sequence[Sequence[str]], read: Read, positions: Tensor | None = None) -> Tensor:
        """``[n_sets, B]``: the same for sets of nodes patched together (windows of layers, groups)."""
        where = self.tokens.mask if positions is None else positions
        results = self.base.input.new_empty(len(sets), len(self.tokens))
        last = self.graph.n_layers - 1
        for chunk in self._chunks([(min(map(self._layer, s), default=last),) for s in sets]):
            layer = min(map(self._layer, sets[chunk[0]]), default=last)
            flags = torch.zeros(len(chunk), len(self.graph.components), dtype=torch.bool, device=where.device)
            for row, i in enumerate(chunk):
                flags[row, [self.graph.source_index(name) - 1 for name in sets[i]]] = True
            times = len(chunk)
            resume = SetPass(layer, self.graph.n_layers, self.record.streams[layer].repeat(times, 1, 1))
            resume.patched = flags.repeat_interleave(len(self.tokens), dim=0)
            resume.other = self.replacement.map(lambda x, n=times: x.repeat(n, *[1] * (x.dim() - 1)))  # type: ignore[misc]
            resume.where = where.repeat(times, 1)
            self._read_into(results, chunk, resume, read)
        return results

    def edges(self, names: Sequence[str], read: Read) -> Tensor:
        """``[n_names, B]``: ``read`` when one destination alone reads the replacement's output of one source."""
        bank = SourceBank(self.wiring, self.base.input, centre=False)
        bank.put_all(written_delta(self.replacement, self.base))
        results = self.base.input.new_empty(len(names), len(self.tokens))
        ends = [name.split("->") for name in names]
        for chunk in self._chunks([self._reader(end) for _, end in ends]):
            deltas = bank.buffer[[self.graph.source_index(ends[i][0]) for i in chunk]]
            self._read_into(results, chunk, self._edge_pass([ends[i][1] for i in chunk], deltas), read)
        return results

    def _layer(self, name: str) -> int:
        return int(name[1:].split(".")[0])

    def _reader(self, destination: str) -> tuple[int, bool]:
        """Destinations that can share a batch: a layer, and whether it is the MLP's; ``logits`` come last."""
        if destination == LOGITS:
            return self.graph.n_layers, True
        return self._layer(destination), destination.startswith("m")

    def _chunks(self, groups: Sequence[tuple[int, ...]]) -> Iterator[list[int]]:
        """Indices that share a group, at most ``per_batch`` at a time."""
        for group in sorted(set(groups)):
            chosen = [i for i, g in enumerate(groups) if g == group]
            for start in range(0, len(chosen), self.per_batch):
                yield chosen[start : start + self.per_batch]

    def _attention_with(self, name: str, where: Tensor) -> Tensor:
        """``[B, T, d]``: the recorded attention output with one head's part exchanged."""
        layer = self._layer(name)
        head = self.graph.source_index(name) - 1 - layer * (self.graph.n_heads + 1)
        delta = where * (self.replacement.z[layer][:, :, head] - self.base.z[layer][:, :, head])
        return self.record.attention_raws[layer] + delta @ self.wiring.layouts[layer].w_out[head]

    def _edge_pass(self, destinations: Sequence[str], deltas: Tensor) -> ResumePass:
        """``deltas`` is ``[n, B, T, d]``: what each destination reads on top of the recorded stream."""
        (layer, is_mlp), n, n_layers = self._reader(destinations[0]), len(destinations), self.graph.n_layers
        hidden = self.record.streams[layer]
        if layer == n_layers:
            return ResumePass(layer, n_layers, (hidden + deltas).flatten(0, 1))
        rows = hidden.repeat(n, 1, 1)
        if not is_mlp:
            resume = ProjectedPass(layer, n_layers, rows)
            resume.layout = self.wiring.layouts[layer]
            resume.qkv = self._projections(layer, destinations, hidden + deltas)
            return resume
        attention = self.record.attention_raws[layer]
        read = hidden + deltas
        if not self.graph.parallel:
            read = read + self._attention_written(layer)
        read = self.wiring.mlp_norms[layer](read).flatten(0, 1)
        return ResumePass(layer, n_layers, rows, attention.repeat(n, 1, 1), read)

    def _attention_written(self, layer: int) -> Tensor:
        """``[B, T, d]``: what attention adds to the stream."""
        raw = self.record.attention_raws[layer]
        return self.wiring.attention_post_norms[layer](raw)

    def _projections(self, layer: int, destinations: Sequence[str], streams: Tensor) -> tuple[Tensor, ...]:
        """q, k and v ``[n * B, T, H * D]`` with one head's part per row read from ``streams`` ``[n, B, T, d]``."""
        layout = self.wiring.layouts[layer]
        parts = [
            x.repeat(len(destinations), 1, 1, 1) for x in project_stream(self.wiring, layer, self.record.streams[layer])
        ]
        normed = self.wiring.attention_norms[layer](streams)
        size = len(self.tokens)
        for row, name in enumerate(destinations):
            head, part = int(name.split(".h")[1].split("<")[0]), PARTS.index(name[-2])
            own = head if part == 0 else head // layout.groups
            value = normed[row] @ layout.weights[part][own] + layout.biases[part][own]
            parts[part][row * size : (row + 1) * size, :, head] = value
        return tuple(x.flatten(2) for x in parts)

    def _read_into(self, results: Tensor, chunk: list[int], resume: ResumePass, read: Read) -> None:
        times = len(chunk)
        tokens = Tokens(self.tokens.ids.repeat(times, 1), self.tokens.mask.repeat(times, 1))
        logits = self.wiring.run(tokens, resume).unflatten(0, (times, len(self.tokens)))
        for i, value in zip(chunk, logits, strict=True):
            results[i] = read(value)
