"""A variable in the latents of a sparse dictionary: the one featurizer that is not linear.

With codes f(x) and a decoder g, the swap takes the codes of some latents from the source and leaves the base its
reconstruction error:

    h' = g(f(h) + m (f(h_source) - f(h))) + e(h),  e(h) = h - g(f(h)),

with a mask m ``[d_sae]`` in [0, 1]. A decoder that needs its input for a scale gets the base's.

**It has no inverse.** Vectors differ in what no latent says, so the codes of a place do not determine the vector, and
the swap of *all* latents is not the swap of the whole vector: it is h_source less the difference of the two errors,
h_source - (e(h_source) - e(h)). Only with the error swapped too (``error``, a weight w in [0, 1]: + w (e(h_source) -
e(h))) is it h_source, whatever the dictionary. So the full vector's figure bounds what all latents and the error reach
together; all latents alone, and the error alone, say how much of it went through the one and past it in the other.

Source: MIB's featurizer of sparse autoencoders adds the error back (Mueller et al. 2025, arXiv:2504.13151), after
Marks et al. 2024 (arXiv:2403.19647).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.dictionary.dictionary import Dictionary, DictionaryError
from bench.dictionary.files import arrays, describe, of_description
from bench.variable.featurizer import Featurizer, FeaturizerError, Floats, check_numbers

KIND = "latents"
OWN = ("mask", "error")
"""Tensors beside the dictionary's: a weight per latent ``[d_sae]``, and, where it is swapped, the error's ``[1]``."""


def swapped(dictionary: Dictionary, base: Tensor, source: Tensor, mask: Tensor, error: float = 0.0) -> Tensor:
    """``[n, d]``: ``base`` with the latents of ``mask`` ``[d_sae]`` from ``source``; differentiable in all three."""
    own, other = dictionary.encode(base), dictionary.encode(source)
    kept = dictionary.decode(own, base)
    new = base + (dictionary.decode(own + mask * (other - own), base) - kept)  # nothing swapped is nothing changed
    return new + error * ((source - dictionary.decode(other, base)) - (base - kept)) if error else new


@dataclass(frozen=True)
class LatentFeaturizer(Featurizer):
    """Some latents of a dictionary ``[d_in = d]``; numbers and words, as every featurizer."""

    linear: ClassVar[bool] = False
    words: Mapping[str, Any] = field(default_factory=dict)
    """The dictionary's, as :func:`bench.dictionary.files.describe` gives them."""
    dictionary: Dictionary = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_numbers(self.tensors)
        numbers = {name: tensor for name, tensor in self.tensors.items() if name not in OWN}
        try:
            found = of_description(self.words, numbers)
        except (DictionaryError, AttributeError, TypeError, ValueError) as error:
            raise FeaturizerError(f"the dictionary of a featurizer: {error}") from error
        object.__setattr__(self, "dictionary", found)
        _check(self)

    @classmethod
    def of(cls, dictionary: Dictionary, mask: Any, error: float = 0.0) -> LatentFeaturizer:
        """``mask`` ``[d_sae]``: how much of each latent comes from the source; ``error``: how much of its error."""
        own = {"mask": np.asarray(mask, dtype=np.float32)}
        own |= {"error": np.array([error], dtype=np.float32)} if error else {}
        return cls(KIND, dictionary.d_in, {**arrays(dictionary), **own}, describe(dictionary))

    @classmethod
    def described(cls, words: Mapping[str, Any], tensors: Mapping[str, Floats]) -> LatentFeaturizer:
        """From what :meth:`description` said and the tensors; raises :class:`FeaturizerError`, or ``KeyError``."""
        if not isinstance(words["dictionary"], Mapping):
            raise FeaturizerError("the words of a featurizer's dictionary are no JSON object")
        return cls(KIND, int(words["d"]), tensors, words["dictionary"])

    def description(self) -> dict[str, Any]:
        return {**super().description(), "dictionary": dict(self.words)}

    @property
    def rank(self) -> int:
        """How many latents are swapped; the error counts with all its dimensions."""
        latents = int((np.asarray(self.tensors["mask"]) > 0).sum())
        return latents + (self.d if self._error() else 0)

    def swap(self, base: Tensor, source: Tensor) -> Tensor:
        dictionary = self.dictionary.to(base.device, base.dtype)
        return swapped(dictionary, base, source, self._tensor("mask", base), self._error())

    def part(self, change: Tensor) -> Tensor:
        """There is none: what a swap adds depends on the base and the source, not on their difference alone."""
        raise FeaturizerError("a featurizer of latents is not linear: a difference of vectors has no part in it")

    def features(self, x: Tensor) -> Tensor:
        """``[n, k]``: the codes of the latents that are swapped, weighted by the mask."""
        mask = self._tensor("mask", x)
        return self.dictionary.to(x.device, x.dtype).encode(x)[..., mask > 0] * mask[mask > 0]

    def _error(self) -> float:
        return float(self.tensors["error"][0]) if "error" in self.tensors else 0.0


def _check(featurizer: LatentFeaturizer) -> None:
    dictionary, d = featurizer.dictionary, featurizer.d
    if dictionary.is_transcoder or "W_skip" in dictionary.tensors:
        raise FeaturizerError(f"a transcoder of {dictionary.reads} writes {dictionary.site}: it has no error to keep")
    if dictionary.d_in != d:
        raise FeaturizerError(f"the dictionary has {dictionary.d_in} dimensions; {d} are needed at this place")
    for name, size in (("mask", dictionary.d_sae), ("error", 1)):
        tensor = featurizer.tensors.get(name)
        if tensor is None and name == "error":
            continue
        if tensor is None or tensor.shape != (size,):
            found = "missing" if tensor is None else f"of the shape {tensor.shape}"
            raise FeaturizerError(f"{name} is {found}; a number for each of {size} is needed")
        if ((tensor < 0) | (tensor > 1)).any():
            raise FeaturizerError(f"{name} has values outside [0, 1]")


def living(dictionary: Dictionary, vectors: Tensor) -> Tensor:
    """Indices of the latents whose codes vary over ``vectors`` ``[n, d]``: the others swap nothing."""
    codes = dictionary.to(vectors.device, vectors.dtype).encode(vectors)
    return torch.nonzero((codes != codes[:1]).any(dim=0)).flatten()
