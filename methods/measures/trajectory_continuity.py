"""Trajectory continuity: how straight a token's way through the layers is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.graph import ComponentGraph
from bench.readout.continuity import Continuity
from methods.measures.base import LayerMeasure


@dataclass
class TrajectoryContinuity(LayerMeasure):
    """Straightness of a token's path through the streams; control: steps at right angles, or blocks in random order.

    ``form=line_shape``: length of the mean unit step up to each stream, the reciprocal of the line-shape score;
    ``control=order`` puts the streams in random order instead.
    ``form=cosine``: cosine of what consecutive blocks add.

    Source: Gai and Zhang 2021, arXiv:2102.09235; Aubry et al. 2024, arXiv:2407.07810. No sign: 1 is a straight line,
    and cosines below 0 are ways back; published above the control.
    Cost: 1 forward per example.
    """

    name: ClassVar[str] = "trajectory_continuity"
    form: str = "line_shape"
    positions: str = "last"
    draws: int = 20
    seed_of_control: int = 0
    control: str = "orthogonal"

    def measure(self) -> Continuity:
        return Continuity(self.form, self.positions, self.draws, self.seed_of_control, self.control)

    def passes(self, graph: ComponentGraph) -> tuple[float, float]:
        return 1.0, 0.0
