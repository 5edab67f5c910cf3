"""The architectures that can be planted, by the name that a `Shape` gives."""

from __future__ import annotations

from bench.planting.gpt2 import GPT2
from bench.planting.llama import Llama
from bench.planting.model import PlantedModel, Shape
from bench.planting.neox import NeoX

ARCHITECTURES: dict[str, type[PlantedModel]] = {"gpt2": GPT2, "llama": Llama, "neox": NeoX}


def build(shape: Shape) -> PlantedModel:
    """A model with random weights; raises ValueError for an architecture that is not there."""
    if shape.arch not in ARCHITECTURES:
        raise ValueError(f"arch={shape.arch!r}: use one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[shape.arch](shape)
