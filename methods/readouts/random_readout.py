"""Readouts drawn at random: what `random` is in the `readout` track."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.method import Job
from bench.readout.data import ReadoutData
from bench.readout.declared import Readout
from bench.readout.method import ReadoutMethod

TOKENS = 50
"""Per head, and never more than its dimensions: as many as head pursuit finds."""


@dataclass
class RandomReadout(ReadoutMethod):
    """A rotation drawn uniformly (Haar), its own per layer: of streams in front of the lens, of what heads write.

    A rotation keeps the stream's length, so that the readout is as sure of itself as the logit lens is. The last
    residual is left as it is: there any lens reads as the model does. Heads are read behind it in the span of random
    tokens, as many as head pursuit finds. Random tokens alone would be no null: a projection keeps a share of all
    directions, the answer's too, so that what they read of a head goes with its direct effect.

    Source: the null of a lens whose directions mean nothing. Sign: half are negative. Cost: 1 forward per example.
    """

    stochastic: ClassVar[bool] = True
    level: str = field(default="layer", metadata={"label": False})  # type: ignore[misc]

    def fit(self, job: Job, data: ReadoutData) -> Readout:
        generator = job.generator()
        if self.level == "head":
            return _tokens(data, generator)
        eye = np.eye(data.engine.d_model, dtype=np.float32)
        tensors = {f"{layer}.A": _turn(len(eye), generator) - eye for layer in range(data.n_layers)}
        return Readout("affine", tensors)


def _turn(d: int, generator: np.random.Generator) -> NDArray[np.float32]:
    q, r = np.linalg.qr(generator.standard_normal((d, d)))
    return np.asarray(q * np.sign(np.diag(r)), dtype=np.float32)


def _tokens(data: ReadoutData, generator: np.random.Generator) -> Readout:
    vocabulary = data.lens.head.weight.shape[0]
    count = min(TOKENS, vocabulary, data.engine.d_head)
    tensors: dict[str, NDArray[Any]] = {
        f"{layer}.turn": _turn(data.engine.d_model, generator) for layer in range(data.n_layers)
    }
    for name in data.head_names:
        tensors[f"{name}.tokens"] = generator.choice(vocabulary, count, replace=False).astype(np.int64)
        tensors[f"{name}.coefficients"] = np.zeros(count, dtype=np.float32)
    return Readout("tokens", tensors)
