"""Planting from first weights that match."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bench.planting.evidence.planting import Planting
from bench.planting.matching.weights import Codes, matched
from bench.planting.model import PlantedModel

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Matched(Planting):
    """Planting of which every training goes on from :func:`bench.planting.matching.weights.matched`."""

    codes: Codes = field(default_factory=lambda: Codes(12))

    def code_files(self) -> list[Path]:
        """See :class:`Planting`: the first weights' code is among them."""
        return [*super().code_files(), HERE / "weights.py"]

    def _start(self, seed: int, variant: str | None, start: Path | None) -> PlantedModel | None:
        return matched(self.spec_of(seed, variant), self.codes, seed)
