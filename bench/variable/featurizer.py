"""What a method says of a place: which part of its vector is the variable. Declarative: numbers and a kind, no code.

A swap takes the part from a source: h' = h + D diag(m) E (h_source - h), with an encoder E ``[k, d]``, a decoder D
``[d, k]``, E D = 1, and a mask m ``[k]`` in [0, 1] (all ones where there is none).

==========  =====================================  =========================================================
kind        tensors                                what is swapped
==========  =====================================  =========================================================
``none``    -                                      nothing (the identity)
``full``    -                                      the whole vector
``mask``    mask [d]                               coordinates (neurons)
``linear``  encoder [k, d], decoder [d, k], mask?  a subspace; orthogonal where D is E's transpose
==========  =====================================  =========================================================

Latents of a sparse dictionary (``latents``), which are not linear and cannot be inverted, are in
:mod:`bench.variable.latents`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]
KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "none": ((), ()), "full": ((), ()), "mask": (("mask",), ()), "linear": (("encoder", "decoder"), ("mask",)),
}  # fmt: skip
"""Tensors that a kind must have, and those that it may have."""
INVERSE = 1e-3
"""How far E D may be from the identity, in its largest entry (float32 tensors)."""


class FeaturizerError(ValueError):
    """A featurizer that breaks its description; the message says where."""


@dataclass(frozen=True)
class Featurizer:
    """A part of the vectors ``[..., d]`` at one place."""

    linear: ClassVar[bool] = True
    """Whether a swap's change is a linear map of source - base: :meth:`part`."""
    kind: str
    d: int
    tensors: Mapping[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check(self)

    def description(self) -> dict[str, Any]:
        """All but the numbers, as plain values."""
        return {"kind": self.kind, "d": self.d, "rank": self.rank}

    @property
    def rank(self) -> int:
        """How many numbers are swapped."""
        if self.kind == "none":
            return 0
        mask = self.tensors.get("mask")
        if mask is not None:
            return int((np.asarray(mask) > 0).sum())
        return self.d if self.kind == "full" else len(self.tensors["encoder"])

    def swap(self, base: Tensor, source: Tensor) -> Tensor:
        """``[n, d]``: ``base`` with the part from ``source``."""
        return base + self.part(source - base)

    def part(self, change: Tensor) -> Tensor:
        """``[n, d]``: the part of a difference that is in the featurizer."""
        if self.kind == "none":
            return torch.zeros_like(change)
        if self.kind == "full":
            return change
        if self.kind == "mask":
            return change * self._tensor("mask", change)
        return self.features(change) @ self._tensor("decoder", change).T

    def features(self, x: Tensor) -> Tensor:
        """``[n, k]``: the part's coordinates, weighted by the mask; what readouts and probes of it look at."""
        if self.kind in ("none", "full"):
            return x[..., : self.rank]
        if self.kind == "mask":
            return x * self._tensor("mask", x)
        found = x @ self._tensor("encoder", x).T
        return found * self._tensor("mask", x) if "mask" in self.tensors else found

    def digest(self) -> str:
        """The same for featurizers that swap the same, to the bit."""
        found = hashlib.sha256(f"{self.kind} {self.d}".encode())
        for name in sorted(self.tensors):
            tensor = np.ascontiguousarray(self.tensors[name])
            found.update(f" {name} {tensor.shape} ".encode() + tensor.tobytes())
        return found.hexdigest()

    def _tensor(self, name: str, like: Tensor) -> Tensor:
        return torch.as_tensor(np.asarray(self.tensors[name]), dtype=like.dtype, device=like.device)

    @classmethod
    def subspace(cls, basis: Any) -> Featurizer:
        """The span of orthonormal rows ``[k, d]``."""
        rows = np.ascontiguousarray(np.asarray(basis, dtype=np.float32))
        return cls("linear", rows.shape[1], {"encoder": rows, "decoder": np.ascontiguousarray(rows.T)})

    @classmethod
    def span(cls, vectors: Any, rank: int | None = None) -> Featurizer:
        """The span of any rows ``[n, d]``, or of their first ``rank`` principal directions; ``none`` if all are 0."""
        rows = np.asarray(vectors, dtype=np.float64)
        _, sizes, basis = np.linalg.svd(rows, full_matrices=False)
        kept = int((sizes > 1e-10 * max(float(sizes[0]), 1e-30)).sum()) if len(sizes) and sizes[0] > 0 else 0
        kept = kept if rank is None else min(kept, rank)
        return cls.subspace(basis[:kept]) if kept else cls("none", rows.shape[1])


def check(featurizer: Featurizer) -> None:
    """Raise :class:`FeaturizerError` where kind, names, shapes or numbers do not fit."""
    if featurizer.kind not in KINDS:
        raise FeaturizerError(f"featurizer kind {featurizer.kind!r} is none of {', '.join(KINDS)}")
    needed, allowed = KINDS[featurizer.kind]
    names = set(featurizer.tensors)
    if not set(needed) <= names <= {*needed, *allowed}:
        raise FeaturizerError(f"a {featurizer.kind} featurizer has the tensors {', '.join(needed) or 'none'}; "
                              f"these are {', '.join(sorted(names)) or 'none'}")  # fmt: skip
    check_numbers(featurizer.tensors)
    _check_shapes(featurizer)


def check_numbers(tensors: Mapping[str, Floats]) -> None:
    """Raise :class:`FeaturizerError` where a tensor is not finite float32."""
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32 or not np.isfinite(tensor).all():
            raise FeaturizerError(f"{name} must be finite float32; it is {tensor.dtype} with "
                                  f"{int((~np.isfinite(tensor)).sum())} other values")  # fmt: skip


def _check_shapes(featurizer: Featurizer) -> None:
    d, tensors = featurizer.d, featurizer.tensors
    k = d if featurizer.kind == "mask" else len(tensors["encoder"]) if featurizer.kind == "linear" else 0
    wanted = {"mask": (k,), "encoder": (k, d), "decoder": (d, k)}
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name]:
            raise FeaturizerError(f"{name} has the shape {tensor.shape}; {wanted[name]} is needed at a place of {d}")
    if "mask" in tensors and ((tensors["mask"] < 0) | (tensors["mask"] > 1)).any():
        raise FeaturizerError("mask has values outside [0, 1]")
    if featurizer.kind == "linear":
        off = float(np.abs(tensors["encoder"] @ tensors["decoder"] - np.eye(k, dtype=np.float32)).max(initial=0.0))
        if off > INVERSE:
            raise FeaturizerError(f"cannot be inverted: encoder @ decoder is off the identity by {off:.2g}")
