"""What an architecture is to the training loop: start values, a loss, and the dictionary that comes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.dictionary.training.settings import TrainingSettings
from bench.dictionary.training.streaming import generator

Parameters = dict[str, Tensor]
ENCODER = ("W_enc",)
RESAMPLE, AUXK = "resample", "auxk"


@dataclass
class Parts:
    """One step's loss. Tensors are over a batch of ``B`` scaled tokens."""

    loss: Tensor
    """What is minimised."""
    error: Tensor
    """``[B, d_out]``, detached: target less reconstruction."""
    active: Tensor
    """``[B, d_sae]`` bool."""

    @property
    def l0(self) -> float:
        return float(self.active.sum() / len(self.active))


class Architecture(ABC):
    """Base of all. Activations come scaled to the mean norm :meth:`unit`; a decoder row is a latent's direction."""

    name: ClassVar[str]
    activation: ClassVar[str]
    lr: ClassVar[float]
    betas: ClassVar[tuple[float, float]]
    dead: ClassVar[str] = RESAMPLE
    """How latents that are never active are dealt with: ``resample`` or ``auxk``."""
    tuned: ClassVar[bool] = True
    """Whether a coefficient is tuned towards the L0 target."""
    coefficient: ClassVar[float] = 1.0
    unit_decoder: ClassVar[bool] = True
    """Whether decoder rows are kept at norm 1."""
    apply_b_dec: ClassVar[bool] = True
    """Whether b_dec is taken off the input; never where a transcoder writes another space than it reads."""
    resampled_until: ClassVar[float] = 0.5
    """The share of the steps after which no latent is resampled any more."""
    revived: ClassVar[float] = 0.2
    """Norm of a resampled latent's encoder, as a share of the living ones' mean (Bricken et al. 2023)."""

    def __init__(self, settings: TrainingSettings, transcodes: bool = False) -> None:
        self.settings, self.transcodes = settings, transcodes
        self.centres = self.apply_b_dec and not transcodes

    def unit(self, d: int) -> float:
        """The mean norm that activations are scaled to."""
        return float(d**0.5)

    def start(self, x: Tensor, y: Tensor) -> Parameters:
        """Decoder rows of random directions, the encoder its transpose (Gao et al. 2024), b_dec the mean.

        A frozen encoder or decoder is drawn apart, so that nothing of the frozen side leaks into the other.
        """
        d_sae, (d_in, d_out) = self.settings.d_sae, (x.shape[1], y.shape[1])
        decoder = _unit_rows(d_sae, d_out, self.settings.seed, 2).to(x)
        tied = not self.transcodes and self.settings.frozen == "none"
        encoder = decoder.T.clone() if tied else _unit_rows(d_sae, d_in, self.settings.seed, 3).T.to(x)
        return {
            "W_enc": encoder.contiguous(), "W_dec": decoder, "b_dec": y.mean(dim=0), **self.own(x, encoder),
        }  # fmt: skip

    def own(self, x: Tensor, encoder: Tensor) -> Parameters:
        """Start values of the architecture's own parameters."""
        return {"b_enc": torch.zeros(encoder.shape[1], device=x.device)}

    @abstractmethod
    def parts(self, p: Parameters, x: Tensor, y: Tensor, coefficient: float, dead: Tensor) -> Parts:
        """The loss on a batch; ``dead`` ``[d_sae]`` bool: latents that have long not been active."""

    def finish(self, p: Parameters, batches: Iterable[Tensor]) -> tuple[Parameters, dict[str, Any]]:
        """The dictionary's tensors, and what else it says of itself; ``batches`` of scaled inputs, to calibrate on."""
        return dict(p), {}

    # -- shared pieces

    def pre(self, p: Parameters, x: Tensor) -> Tensor:
        """Pre-activations without a bias."""
        centred = x - p["b_dec"] if self.centres else x
        return (centred @ p["W_enc"]).float()

    def decode(self, p: Parameters, codes: Tensor) -> Tensor:
        return (codes @ p["W_dec"]).float() + p["b_dec"]

    def frozen(self) -> set[str]:
        """Parameters that are not trained."""
        return {"none": set(), "decoder": {"W_dec"}, "encoder": set(ENCODER)}[self.settings.frozen]

    def revive(self, p: Parameters, which: Tensor, inputs: Tensor, directions: Tensor) -> None:
        """Start the latents ``which`` anew: unit ``inputs`` ``[n, d_in]`` to read, ``directions`` to write."""
        alive = torch.ones(p["W_dec"].shape[0], dtype=torch.bool, device=which.device)
        alive[which] = False
        size = p["W_enc"][:, alive].norm(dim=0).mean() if bool(alive.any()) else torch.tensor(1.0)
        if "W_enc" not in self.frozen():
            p["W_enc"][:, which] = (inputs * size * self.revived).T
        if "W_dec" not in self.frozen():
            length = p["W_dec"][alive].norm(dim=1).mean() if bool(alive.any()) else 1.0
            p["W_dec"][which] = directions * length
        for name in ("b_enc", "b_gate", "r_mag", "b_mag"):
            if name in p:
                p[name][which] = 0.0


def _unit_rows(n: int, d: int, *numbers: int) -> Tensor:
    drawn = torch.randn(n, d, generator=generator(*numbers))
    return drawn / drawn.norm(dim=1, keepdim=True)


def squared(error: Tensor) -> Tensor:
    """Mean over tokens of the squared length of the error."""
    return error.square().sum(dim=-1).mean()
