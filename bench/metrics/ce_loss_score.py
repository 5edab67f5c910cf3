"""How much of the model's loss a dictionary's reconstruction keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench.dictionary.judging import of, parts
from bench.dictionary.splicing import losses, splice, zero
from bench.explanation import Explanation
from bench.metric import Arrays, HandCase, ScoreContext
from bench.metrics.dictionaries import OnTokens, weighted


@dataclass
class CeLossScore(OnTokens):
    """(CE_zero - CE_sae) / (CE_zero - CE_clean): 1 where nothing is lost, 0 where the reconstruction is worth nothing.

    CE_sae has the reconstruction at the site, and CE_zero zeros, at every token but the first ``skip`` of its row. On
    the task's prompts the cross-entropy is that of the right answer, on ``text`` that of every next token behind a
    replaced one. Undefined where the interval of CE_zero - CE_clean contains 0: the site does not matter there.

    Source: Gurnee et al. and SAEBench (Karvonen et al. 2025, arXiv:2503.09532), their loss recovered. Unbounded (above
    1 where the model gains from what is left out); higher is better; floor 0. Cost: 3 forwards per example.
    """

    name: ClassVar[str] = "ce_loss_score"
    direction: ClassVar[int] = 1

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        dictionary, engine = of(explanation, context.engine), context.engine
        table = torch.zeros(4, context.n_examples, dtype=torch.float64)
        for part in parts(context, self.material):
            runs: tuple[Any, ...] = (
                {},
                splice(engine, dictionary, part.counted),
                zero(engine, dictionary, part.counted),
            )
            found = [losses(engine, part, taps) for taps in runs]
            for row, values in zip(table, [found[0][1], *(loss for loss, _ in found)], strict=True):
                row.index_add_(0, part.slots.cpu(), values.cpu())
        names = ("tokens.counted", "clean", "sae", "zero")
        return {name: row.numpy() for name, row in zip(names, table, strict=True)}

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        clean, sae, zeroed = (weighted(arrays[name], weights) for name in ("clean", "sae", "zero"))
        with np.errstate(invalid="ignore", divide="ignore"):
            return {"": np.asarray((zeroed - sae) / (zeroed - clean))}

    def denominator(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> NDArray[Any]:
        return weighted(arrays["zero"] - arrays["clean"], weights)

    def floors(self, arrays: Arrays) -> Mapping[str, float]:
        return {"": 0.0}

    @classmethod
    def hand_case(cls) -> HandCase:
        """Sums over two examples: clean 2, with the reconstruction 3, with zeros 6: (6 - 3) / (6 - 2)."""
        arrays = {
            "tokens.counted": np.array([2.0, 1.0]), "clean": np.array([1.5, 0.5]), "sae": np.array([2.0, 1.0]),
            "zero": np.array([4.0, 2.0]),
        }  # fmt: skip
        return HandCase(arrays, {"": 0.75})
