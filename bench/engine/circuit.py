"""Running a circuit: any set of edges costs one forward.

Every destination's input = the current stream + the sum over cut edges of (ablation_u - current_u), where current_u
is what the source writes in this same pass (Hanna et al. 2024, arXiv:2403.17806; MIB circuit track). The stream
itself stays untouched: only what destinations read differs from it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bench.engine.passes import Pass
from bench.engine.reading import StreamProjector, project_stream
from bench.engine.sources import SourceBank, Sources
from bench.engine.wiring import Wiring

CHUNK_BYTES = 1 << 20
"""Streams of all head inputs are made for so many tokens at a time that they stay in a core's cache."""


class CircuitPass(Pass):
    """``kept`` is ``[n_destinations, n_sources]`` bool; ``last`` ``[B]`` are the read positions."""

    def __init__(self, wiring: Wiring, kept: Tensor, ablation: Sources, last: Tensor, input: Tensor | None) -> None:
        self.wiring, self.graph, self.ablation, self.last, self.input = wiring, wiring.graph, ablation, last, input
        allowed = torch.as_tensor(self.graph.allowed, device=kept.device)
        self.kept, self.cut = kept & allowed, ~kept & allowed
        self.any_cut = self.cut.any(dim=1).tolist()
        self.bank = SourceBank(wiring, ablation.input, centre=wiring.attention_norms[0].centred)
        self._stream: Tensor | None = None
        self._z: Tensor | None = None
        self._ablated = self._without_heads = ablation.input
        """``[B, T, d]``: the stream if all sources so far were ablated, to which few kept edges can be added instead.

        It is summed from the ablation alone: as a difference from the current stream it would be off by that stream's
        rounding, which a norm blows up where next to nothing is left (zero ablation).
        """

    def stream(self, layer: int, x: Tensor) -> Tensor:
        if layer == 0:
            x = x if self.input is None else self.input
            self.bank.put_input(self.ablation.input - x)
        self._stream = x
        return x

    def project(self, layer: int, project: Callable[[], tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, ...]:
        first = layer * (3 * self.graph.n_heads + 1)
        rows = slice(first, first + 3 * self.graph.n_heads)
        if not any(self.any_cut[rows]):
            return project()
        assert self._stream is not None
        mix = self._mix(rows, self.graph.visible(layer), self._stream, self._ablated)
        bank = self.bank.buffer.flatten(1, 2)
        q, k, v = project_stream(self.wiring, layer, mix.base)
        out = torch.stack((q, k, v)).permute(0, 2, 1, 3).flatten(0, 1).contiguous()
        if len(mix.own):
            projector = StreamProjector(self.wiring, layer, mix.own)
            step = max(1, CHUNK_BYTES // (len(mix.own) * mix.base[0].nbytes))
            for start in range(0, len(mix.base), step):
                part = slice(start, min(start + step, len(mix.base)))
                out[mix.own, part] = projector(mix(bank, part))
        out = out.view(3, self.graph.n_heads, *self._stream.shape[:2], -1).permute(0, 2, 3, 1, 4)
        q, k, v = out.flatten(-2)
        return q, k, v

    def z(self, layer: int, z: Tensor) -> Tensor:
        self._z = z
        self._ablate_heads(layer)
        if not self.wiring.post_norm:
            self.bank.put_heads(layer, self.ablation.written(layer) - z)
        return z

    def attention_raw(self, layer: int, x: Tensor) -> None:
        assert self._z is not None
        scale = self.wiring.attention_post_norms[layer].rstd(x)
        self.bank.put_heads(layer, self.ablation.written(layer) - self._z * scale[..., None])

    def attention_out(self, layer: int, x: Tensor) -> Tensor:
        if not self.graph.parallel:
            assert self._stream is not None
            self._stream = self._stream + x
        return x

    def mlp_in(self, layer: int, x: Tensor) -> Tensor:
        index = self.graph.destination_index(f"m{layer}")
        if not self.any_cut[index]:
            return x
        assert self._stream is not None
        ablated = self._without_heads if self.graph.parallel else self._ablated
        mix = self._mix(slice(index, index + 1), self.graph.visible(layer, mlp=True), self._stream, ablated)
        bank = self.bank.buffer.flatten(1, 2)
        read = mix(bank, slice(0, len(mix.base)))[0] if len(mix.own) else mix.base
        return self.wiring.mlp_norms[layer](read.view_as(x))

    def mlp_out(self, layer: int, x: Tensor) -> Tensor:
        self.bank.put_mlp(layer, self.ablation.mlp[layer] - x)
        self._ablated = self._ablated + self.ablation.mlp[layer]
        return x

    def final(self, x: Tensor) -> Tensor:
        if not self.any_cut[-1]:
            return x
        at = torch.arange(len(x), device=x.device), self.last
        mix = self._mix(slice(-1, None), len(self.graph.sources), x[at], self._ablated[at])
        read = mix(self.bank.buffer[:, *at], slice(0, len(x)))[0] if len(mix.own) else mix.base
        return x.index_put(at, read)

    def _ablate_heads(self, layer: int) -> None:
        bias = getattr(self.wiring.blocks[layer].out, "bias", None)
        written = self.ablation.written(layer).flatten(-2) @ self.wiring.w_out(layer).flatten(0, 1)
        self._without_heads = self._ablated
        self._ablated = self._ablated + (written if bias is None else written + bias)

    def _mix(self, rows: slice, visible: int, stream: Tensor, ablated: Tensor) -> _Mix:
        """``stream`` and ``ablated`` are ``[..., d]``; all destinations of one model centre alike."""
        centre, width = self.wiring.attention_norms[0].centre, stream.shape[-1]
        base, other = (centre(x).reshape(-1, width) for x in (stream, ablated))
        return _Mix(self.kept[rows], self.cut[rows], visible, base, other)


class _Mix:
    """Streams that destinations read: the current one plus cut differences, or the ablated one less kept ones.

    Whichever of the two sums has fewer terms is taken. ``base`` ``[N, d]`` is what destinations read that have no
    term; ``own`` are those that have.
    """

    def __init__(self, kept: Tensor, cut: Tensor, visible: int, stream: Tensor, ablated: Tensor) -> None:
        kept, cut = kept[:, :visible], cut[:, :visible]
        from_ablated = _work(kept) < _work(cut)
        table = kept if from_ablated else cut
        self.base = ablated if from_ablated else stream
        self.own = table.any(dim=1).nonzero()[:, 0]
        used = table.any(dim=0).nonzero()[:, 0]
        # Gathering most of the sources costs more than multiplying the others by 0.
        self.used = used if len(used) < visible // 2 else None
        table = table[self.own] if self.used is None else table[self.own][:, self.used]
        self.table = table.to(stream.dtype) * (-1 if from_ablated else 1)

    def __call__(self, bank: Tensor, part: slice) -> Tensor:
        """``[n_own, n, d]`` for some of the tokens; ``bank`` is ``[n_sources, N, d]``."""
        base = self.base[part]
        terms = bank[: self.table.shape[1], part] if self.used is None else bank[self.used, part]
        return torch.addmm(base.reshape(1, -1), self.table, terms.flatten(1)).view(-1, *base.shape)


def _work(table: Tensor) -> int:
    """Products that a table of terms costs: rows in use times columns in use."""
    return int(table.any(dim=1).sum()) * int(table.any(dim=0).sum())
