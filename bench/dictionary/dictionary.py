"""A sparse dictionary at a site: numbers and names, no code.

With the activations x ``[..., d_in]`` scaled to z (see :attr:`Dictionary.scaling`), the pre-activations
p = (z - b_dec) W_enc + b_enc (b_dec only with :attr:`Dictionary.apply_b_dec_to_input`), codes f(p) and the
reconstruction f(p) W_dec + b_dec (+ x W_skip), scaled back:

===========  ============================  =================================================================
activation   tensors beside W_enc, W_dec,  codes
             b_enc and b_dec
===========  ============================  =================================================================
``relu``                                   max(p, 0)
``gated``    b_gate, r_mag, b_mag          max(q exp(r_mag) + b_mag, 0) where q + b_gate > 0, q = p without bias
             (in place of b_enc)
``topk``                                   max(p, 0) at each token's k largest p
``jumprelu`` threshold                     max(p, 0) where p > threshold
``abstopk``                                p at each token's k largest \\|p\\| (signed)
``linear``                                 p (signed)
===========  ============================  =================================================================

An architecture is how a dictionary was trained; ``batchtopk`` and ``matryoshka`` are read with a threshold (Bussmann et
al. 2024, arXiv:2412.06410, section 3), so that a token's codes do not depend on what else is in its batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

ARCHITECTURES = {
    "relu": "relu", "gated": "gated", "topk": "topk", "batchtopk": "jumprelu", "jumprelu": "jumprelu",
    "matryoshka": "jumprelu", "transcoder": "relu", "linear": "linear",
}  # fmt: skip
"""The activation of each architecture where none is declared; ``linear`` is for PCA, neurons and the like."""
ACTIVATIONS = ("relu", "gated", "topk", "jumprelu", "abstopk", "linear")
SCALINGS = ("none", "constant", "constant_norm", "layer_norm")
EPS = 1e-5
"""What :attr:`Dictionary.scaling` ``layer_norm`` adds to the standard deviation, as SAELens does."""


class DictionaryError(ValueError):
    """A dictionary that breaks its description, or does not fit what it is asked of; the message says where."""


@dataclass(frozen=True, eq=False)
class Dictionary:
    """A dictionary of ``d_sae`` latents for activations of ``d_in`` numbers (a transcoder writes ``d_out``)."""

    architecture: str
    site: str
    """What is reconstructed, like ``stream3`` or ``m2``: :mod:`bench.dictionary.sites`."""
    tensors: Mapping[str, Tensor]
    """float32: W_enc ``[d_in, d_sae]``, W_dec ``[d_sae, d_out]``, b_enc ``[d_sae]``, b_dec ``[d_out]``; threshold,
    b_gate, r_mag, b_mag ``[d_sae]`` and W_skip ``[d_in, d_out]`` where the module's table has them."""
    activation: str = ""
    """One of :data:`ACTIVATIONS`; empty: the architecture's."""
    reads: str = ""
    """A transcoder's input, like ``mlp_in2``; empty: :attr:`site`."""
    k: int | None = None
    """Latents per token of ``topk`` and ``abstopk``."""
    apply_b_dec_to_input: bool = True
    scaling: str = "none"
    """``constant``: x times :attr:`scale`; ``constant_norm``: to the norm sqrt(d_in) per token; ``layer_norm``: mean 0
    and standard deviation 1 per token. The reconstruction is scaled back."""
    scale: float = 1.0
    output_scale: float | None = None
    """A transcoder's scale of what it writes (``constant`` only); None: :attr:`scale`."""
    groups: tuple[int, ...] = ()
    """Matryoshka: how many latents each prefix has, ascending to d_sae."""
    l0: float | None = None
    """The mean number of active latents per token that is declared."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Who made it from what: plain values (JSON)."""

    def __post_init__(self) -> None:
        from bench.dictionary.checking import check

        if not self.activation:
            object.__setattr__(self, "activation", ARCHITECTURES.get(self.architecture, ""))
        if not self.reads:
            object.__setattr__(self, "reads", self.site)
        check(self)

    @property
    def d_in(self) -> int:
        return self.tensors["W_enc"].shape[0]

    @property
    def d_sae(self) -> int:
        return self.tensors["W_enc"].shape[1]

    @property
    def d_out(self) -> int:
        return self.tensors["W_dec"].shape[1]

    @property
    def is_transcoder(self) -> bool:
        """Whether it writes another site than it reads."""
        return self.reads != self.site

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> Dictionary:
        """The same with its tensors there; codes come in ``dtype``'s precision only if it is asked for."""
        return replace(self, tensors={name: tensor.to(device, dtype) for name, tensor in self.tensors.items()})

    # -- the maps

    def pre_activations(self, x: Tensor) -> Tensor:
        """``[..., d_sae]``: p of the module's table (for ``gated`` without a bias)."""
        self._fits(x, self.d_in, self.reads)
        z = self._scaled(x)
        if self.apply_b_dec_to_input:
            z = z - self.tensors["b_dec"]
        p = z @ self.tensors["W_enc"]
        return p if self.activation == "gated" else p + self.tensors["b_enc"]

    def encode(self, x: Tensor) -> Tensor:
        """``[..., d_sae]``: the codes of activations ``[..., d_in]``; 0 where a latent is not active."""
        p = self.pre_activations(x)
        if self.activation == "relu":
            return p.relu()
        if self.activation == "gated":
            magnitude = p * self.tensors["r_mag"].exp() + self.tensors["b_mag"]
            return magnitude.relu() * (p + self.tensors["b_gate"] > 0)
        if self.activation == "jumprelu":
            return p.relu() * (p > self.tensors["threshold"])
        if self.activation == "linear":
            return p
        assert self.k is not None
        ranked = p.abs() if self.activation == "abstopk" else p
        kept = torch.zeros_like(p).scatter_(-1, ranked.topk(self.k, dim=-1).indices, 1.0) * p
        return kept if self.activation == "abstopk" else kept.relu()

    def decode(self, codes: Tensor, x: Tensor | None = None) -> Tensor:
        """``[..., d_out]``: the reconstruction from codes ``[..., d_sae]``.

        ``x`` ``[..., d_in]``, the activations that they are the codes of, is needed where :attr:`needs_input`.
        """
        if codes.shape[-1] != self.d_sae:
            raise DictionaryError(
                f"codes have {codes.shape[-1]} latents; the dictionary at {self.site} has {self.d_sae}"
            )
        if x is None and self.needs_input:
            raise DictionaryError(f"decoding with scaling={self.scaling} or W_skip needs the activations too")
        y = codes @ self.tensors["W_dec"] + self.tensors["b_dec"]
        if x is not None and "W_skip" in self.tensors:
            y = y + self._scaled(x) @ self.tensors["W_skip"]
        return self._unscaled(y, x)

    def reconstruct(self, x: Tensor) -> Tensor:
        """``[..., d_out]``: decoded codes of ``x``."""
        return self.decode(self.encode(x), x)

    def error(self, x: Tensor, target: Tensor | None = None) -> Tensor:
        """``[..., d_out]``: what the reconstruction leaves of ``target`` (of ``x``, except for transcoders)."""
        if target is None and self.is_transcoder:
            raise DictionaryError(f"the error of a transcoder of {self.reads} needs the activations at {self.site}")
        target = x if target is None else target
        self._fits(target, self.d_out, self.site)
        return target - self.reconstruct(x)

    @property
    def needs_input(self) -> bool:
        """Whether decoding depends on the activations, through their scale or a skip connection."""
        return self.scaling in ("constant_norm", "layer_norm") or "W_skip" in self.tensors

    # -- scaling

    def _scaled(self, x: Tensor) -> Tensor:
        if self.scaling == "none":
            return x
        if self.scaling == "constant":
            return x * self.scale
        mean, size = self._moments(x)
        return (x - mean) / size

    def gain(self, x: Tensor) -> Tensor:
        """``[..., 1]``: what ``codes @ W_dec`` is multiplied by on its way back to the scale of the activations."""
        if self.scaling == "none":
            return torch.ones_like(x[..., :1])
        if self.scaling == "constant":
            scale = self.scale if self.output_scale is None else self.output_scale
            return torch.full_like(x[..., :1], 1 / scale)
        size = self._moments(x)[1]
        return size - EPS if self.scaling == "layer_norm" else size

    def _unscaled(self, y: Tensor, x: Tensor | None) -> Tensor:
        if self.scaling == "none":
            return y
        if self.scaling == "constant":
            return y / (self.scale if self.output_scale is None else self.output_scale)
        assert x is not None
        y = y * self.gain(x)
        return y + self._moments(x)[0] if self.scaling == "layer_norm" else y

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What is taken off each token, and what it is divided by, ``[..., 1]``."""
        if self.scaling == "constant_norm":
            return torch.zeros_like(x[..., :1]), x.norm(dim=-1, keepdim=True) / self.d_in**0.5
        return x.mean(dim=-1, keepdim=True), x.std(dim=-1, keepdim=True) + EPS

    def _fits(self, x: Tensor, width: int, site: str) -> None:
        if x.shape[-1] != width:
            raise DictionaryError(f"activations have {x.shape[-1]} dimensions; the dictionary at {site} has {width}")
