"""Isolation: does swapping a variable's part leave alone what does not depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.metric import Arrays, HandCase
from bench.metrics.swaps import Swaps
from bench.variable.pairs import ISOLATE


@dataclass
class Isolation(Swaps):
    """Share of pairs with the same value of the variable, but another answer, on which a swap leaves the answer alone.

    Both prompts are answered right and differ in other variables; with the part of this one taken from the source the
    base's answer must stay. Variables that depend on this one have no say, since its value does not change. Doing
    nothing scores 1, so it is read beside ``interchange``.

    Undefined, and its row's reason says so, for an answer variable: where a value allows one answer only (the name to
    say, in ``ioi``), no two prompts share the value and differ in the answer, so there is nothing that a swap could
    carry over by mistake. ``disentangled`` is then undefined too, and ``interchange`` stands alone.

    Source: RAVEL's isolate score (Huang et al. 2024, arXiv:2402.17700). In [0, 1], higher is better. Cost:
    1 forward per pair and site, 2 per example.
    """

    name: ClassVar[str] = "isolation"
    kinds: ClassVar[tuple[str, ...]] = (ISOLATE,)

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        return self.by_site(arrays, self.shares(arrays, ISOLATE, weights))

    @classmethod
    def hand_case(cls) -> HandCase:
        """Two of three examples count; one of them keeps its answer."""
        arrays = {
            "sites": np.array(["stream1@END"]),
            "isolate.counted": np.array([True, False, True]),
            "isolate.target": np.array([5, 6, 7]),
            "isolate.said": np.array([[5], [6], [1]]),
        }
        return HandCase(arrays, {"": 0.5})
