"""Whether a lens depends on the directions of the stream on which the model depends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.explanation import Explanation
from bench.method import Skip
from bench.metric import Arrays, HandCase, ScoreContext, Undefined
from bench.metrics.rank_agreement import spearman
from bench.metrics.readouts import NO_READER, ReadoutMetric, averaged
from bench.readout.basis import divergence, erased, extract, responses
from bench.readout.data import ReadoutData
from bench.readout.declared import declares, reader_of
from bench.readout.readers import StreamReader

PROMPTS = 64
"""Of validation, on which directions are extracted."""
SILENT = 1e-7
"""Nats below which no direction of a layer does anything."""
MIN_DIRECTIONS = 3


@dataclass
class CausalBasis(ReadoutMetric):
    """Spearman's correlation, over directions, of what erasing each does to the readout and to the model.

    Per layer ``directions`` orthonormal directions are extracted through the lens, on validation: each the one whose
    erasure (its coordinate put at the mean) moves the readout most, in KL, given those before. On test the same KL of
    the readout (the lens's energy) is compared with that of the model's own logits when the direction is erased from
    its stream at the read position. Layers on which nothing in the stream changes from prompt to prompt have no figure.
    Headline: mean over layers; parts ``layer=l``.

    Source: Belrose et al. 2023, arXiv:2303.08112, section 4 (causal basis extraction, mean ablation; at all positions
    there). In [-1, 1], higher is better; lenses alone, since others have no gradient to the stream or none at one
    place. Cost: 1 forward per test example, layer and direction, and 2, and 1 per validation example.
    """

    name: ClassVar[str] = "causal_basis"
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    levels: ClassVar[tuple[str, ...]] = ("layer",)
    directions: int = 8
    iterations: int = 10

    def __post_init__(self) -> None:
        if self.directions < MIN_DIRECTIONS or self.iterations < 1:
            raise ValueError(f"directions={self.directions}, iterations={self.iterations}: 3 and 1 are the least")

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        if not declares(explanation):
            raise Skip(NO_READER)
        data = context.recorded()
        reader = reader_of(explanation, data)
        if not isinstance(reader, StreamReader) or not reader.differentiable:
            raise Skip(f"a {reader.kind} readout has no gradient to the stream")
        bases, means = self._bases(reader, data)
        energy = _energies(reader, data, context.split, bases, means)
        response = torch.cat([responses(data, batch, bases, means) for batch in context.batches()])
        told = [i for i in range(len(bases)) if _speaks(energy[:, i]) and _speaks(response[:, i])]
        if not told:
            raise Undefined("nothing in the stream at the read position changes from prompt to prompt")
        layers = np.array(list(bases))[told]
        return {
            "energy": energy[:, told].double().cpu().numpy(), "response": response[:, told].double().cpu().numpy(),
            "layers": layers, "trivial": np.zeros(len(layers), dtype=bool),
        }  # fmt: skip

    def _bases(self, reader: StreamReader, data: ReadoutData) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
        """Directions ``[k, d]`` and means ``[d]`` by layer, from validation."""
        streams = data.at_end("validation").streams.to(data.engine.device)
        count = min(self.directions, data.engine.d_model - 1)
        bases, means = {}, {}
        for layer in range(data.n_layers):
            stream = streams[:, layer]
            means[layer] = stream.mean(dim=0)
            if float((stream - means[layer]).norm()) > 1e-6 * float(stream.norm()):
                bases[layer] = extract(
                    lambda h, i=layer: reader.of_stream(i, h),  # type: ignore[misc]
                    stream[:PROMPTS], means[layer], count, self.iterations,
                )  # fmt: skip
        if not bases:
            raise Undefined("nothing in the stream at the read position changes from prompt to prompt")
        return bases, means

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        values = spearman(averaged(arrays["energy"], weights), averaged(arrays["response"], weights))
        return self.by_layer(arrays, values)

    @classmethod
    def hand_case(cls) -> HandCase:
        """One layer in full agreement, one the other way round."""
        energy = np.array([[[4.0, 2.0, 1.0], [4.0, 2.0, 1.0]], [[2.0, 2.0, 1.0], [2.0, 2.0, 1.0]]])
        response = np.array([[[9.0, 5.0, 0.0], [0.0, 5.0, 9.0]], [[9.0, 5.0, 0.0], [0.0, 5.0, 9.0]]])
        arrays = {"energy": energy, "response": response, "layers": np.arange(1, 3), "trivial": np.zeros(2, dtype=bool)}
        return HandCase(arrays, {"": 0.0, "layer=1": 1.0, "layer=2": -1.0})


@torch.no_grad()
def _energies(
    reader: StreamReader, data: ReadoutData, split: str, bases: dict[int, Tensor], means: dict[int, Tensor]
) -> Tensor:
    """``[n, n_bases, k]`` on the scored split."""
    streams = data.at_end(split).streams.to(data.engine.device)
    count = len(next(iter(bases.values())))
    found = streams.new_zeros(len(streams), len(bases), count)
    for rows in data.chunks(len(streams)):
        for column, (layer, basis) in enumerate(bases.items()):
            stream = streams[rows, layer]
            base = reader.of_stream(layer, stream).log_softmax(dim=-1)
            for number, direction in enumerate(basis):
                logits = reader.of_stream(layer, erased(stream, means[layer], direction))
                found[rows, column, number] = divergence(base, logits)
    return found


def _speaks(values: Tensor) -> bool:
    """Whether directions ``[n, k]`` do anything, and not all the same."""
    mean = values.mean(dim=0)
    return float(mean.max()) > SILENT and float(mean.max() - mean.min()) > 0
