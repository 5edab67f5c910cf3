"""Named places inside a model, for interventions and gradients of any kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.engine.passes import Pass

Tap = Callable[[Tensor], Tensor]

KINDS = ("stream", "q", "k", "v", "pattern", "z", "attention_out", "mlp_in", "neurons", "mlp_out", "final")


@dataclass(frozen=True)
class Site:
    """A place: ``kind`` at ``layer``.

    ==============  ===============  ==============================================================
    stream          [B, T, d]        the residual that enters the layer; layer 0: the embeddings
    q, k, v         [B, H, T, D]     behind rotary embedding; k and v one per query head
    pattern         [B, H, T, T]
    z               [B, T, H, D]     head outputs before the out-projection
    attention_out   [B, T, d]        what attention adds to the stream
    mlp_in          [B, T, d]        what the MLP reads, behind its norm
    neurons         [B, T, d_mlp]
    mlp_out         [B, T, d]        what the MLP adds to the stream
    final           [B, T, d]        the last residual (``layer`` is ignored)
    ==============  ===============  ==============================================================
    """

    kind: str
    layer: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of site {self.kind!r}: use one of {', '.join(KINDS)}")
        if self.kind == "final":
            object.__setattr__(self, "layer", 0)


class TapPass(Pass):
    """Applies a function at each tapped site; ``input`` replaces the stream that enters block 0."""

    last_only = False

    def __init__(self, taps: Mapping[Site, Tap], input: Tensor | None = None) -> None:
        self.taps, self.input = taps, input

    def _tap(self, kind: str, layer: int, x: Tensor) -> Tensor:
        tap = self.taps.get(Site(kind, layer))
        return x if tap is None else tap(x)

    def stream(self, layer: int, x: Tensor) -> Tensor:
        if layer == 0 and self.input is not None:
            x = self.input
        return self._tap("stream", layer, x)

    def heads(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self._tap("q", layer, q), self._tap("k", layer, k), self._tap("v", layer, v)

    def pattern(self, layer: int, pattern: Tensor) -> Tensor:
        return self._tap("pattern", layer, pattern)

    def z(self, layer: int, z: Tensor) -> Tensor:
        return self._tap("z", layer, z)

    def attention_out(self, layer: int, x: Tensor) -> Tensor:
        return self._tap("attention_out", layer, x)

    def mlp_in(self, layer: int, x: Tensor) -> Tensor:
        return self._tap("mlp_in", layer, x)

    def neurons(self, layer: int, x: Tensor) -> Tensor:
        return self._tap("neurons", layer, x)

    def mlp_out(self, layer: int, x: Tensor) -> Tensor:
        return self._tap("mlp_out", layer, x)

    def final(self, x: Tensor) -> Tensor:
        return self._tap("final", 0, x)


class Gradients(TapPass):
    """Keeps the tensors at ``sites`` inside a graph that starts at the stream that enters block 0."""

    def __init__(self, sites: Sequence[Site], input: Tensor | None = None) -> None:
        self.found: dict[Site, Tensor] = {}
        super().__init__({site: self._keeper(site) for site in sites}, input)

    def _keeper(self, site: Site) -> Tap:
        def keep(x: Tensor) -> Tensor:
            self.found[site] = x.view_as(x)
            return self.found[site]

        return keep

    def stream(self, layer: int, x: Tensor) -> Tensor:
        if layer == 0:
            x = (x if self.input is None else self.input).detach().requires_grad_()
        return self._tap("stream", layer, x)


def patch(value: Tensor, positions: Tensor | None = None, *, heads_first: bool = False) -> Tap:
    """Replace by ``value`` (broadcastable; a mean or zero will do), at ``positions`` ``[B, T]`` bool or everywhere.

    ``heads_first`` is for the sites where the time axis comes behind the heads: ``q``, ``k``, ``v`` and ``pattern``
    (whose positions are those of the query).
    """

    def tap(x: Tensor) -> Tensor:
        new = value.to(x.dtype).expand_as(x)
        if positions is None:
            return new
        where = positions[:, None] if heads_first else positions
        return torch.where(where.view(*where.shape, *[1] * (x.dim() - where.dim())), new, x)

    return tap


def noise(scale: float | Tensor, positions: Tensor, generator: torch.Generator) -> Tap:
    """Add Gaussian noise N(0, scale) at ``positions`` ``[B, T]`` of a ``[B, T, d]`` site."""

    def tap(x: Tensor) -> Tensor:
        draw = torch.randn(x.shape, generator=generator, dtype=torch.float32).to(x) * scale
        return x + torch.where(positions[..., None], draw, torch.zeros_like(draw))

    return tap
