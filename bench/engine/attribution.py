"""Attribution of nodes and edges: gradients through activations, contracted with differences of what sources write.

A destination's gradient is taken at the projection's output (D wide), and brought back to the stream through the
projection's weights and the norm's Jacobian, so no copies of the stream are needed. For a read ``y = W f(x)`` with
``f(x) = (x - mean) rstd w + b`` and g = d objective / d y, with G = w * (W' g):

    d objective / d x = rstd (G - mean(G) - xhat mean(G xhat)),   xhat = (x - mean) rstd.

Sources are centred, so mean(G) drops; G . xhat equals g . (y - constants), which is D wide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.data import Tokens
from bench.engine.passes import Pass
from bench.engine.reading import folded
from bench.engine.sources import SourceBank, Sources
from bench.engine.wiring import Wiring

Objective = Callable[[Tensor], Tensor]
"""``[B, V]`` logits at the read position to ``[B]``."""


class _GradientPass(Pass):
    """Keeps the tensors at which gradients are wanted; ``input`` is a leaf, so that there is a graph."""

    def __init__(self, wiring: Wiring, input: Tensor | None) -> None:
        self.wiring, self.input = wiring, input

    def stream(self, layer: int, x: Tensor) -> Tensor:
        if layer == 0:
            x = (x if self.input is None else self.input).detach().requires_grad_()
            self.input = x
        return x


class NodeGradients(_GradientPass):
    """Gradients at head outputs and MLP writes."""

    def __init__(self, wiring: Wiring, input: Tensor | None = None) -> None:
        super().__init__(wiring, input)
        self.places: list[Tensor] = []

    def z(self, layer: int, z: Tensor) -> Tensor:
        self.places.append(z)
        return z

    def mlp_out(self, layer: int, x: Tensor) -> Tensor:
        self.places.append(x)
        return x


def node_attribution(
    wiring: Wiring, tokens: Tokens, delta: Sources, objective: Objective, input: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """``[n_components, B]`` of delta . gradient summed over real positions, and the logits ``[B, V]``."""
    current = NodeGradients(wiring, input)
    with torch.enable_grad():
        logits = wiring.run(tokens, current)
        gradients = torch.autograd.grad(objective(logits).sum(), current.places)
    real = tokens.mask.to(logits.dtype)
    rows = []
    for layer in range(wiring.graph.n_layers):
        by_head = (gradients[2 * layer] * delta.z[layer]).sum(dim=-1)
        rows.append(torch.einsum("bth,bt->hb", by_head, real))
        rows.append((gradients[2 * layer + 1] * delta.mlp[layer]).sum(dim=-1).mul(real).sum(dim=-1)[None])
    return torch.cat(rows), logits.detach()


@dataclass
class _Reads:
    """Accumulated over input streams, per layer: what is needed to bring the gradients back to the stream once."""

    scaled: list[Tensor]
    """``[B, T, 3, H, D]``: sum over streams of rstd * g."""
    along: list[list[Tensor]]
    """per stream ``[B, T, 3, H]``: rstd * (g . (y - constants)) / d; behind a norm only."""
    normed: list[list[Tensor]]
    """per stream ``[B, T, d]``: xhat."""
    mlp: list[Tensor]
    """``[B, T, d]``: the gradient at the stream, ready."""
    logits: Tensor | None = None
    """``[B, d]``: the same at the read position."""


class DestinationGradients(_GradientPass):
    """Gradients at every destination's read."""

    def __init__(self, wiring: Wiring, input: Tensor | None = None) -> None:
        super().__init__(wiring, input)
        self.qkv: list[Tensor] = []
        self.streams: list[Tensor] = []
        self.middle: list[Tensor] = []
        self.mlp: list[Tensor] = []
        self.head: Tensor | None = None
        self.last_stream: Tensor | None = None

    def stream(self, layer: int, x: Tensor) -> Tensor:
        x = super().stream(layer, x)
        self.streams.append(x)
        self.middle.append(x)
        return x

    def project(self, layer: int, project: Callable[[], tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, ...]:
        layout = self.wiring.layouts[layer]
        outputs = tuple(layout.expand(x) for x in project())
        self.qkv += outputs
        return outputs

    def attention_out(self, layer: int, x: Tensor) -> Tensor:
        if not self.wiring.graph.parallel:
            self.middle[-1] = self.middle[-1] + x
        return x

    def mlp_in(self, layer: int, x: Tensor) -> Tensor:
        x = x.view_as(x)  # a tensor of its own: in Phi the attention reads the same one
        self.mlp.append(x)
        return x

    def final(self, x: Tensor) -> Tensor:
        self.last_stream = x
        return x

    def unembed(self, x: Tensor) -> Tensor:
        self.head = x
        return x


def edge_attribution(
    wiring: Wiring, tokens: Tokens, delta: Sources, objective: Objective, inputs: Sequence[Tensor | None]
) -> Tensor:
    """``[n_destinations, n_sources]``: delta . gradient over the batch, the gradient averaged over ``inputs``.

    ``delta`` holds differences of what is written to the stream; ``inputs`` are streams ``[B, T, d]`` that enter block
    0 (None: the prompt's own). fp32 products are summed over chunks in fp64.
    """
    reads: _Reads | None = None
    for stream in inputs:
        current = DestinationGradients(wiring, stream)
        with torch.enable_grad():
            logits = wiring.run(tokens, current)
            places = [*current.qkv, *current.mlp, current.head]
            gradients = torch.autograd.grad(objective(logits).sum(), places)
        with torch.no_grad():
            reads = _accumulate(wiring, tokens, current, gradients, reads)
    assert reads is not None
    with torch.no_grad():
        return _contract(wiring, tokens, delta, reads) / len(inputs)


def _accumulate(
    wiring: Wiring, tokens: Tokens, p: DestinationGradients, gradients: Sequence[Tensor], reads: _Reads | None
) -> _Reads:
    layers = wiring.graph.n_layers
    first = reads is None
    if reads is None:
        reads = _Reads([], [[] for _ in range(layers)], [[] for _ in range(layers)], [])
    for layer in range(layers):
        scaled = _head_read(wiring, layer, p, gradients[3 * layer : 3 * layer + 3], reads)
        norm = wiring.mlp_norms[layer]
        at_mlp = _through_norm(norm, p.middle[layer].detach(), gradients[3 * layers + layer])
        if first:
            reads.scaled.append(scaled)
            reads.mlp.append(at_mlp)
        else:
            reads.scaled[layer] += scaled
            reads.mlp[layer] += at_mlp
    assert p.last_stream is not None
    rows = torch.arange(len(tokens), device=tokens.ids.device)
    at_logits = _through_norm(wiring.norm_of_logits, p.last_stream.detach()[rows, tokens.last], gradients[-1][:, 0])
    reads.logits = at_logits if reads.logits is None else reads.logits + at_logits
    return reads


def _head_read(
    wiring: Wiring, layer: int, p: DestinationGradients, gradients: Sequence[Tensor], reads: _Reads
) -> Tensor:
    """``[B, T, 3, H, D]`` rstd * g of one stream; files what the norm's Jacobian needs besides."""
    layout, norm = wiring.layouts[layer], wiring.attention_norms[layer]
    shape = (layout.n_heads, layout.d_head)
    g = torch.stack([x.unflatten(-1, shape) for x in gradients], dim=2)
    if not norm.present:
        return g
    x = norm.centre(p.streams[layer].detach())
    rstd = norm.rstd(x)
    _, constants = folded(wiring, layer)
    along = []
    for part in range(3):
        constant = constants[part].repeat_interleave(layout.n_heads // len(constants[part]), dim=0)
        y = p.qkv[3 * layer + part].detach().unflatten(-1, shape) - constant
        along.append((g[:, :, part] * y).sum(dim=-1))
    reads.along[layer].append(torch.stack(along, dim=2) * (rstd / x.shape[-1])[..., None])
    reads.normed[layer].append(x * rstd)
    return g * rstd[..., None, None]


def _through_norm(norm: object, x: Tensor, g: Tensor) -> Tensor:
    """The gradient in front of a norm, up to a constant vector where the norm centres."""
    from bench.engine.wiring import Norm

    assert isinstance(norm, Norm)
    if not norm.present:
        return g
    x = norm.centre(x)
    rstd = norm.rstd(x)
    weighted, normed = g * norm.weight, x * rstd
    return rstd * (weighted - normed * (weighted * normed).mean(dim=-1, keepdim=True))


def _contract(wiring: Wiring, tokens: Tokens, delta: Sources, reads: _Reads) -> Tensor:
    """Fill in sources in forward order and contract each layer's reads with the ones before it."""
    graph = wiring.graph
    bank = SourceBank(wiring, delta.input, centre=wiring.attention_norms[0].centred)
    bank.put_all(delta.map(lambda x: x * tokens.mask.view(*tokens.mask.shape, *[1] * (x.dim() - 2)).to(x.dtype)))
    table = torch.zeros(len(graph.destinations), len(graph.sources), dtype=torch.float64, device=bank.buffer.device)
    width = 3 * graph.n_heads + 1
    for layer in range(graph.n_layers):
        at_heads = _head_gradients(wiring, layer, reads)
        visible = graph.visible(layer)
        table[layer * width : layer * width + width - 1, :visible] = _product(at_heads, bank.buffer[:visible])
        visible = graph.visible(layer, mlp=True)
        table[layer * width + width - 1, :visible] = _product(reads.mlp[layer][None], bank.buffer[:visible])[0]
    rows = torch.arange(len(tokens), device=tokens.ids.device)
    assert reads.logits is not None
    table[-1] = torch.einsum("sbd,bd->s", bank.buffer[:, rows, tokens.last], reads.logits)
    return table


def _head_gradients(wiring: Wiring, layer: int, reads: _Reads) -> Tensor:
    """``[3 * H, B, T, d]``: gradients at the stream for every head input."""
    layout = wiring.layouts[layer]
    weights, _ = folded(wiring, layer)
    scaled = reads.scaled[layer]
    rows, width = scaled.shape[:2]
    parts = []
    for part, weight in enumerate(weights):
        groups = layout.n_heads // len(weight)
        g = scaled[:, :, part].flatten(0, 1).unflatten(1, (len(weight), groups))
        back = torch.matmul(g.permute(1, 2, 0, 3).flatten(1, 2), weight.transpose(1, 2))
        parts.append(back.view(layout.n_heads, rows * width, -1))
    gradient = torch.cat(parts)
    if reads.along[layer]:
        along = torch.stack(reads.along[layer], dim=-1).flatten(2, 3).flatten(0, 1)
        normed = torch.stack(reads.normed[layer], dim=-2).flatten(0, 1)
        gradient -= torch.matmul(along, normed).transpose(0, 1)
    return gradient.view(len(gradient), rows, width, -1)


def _product(gradients: Tensor, sources: Tensor) -> Tensor:
    """``[n_gradients, n_sources]`` inner products over B, T and d."""
    return (gradients.flatten(1) @ sources.flatten(1).T).double()
