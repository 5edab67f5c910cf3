"""How much of the model's loss a dictionary's reconstruction keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench.dictionary.dictionary import Dictionary
from bench.dictionary.judging import Part, of, parts
from bench.dictionary.splicing import losses, splice, zero
from bench.engine.sites import Site, Tap
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
    1 where the model gains from what is left out); higher is better; floor 0. Cost: 3 forwards per example, 2 of
    them shared by the dictionaries of a job at one site.
    """

    name: ClassVar[str] = "ce_loss_score"
    direction: ClassVar[int] = 1

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        dictionary, engine = of(explanation, context.engine), context.engine
        spliced, counted = self._total(context, lambda part: splice(engine, dictionary, part.counted))
        clean, zeroed = self._ends(context, dictionary)
        return {"tokens.counted": counted, "clean": clean, "sae": spliced, "zero": zeroed}

    def _ends(self, context: ScoreContext, dictionary: Dictionary) -> tuple[NDArray[Any], NDArray[Any]]:
        """Losses of the model as it is, and with zeros at the site: the same for all dictionaries there."""
        key = ("losses without a dictionary", dictionary.site, self.material, context.split, context.task)
        if key not in context.shared:
            clean, _ = self._total(context, lambda part: {})
            zeroed, _ = self._total(context, lambda part: zero(context.engine, dictionary, part.counted))
            context.shared[key] = clean, zeroed
        found: tuple[NDArray[Any], NDArray[Any]] = context.shared[key]
        return found

    def _total(
        self, context: ScoreContext, taps: Callable[[Part], dict[Site, Tap]]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """``[n]`` summed losses, and how many they sum. 1 forward per row."""
        table = torch.zeros(2, context.n_examples, dtype=torch.float64)
        for part in parts(context, self.material):
            for row, values in zip(table, losses(context.engine, part, taps(part)), strict=True):
                row.index_add_(0, part.slots.cpu(), values.cpu())
        return table[0].numpy(), table[1].numpy()

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
