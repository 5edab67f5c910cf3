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
from bench.engine.reading import project_streams
from bench.engine.sources import SourceBank, Sources
from bench.engine.wiring import Wiring


class CircuitPass(Pass):
    """``kept`` is ``[n_destinations, n_sources]`` bool; ``last`` ``[B]`` are the read positions."""

    def __init__(self, wiring: Wiring, kept: Tensor, ablation: Sources, last: Tensor, input: Tensor | None) -> None:
        self.wiring, self.graph, self.ablation, self.last, self.input = wiring, wiring.graph, ablation, last, input
        allowed = torch.as_tensor(self.graph.allowed, device=kept.device)
        self.cut = (~kept & allowed).to(ablation.input.dtype)
        self.any_cut = self.cut.bool().any(dim=1).cpu()
        self.bank = SourceBank(wiring, ablation.input, centre=wiring.attention_norms[0].centred)
        self._stream: Tensor | None = None
        self._scale: Tensor | None = None
        self._z: Tensor | None = None

    def stream(self, layer: int, x: Tensor) -> Tensor:
        if layer == 0:
            x = x if self.input is None else self.input
            self.bank.put_input(self.ablation.input - x)
        self._stream = x
        return x

    def project(self, layer: int, project: Callable[[], tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, ...]:
        first = layer * (3 * self.graph.n_heads + 1)
        rows = slice(first, first + 3 * self.graph.n_heads)
        if not bool(self.any_cut[rows].any()):
            layout = self.wiring.layouts[layer]
            q, k, v = project()
            return q, layout.expand(k), layout.expand(v)
        assert self._stream is not None
        x = self.wiring.attention_norms[layer].centre(self._stream)
        return project_streams(self.wiring, layer, self._mixed(rows, self.graph.visible(layer), x))

    def z(self, layer: int, z: Tensor) -> Tensor:
        self._z = z
        if not self.wiring.post_norm:
            self.bank.put_heads(layer, self.ablation.written(layer) - z)
        return z

    def attention_raw(self, layer: int, x: Tensor) -> None:
        assert self._z is not None
        scale = self.wiring.attention_post_norms[layer].rstd(x)
        self.bank.put_heads(layer, self.ablation.written(layer) - self._z * scale[..., None])

    def attention_out(self, layer: int, x: Tensor) -> Tensor:
        if not self.graph.parallel:
            self._stream = self._stream + x
        return x

    def mlp_in(self, layer: int, x: Tensor) -> Tensor:
        index = self.graph.destination_index(f"m{layer}")
        if not bool(self.any_cut[index]):
            return x
        assert self._stream is not None
        norm = self.wiring.mlp_norms[layer]
        mixed = self._mixed(slice(index, index + 1), self.graph.visible(layer, mlp=True), norm.centre(self._stream))
        return norm(mixed[0])

    def mlp_out(self, layer: int, x: Tensor) -> Tensor:
        self.bank.put_mlp(layer, self.ablation.mlp[layer] - x)
        return x

    def final(self, x: Tensor) -> Tensor:
        if not bool(self.any_cut[-1]):
            return x
        rows = torch.arange(len(x), device=x.device)
        change = torch.einsum("s,sbd->bd", self.cut[-1], self.bank.buffer[:, rows, self.last])
        return x.index_put((rows, self.last), x[rows, self.last] + change)

    def _mixed(self, rows: slice, visible: int, x: Tensor) -> Tensor:
        """``[n_rows, B, T, d]``: the stream plus each row's cut differences; only sources that some row cuts."""
        cut = self.cut[rows, :visible]
        used = cut.any(dim=0)
        bank = self.bank.buffer[:visible]
        if not bool(used.all()):
            cut, bank = cut[:, used], bank[used]
        flat = torch.addmm(x.reshape(1, -1), cut, bank.flatten(1)) if len(bank) else x.reshape(1, -1).expand(len(cut), -1)
        return flat.view(len(cut), *x.shape)
