"""What an explanation of the `readout` track says of a model's inside: how it becomes logits. Declarative, no code.

==============  =======================================================  =============================================
kind            tensors and settings                                     logits
==============  =======================================================  =============================================
``lens``        -                                                        lens(h_l): final norm and unembedding
``affine``      ``l.A`` [d, d] and ``l.b`` [d] for layers l; a layer     lens(h_l + A_l h_l + b_l)
                without them is read as by ``lens``
``patchscope``  ``ids``, ``position``, ``layer`` (a number, or null:     those of the prompt ``ids`` with h_l at
                the same one)                                            ``position`` of the stream into ``layer``
``vocabulary``  ``a0.h1.map`` [V, d_in] per head, ``l.bias`` [V];        of a layer: sum over its heads of map . x, plus
                ``space``: ``write`` (d_in = d) or ``z`` (d_in = D)      bias; x is what the head writes, or its output
``tokens``      ``a0.h1.tokens`` [k] and ``a0.h1.coefficients`` [k]      direct logits of what is left of the head's
                per head; ``l.turn`` [d, d], where there is one          write in the span of these tokens' directions;
                                                                         the write is first multiplied by the turn
==============  =======================================================  =============================================

The first three read the stream, at layers 0 (the embeddings) to L (the last residual, which any lens reads as the model
does); the last two read heads, at layers 0 to L - 1. A token's direction is its row of the unembedding with the final
norm's weight and centring folded in; direct logits keep the final norm's scale at the prompt's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data import Tokens
from bench.readout.data import ReadoutData, States

Arrays = Mapping[str, NDArray[Any]]


class ReaderError(ValueError):
    """A reader that breaks its description, or does not fit the model; the message says where."""


class Reader(ABC):
    """A declared readout, bound to a model."""

    kind: ClassVar[str]
    level: ClassVar[str] = "layer"
    differentiable: ClassVar[bool] = False
    """Whether :meth:`of_stream` has a gradient to the stream."""

    def __init__(self, data: ReadoutData, described: Mapping[str, Any], tensors: Arrays) -> None:
        self.data, self.described = data, described
        self.tensors = {name: torch.as_tensor(np.asarray(t)).to(data.engine.device) for name, t in tensors.items()}
        self.check()

    def check(self) -> None:
        """Raise :class:`ReaderError` where the tensors do not fit the model."""
        if self.tensors:
            raise ReaderError(f"a {self.kind} readout has no tensors, and these are: {', '.join(sorted(self.tensors))}")

    @property
    def layers(self) -> range:
        """The layers that are read."""
        return range(self.data.n_layers + 1)

    @abstractmethod
    def logits(self, layer: int, states: States) -> Tensor:
        """``[n, V]`` read at a layer, for states on the engine's device."""

    def _shape(self, name: str, *shape: int) -> None:
        found = tuple(self.tensors[name].shape)
        if found != shape:
            raise ReaderError(f"{name} is {found}; on this model it must be {shape}")


class StreamReader(Reader):
    """A reader of the residual stream."""

    @abstractmethod
    def of_stream(self, layer: int, stream: Tensor) -> Tensor:
        """``[n, V]`` of any stream ``[n, d]`` at a layer."""

    def logits(self, layer: int, states: States) -> Tensor:
        return self.of_stream(layer, states.streams[:, layer])


class LensReader(StreamReader):
    """Final norm and unembedding."""

    kind = "lens"
    differentiable = True

    def of_stream(self, layer: int, stream: Tensor) -> Tensor:
        return self.data.lens(stream)


class AffineReader(LensReader):
    """The same behind an affine map of its own per layer."""

    kind = "affine"

    def check(self) -> None:
        d = self.data.engine.d_model
        for name in self.tensors:
            layer, _, part = name.partition(".")
            if part not in ("A", "b") or not layer.isdigit() or int(layer) not in self.layers:
                raise ReaderError(f"{name!r} is no translator of a model of {self.data.n_layers} layers")
            self._shape(name, *((d, d) if part == "A" else (d,)))

    def of_stream(self, layer: int, stream: Tensor) -> Tensor:
        return self.data.lens(translate(stream, self.tensors.get(f"{layer}.A"), self.tensors.get(f"{layer}.b")))


def translate(stream: Tensor, matrix: Tensor | None, bias: Tensor | None) -> Tensor:
    """h + A h + b, ``[..., d]``; what is None is left out."""
    moved = stream if matrix is None else stream + stream @ matrix.to(stream).T
    return moved if bias is None else moved + bias.to(stream)


class PatchscopeReader(StreamReader):
    """What the model says behind another prompt in which one vector is the stream that is read."""

    kind = "patchscope"

    def check(self) -> None:
        ids, position, layer = (self.described.get(name) for name in ("ids", "position", "layer"))
        vocabulary = self.data.lens.head.weight.shape[0]
        if not isinstance(ids, (list, tuple)) or not ids or not all(0 <= int(i) < vocabulary for i in ids):
            raise ReaderError(f"the target prompt {ids!r} has no token ids of this model")
        if not isinstance(position, int) or not -len(ids) <= position < len(ids):
            raise ReaderError(f"the target prompt of {len(ids)} tokens has no position {position!r}")
        if layer is not None and not (isinstance(layer, int) and layer in self.layers):
            raise ReaderError(f"the target layer {layer!r} is none of 0 to {self.data.n_layers}")
        self.ids, self.position, self.layer = [int(i) for i in ids], position % len(ids), layer
        self.base: dict[Any, Tensor] = {}

    def of_stream(self, layer: int, stream: Tensor) -> Tensor:
        """1 forward of the target prompt per row."""
        from bench.engine.sites import Site
        from bench.engine.swapping import put

        engine, n_layers = self.data.engine, self.data.n_layers
        to = layer if self.layer is None else self.layer
        ids = torch.tensor([self.ids] * len(stream))
        tokens = Tokens(ids, torch.ones_like(ids, dtype=torch.bool)).to(engine.device)

        def patched(x: Tensor) -> Tensor:
            x = x.clone()
            x[:, self.position] = stream.to(x.dtype)
            return x

        site = Site("final") if to == n_layers else Site("stream", to)
        first = min(to, n_layers - 1)
        hidden = self._entering(first).expand(len(stream), -1, -1)
        return put(engine.wiring, engine.cost, tokens, {site: patched}, first, hidden).float()

    def _entering(self, layer: int) -> Tensor:
        """``[1, T, d]``: the stream of the target prompt alone that enters a layer. 1 forward in all."""
        from bench.engine.sites import Site

        if not self.base:
            tokens = Tokens(torch.tensor([self.ids]), torch.ones(1, len(self.ids), dtype=torch.bool))
            sites = [Site("stream", i) for i in range(self.data.n_layers)]
            found = self.data.engine.record(tokens.to(self.data.engine.device), sites)
            self.base = {site.layer: found[site] for site in sites}
        return self.base[layer]
