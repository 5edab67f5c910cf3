"""How destinations read the stream: the projections of many streams at once, and the way back for gradients."""

from __future__ import annotations

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


def project_streams(wiring: Wiring, layer: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """q, k, v ``[B, T, H * D]`` when every head input reads a stream of its own.

    ``x`` is ``[3 * H, B, T, d]`` (q of all heads, k, v), centred where the norm centres. The norm's scale is applied
    behind the projection, so that no normed copy of the streams is made.
    """
    layout, norm = wiring.layouts[layer], wiring.attention_norms[layer]
    heads, (rows, width) = layout.n_heads, x.shape[1:3]
    rstd = norm.rstd(x) if norm.present else None
    outputs = []
    for part, (weight, constant) in enumerate(zip(*folded(wiring, layer), strict=True)):
        own = slice(part * heads, (part + 1) * heads)
        groups = heads // len(weight)
        streams = x[own].reshape(len(weight), groups * rows * width, -1)
        out = (streams @ weight).view(len(weight), groups, rows, width, -1)
        if rstd is not None:
            out = out * rstd[own].view(len(weight), groups, rows, width, 1)
        out = out + constant[:, None, None, None]
        outputs.append(out.permute(2, 3, 0, 1, 4).flatten(2))
    return outputs[0], outputs[1], outputs[2]


def project_stream(wiring: Wiring, layer: int, x: Tensor) -> list[Tensor]:
    """q, k, v ``[..., H, D]`` when every head reads the one stream ``x`` ``[..., d]``; k and v one per query head."""
    layout = wiring.layouts[layer]
    y = wiring.attention_norms[layer](x)
    outputs = []
    for weight, bias in zip(layout.weights, layout.biases, strict=True):
        flat = y @ weight.movedim(0, -2).flatten(-2) + bias.flatten()
        outputs.append(layout.expand(flat).unflatten(-1, (layout.n_heads, layout.d_head)))
    return outputs
