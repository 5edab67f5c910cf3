"""What the metrics over sizes share about how circuits are selected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.explanation import Explanation
from bench.features.latents import LEVEL
from bench.metric import Arrays, Metric, ScoreContext
from bench.scoring.choosing import SELECTIONS, selections
from bench.scoring.selection import TIE_DRAWS, Ranking

OWN_FLOOR = "own_floor"


@dataclass
class Selecting(Metric):
    """A metric whose circuits ``select`` chooses (see :mod:`bench.scoring.choosing`)."""

    objective: str = "logit_diff"
    tie_draws: int = TIE_DRAWS
    select: str = "top"

    def __post_init__(self) -> None:
        if self.select not in SELECTIONS:
            raise ValueError(f"select={self.select!r} is none of {', '.join(SELECTIONS)}")

    def selections(self, explanation: Explanation, context: ScoreContext) -> Sequence[Ranking]:
        """The circuits of every size, once for each order of random ties."""
        return selections(explanation, context, self.absolute, self.tie_draws, self.select)

    def with_floor(self, explanation: Explanation, arrays: Arrays) -> Arrays:
        """``arrays``, marked where the floor is the null's mean: rows of other latents have another floor each."""
        return {**arrays, OWN_FLOOR: np.array(True)} if explanation.level == LEVEL else arrays

    def floors(self, arrays: Arrays) -> Mapping[str, float]:
        """The mean of random rankings of the explanation's own components, for those that bring their own."""
        if OWN_FLOOR not in arrays:
            return {}
        return {suffix: float(np.mean(drawn)) for suffix, drawn in self.p_draws(arrays).items()}

    def null_measures(self, explanation: Explanation, context: ScoreContext, arrays: Arrays) -> Iterator[Arrays]:
        """Random rankings, from which circuits are selected alike; a bootstrap of them would be the method's again."""
        plain = replace(self, select="top") if self.select == "bootstrap" else self
        yield from super(Selecting, plain).null_measures(explanation, context, arrays)
