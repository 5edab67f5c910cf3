"""Readers of attention heads; a layer's logits are the sum of its heads'."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from bench.readout.data import States
from bench.readout.readers import Reader, ReaderError

SPACES = ("write", "z")


class HeadReader(Reader):
    """A reader with a readout per head: linear in what the head gives, so that differences need no vocabulary."""

    level = "head"

    @property
    def layers(self) -> range:
        return range(self.data.n_layers)

    @property
    def n_heads(self) -> int:
        return self.data.engine.graph.n_heads

    @abstractmethod
    def differences(self, layer: int, states: States, answer: Tensor, wrong: Tensor) -> Tensor:
        """``[n, H]``: each head's logit of ``answer`` ``[n]`` less that of ``wrong`` ``[n]``."""

    def names(self, layer: int) -> list[str]:
        """The heads of a layer."""
        return [f"a{layer}.h{head}" for head in range(self.n_heads)]

    def _demand(self, parts: tuple[str, ...]) -> None:
        for layer in self.layers:
            for name in self.names(layer):
                if missing := [part for part in parts if f"{name}.{part}" not in self.tensors]:
                    raise ReaderError(f"{name} has no {' and no '.join(missing)}")


class VocabularyReader(HeadReader):
    """A linear map of its own per head."""

    kind = "vocabulary"

    @property
    def layers(self) -> range:
        """All layers, or the one alone that ``only`` names."""
        only = self.described.get("only")
        return super().layers if only is None else range(int(only), int(only) + 1)

    def check(self) -> None:
        engine = self.data.engine
        if self.described.get("space") not in SPACES:
            raise ReaderError(f"space={self.described.get('space')!r}: use one of {', '.join(SPACES)}")
        if self.layers.start not in range(self.data.n_layers):
            raise ReaderError(f"the model has no layer {self.layers.start}")
        self._demand(("map",))
        width = engine.d_model if self.described["space"] == "write" else engine.d_head
        vocabulary = self.data.lens.head.weight.shape[0]
        for layer in self.layers:
            for name in self.names(layer):
                self._shape(f"{name}.map", vocabulary, width)
        self.maps = {i: torch.stack([self.tensors[f"{n}.map"] for n in self.names(i)]) for i in self.layers}

    def inputs(self, layer: int, states: States) -> Tensor:
        """``[n, H, d_in]``"""
        heads = states.heads[:, layer]
        return self.data.writes(layer, heads) if self.described["space"] == "write" else heads

    def logits(self, layer: int, states: States) -> Tensor:
        total = torch.einsum("nhi,hvi->nv", self.inputs(layer, states), self.maps[layer])
        bias = self.tensors.get(f"{layer}.bias")
        return total if bias is None else total + bias

    def differences(self, layer: int, states: States, answer: Tensor, wrong: Tensor) -> Tensor:
        maps, x = self.maps[layer], self.inputs(layer, states)
        return torch.einsum("nhi,hni->nh", x, maps[:, answer] - maps[:, wrong])


class TokensReader(HeadReader):
    """The part of each head's write that lies in the span of a few tokens' directions, and its direct logits."""

    kind = "tokens"

    def check(self) -> None:
        from bench.engine.weights import unembedding

        self._demand(("tokens", "coefficients"))
        self.directions = unembedding(self.data.engine.wiring).T.float()
        self.turns = {i: self.tensors[f"{i}.turn"] for i in self.layers if f"{i}.turn" in self.tensors}
        for layer in self.turns:
            self._shape(f"{layer}.turn", self.data.engine.d_model, self.data.engine.d_model)
        for name, tensor in self.tensors.items():
            if name.endswith(".turn"):
                continue
            ids = self.tensors[name.rpartition(".")[0] + ".tokens"]
            if tensor.dim() != 1 or len(tensor) != len(ids):
                raise ReaderError(f"{name} is {tuple(tensor.shape)}, with {len(ids)} tokens")
            if name.endswith(".tokens") and bool(((tensor < 0) | (tensor >= len(self.directions))).any()):
                raise ReaderError(f"{name} has ids that are no tokens of this model")
        self.projections = {i: torch.stack([self._projection(name) for name in self.names(i)]) for i in self.layers}

    def _projection(self, name: str) -> Tensor:
        """``[d, d]`` onto the span of the head's tokens."""
        return onto(self.directions[self.tensors[f"{name}.tokens"].long()])

    def kept(self, layer: int, states: States) -> Tensor:
        """``[n, H, d]``: what the tokens explain of each head's write, times the final norm's scale."""
        written = self.data.lens.norm.centre(self.data.writes(layer, states.heads[:, layer]))
        written = written @ self.turns[layer].to(written).T if layer in self.turns else written
        norm = self.data.lens.norm
        scale = norm.rstd(norm.centre(states.final))[:, None]
        return torch.einsum("nhd,hde->nhe", written, self.projections[layer]) * scale

    def logits(self, layer: int, states: States) -> Tensor:
        return self.kept(layer, states).sum(dim=1) @ self.directions.T

    def differences(self, layer: int, states: States, answer: Tensor, wrong: Tensor) -> Tensor:
        return torch.einsum("nhd,nd->nh", self.kept(layer, states), self.directions[answer] - self.directions[wrong])


def onto(rows: Tensor) -> Tensor:
    """``[d, d]``: the orthogonal projection onto the span of ``rows`` ``[k, d]``; zero where there are none."""
    if not len(rows):
        return rows.new_zeros(rows.shape[1], rows.shape[1])
    _, singular, v = torch.linalg.svd(rows.double(), full_matrices=False)
    basis = v[singular > 1e-6 * singular[0]]
    return (basis.T @ basis).to(rows.dtype)
