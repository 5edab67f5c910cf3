"""The latents whose mean codes differ most between a variable's values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.dictionary.dictionary import Dictionary
from bench.method import Skip
from bench.variable.data import VariableData, VariableError
from bench.variable.featurizer import Featurizer
from bench.variable.latents import LatentFeaturizer, living
from bench.variable.places import Place
from methods.variables.dictionaries import OnLatents
from methods.variables.supervised import examples, fitted

CHOSEN = ("means", "random", "all", "none")


@dataclass
class SaeLatents(OnLatents):
    """``rank`` latents of a sparse dictionary are the variable's: those by which its values move vectors most.

    h' = g(f(h) + m (f(h_source) - f(h))) + e(h), with codes f, a decoder g, the error e = h - g(f(h)) of the base kept,
    and m = 1 at the ``rank`` latents with the largest scatter between values that each writes,
    sum_v n_v / n (mean_v f_j - mean f_j)^2 |d_j|^2 over train, d_j its decoder direction (0: never chosen). The rank is
    that of all methods, one less than there are values: with codes that are not negative, a latent per value takes one
    more. ``method.rank=1,2,4,8`` gives a curve.

    Bounds and controls: ``chosen=all`` and ``chosen=none,swap_error=true`` take every latent, and none but the
    reconstruction error: what the dictionary has of the variable, and what it misses. With both it is the full vector.
    ``chosen=random`` takes latents that vary at the site, ``dictionary=random`` directions that nothing was trained on.
    Not linear, and without an inverse (:mod:`bench.variable.latents`): read it beside ``random_model_gap``.

    Source: latents ranked by the gap of their means, Gurnee et al. 2023 (arXiv:2305.01610) and MIB (Mueller et al.
    2025, arXiv:2504.13151), which keeps the error; the dictionary, Bussmann et al. 2024 (arXiv:2412.06410). No sign: a
    set of latents. Cost: that of choosing the site, and 2 forwards per train and 1 per validation example.
    """

    name: ClassVar[str] = "sae_latents"
    stochastic: ClassVar[bool] = True
    chosen: str = "means"
    swap_error: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chosen not in CHOSEN:
            raise ValueError(f"chosen={self.chosen}: use one of {', '.join(CHOSEN)}")

    def fit(self, data: VariableData, place: Place, seed: int) -> Featurizer:
        dictionary = self.dictionary_at(data, place, seed)
        mask = np.zeros(dictionary.d_sae, dtype=np.float32)
        mask[self._latents(data, place, dictionary, seed)] = 1
        return LatentFeaturizer.of(dictionary, mask, float(self.swap_error))

    def _latents(self, data: VariableData, place: Place, dictionary: Dictionary, seed: int) -> np.ndarray | slice:
        """Which latents are swapped."""
        if self.chosen in ("all", "none"):
            return slice(None) if self.chosen == "all" else slice(0)
        rank = self.rank_at(data, place)
        if self.chosen == "random":
            alive = living(dictionary, data.vectors("train", place)).numpy()
            found = np.random.default_rng([seed, 23]).permutation(alive)[:rank]
        else:
            scores = self._scatter(data, place, dictionary).numpy()
            found = np.argsort(-scores, kind="stable")[: min(rank, int((scores > 0).sum()))]
        if len(found) < rank and self.rank is not None:
            raise Skip(f"rank={rank}: {len(found)} latents vary with the values at {place}")
        return found

    def _scatter(self, data: VariableData, place: Place, dictionary: Dictionary) -> Tensor:
        """``[d_sae]``: how much each latent's part of the vector varies between values."""
        try:
            found = examples(data, place, fitted(data))
        except VariableError as error:
            raise Skip(str(error)) from error
        codes = dictionary.encode(torch.as_tensor(found.x, dtype=torch.float32)).double()
        y = torch.as_tensor(found.y)
        means = torch.stack([codes[y == value].mean(dim=0) for value in range(found.n_values)])
        shares = torch.bincount(y).double() / len(y)
        between = shares @ (means - codes.mean(dim=0)).square()
        return between * dictionary.tensors["W_dec"].double().square().sum(dim=1)
