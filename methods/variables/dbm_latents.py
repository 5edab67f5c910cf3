"""Differential binary masking over the latents of a sparse dictionary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.dictionary.dictionary import Dictionary
from bench.method import Skip
from bench.variable.data import VariableData
from bench.variable.featurizer import Featurizer
from bench.variable.latents import LatentFeaturizer, living, swapped
from bench.variable.places import Place
from methods.variables.dictionaries import OnLatents
from methods.variables.masking import Mask, MaskedCoordinates


class Holder:
    """What is found before training; no dataclass, so that it is no parameter."""

    of: Dictionary


@dataclass
class DbmLatents(Holder, OnLatents, MaskedCoordinates):
    """DBM over the latents of a sparse dictionary, the reconstruction error of the base kept.

    h' = g(f(h) + sigmoid(m / T) (f(h_source) - f(h))) + e(h), with codes f, a decoder g and the error e = h - g(f(h)).
    The mask is over the latents whose codes vary at the site on train, so that the price of one does not depend on how
    many are dead; all else as :class:`methods.variables.dbm.Dbm`. The dictionary is not trained any further, and where
    it comes from is said in :class:`methods.variables.dictionaries.OnLatents`. Not linear, and without an inverse
    (:mod:`bench.variable.latents`): read it beside ``random_model_gap``.

    Source: MIB's causal-variable track (Mueller et al. 2025, arXiv:2504.13151), after De Cao et al. 2020
    (arXiv:2004.14992). No sign: a set of latents. Cost: that of choosing the site, and 3 + steps / minibatches forwards
    and steps / minibatches backwards per train example (of those whose pair counts), 1 forward per validation example.
    """

    name: ClassVar[str] = "dbm_latents"

    def fit(self, data: VariableData, place: Place, seed: int) -> Featurizer:
        self.of = self.dictionary_at(data, place, seed)  # here, where it is shared with other methods
        return super().fit(data, place, seed)

    def coordinates(self, data: VariableData, place: Place) -> None:
        return None

    def part(self, data: VariableData, place: Place, generator: torch.Generator) -> LatentMask:
        alive = living(self.of, data.vectors("train", place))
        if not len(alive):
            raise Skip(f"no latent varies at {place}: there is nothing to mask")
        if self.rank is not None and not 1 <= self.rank <= len(alive):
            raise Skip(f"rank={self.rank}: {len(alive)} latents vary at {place}")
        return LatentMask(self.of, alive, self.penalty, self.rank)


class LatentMask(Mask):
    """A mask over some latents that sharpens; the others stay the base's."""

    def __init__(self, dictionary: Dictionary, alive: Tensor, penalty: float, rank: int | None) -> None:
        super().__init__(None, len(alive), dictionary.d_in, penalty, rank)
        self.dictionary, self.alive = dictionary, alive

    def swap(self, base: Tensor, change: Tensor) -> Tensor:
        dictionary = self.dictionary.to(base.device, base.dtype)
        mask = torch.zeros(dictionary.d_sae, dtype=base.dtype).index_put((self.alive,), self.mask())
        return swapped(dictionary, base, base + change, mask)

    def forward(self, change: Tensor) -> Tensor:
        raise NotImplementedError("latents are not linear: a difference has no part in them")

    def featurizer(self) -> Featurizer:
        mask = np.zeros(self.dictionary.d_sae, dtype=np.float32)
        mask[self.alive.numpy()] = self.kept()
        return LatentFeaturizer.of(self.dictionary, mask)
