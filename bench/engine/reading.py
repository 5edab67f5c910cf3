"""How destinations read the stream: the projections of many streams at once, and the way back for gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.engine.wiring import Wiring


def folded(wiring: Wiring, layer: int) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Weights with the norm's weight folded in, ``[H or Hkv, d, D]``, and the constants ``[H or Hkv, D]``, for q, k, v."""
    layout, norm = wiring.layouts[layer], wiring.attention_norms[layer]
    weights, constants = [], []
    for weight, bias in zip(layout.weights, layout.biases, strict=True):
        weights.append(weight * norm.weight[:, None] if norm.present else weight)
        constants.append((norm.bias @ weight) + bias if norm.present else bias)
    return tuple(weights), tuple(constants)


class StreamProjector:
    """q, k and v of one layer when every head input reads a stream of its own.

    The norm's scale is applied behind the projection, so that no normed copy of the streams is made.
    """

    def __init__(self, wiring: Wiring, layer: int) -> None:
        self.layout, self.norm = wiring.layouts[layer], wiring.attention_norms[layer]
        self.weights, constants = folded(wiring, layer)
        heads = self.layout.n_heads
        spread = [c.repeat_interleave(heads // len(c), dim=0) for c in constants]
        self.constants = torch.cat(spread)[:, None]

    def __call__(self, x: Tensor, rows: Tensor) -> Tensor:
        """``[3 * H, N, D]`` from different streams ``x`` ``[U, N, d]``, centred where the norm centres.

        ``rows`` ``[3 * H]`` says which stream each head input reads.
        """
        heads, n = self.layout.n_heads, x.shape[1]
        outputs = []
        for part, weight in enumerate(self.weights):
            own = x[rows[part * heads : (part + 1) * heads]]
            outputs.append(torch.matmul(own.view(len(weight), -1, x.shape[-1]), weight).view(heads, n, -1))
        out = torch.cat(outputs)
        if self.norm.present:
            out *= self.norm.rstd(x)[rows]
        return out.add_(self.constants)


def project_stream(wiring: Wiring, layer: int, x: Tensor) -> list[Tensor]:
    """q, k, v ``[..., H, D]`` when every head reads the one stream ``x`` ``[..., d]``; k and v one per query head."""
    layout = wiring.layouts[layer]
    y = wiring.attention_norms[layer](x)
    outputs = []
    for weight, bias in zip(layout.weights, layout.biases, strict=True):
        flat = y @ weight.movedim(0, -2).flatten(-2) + bias.flatten()
        outputs.append(layout.expand(flat).unflatten(-1, (layout.n_heads, layout.d_head)))
    return outputs
