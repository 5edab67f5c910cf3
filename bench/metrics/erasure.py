"""Erasure: what the model loses without the featurizer's part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench.explanation import Explanation
from bench.metric import Arrays, HandCase, ScoreContext, Undefined
from bench.metrics.swaps import MIN_PAIRS, Swaps, linear_only
from bench.variable.answering import said_with
from bench.variable.data import VariableData
from bench.variable.declared import declared
from bench.variable.featurizer import Featurizer
from bench.variable.places import Place

PARTS = {"": "right", "of=logit_diff": "difference"}


@dataclass
class Erasure(Swaps):
    """Accuracy lost when the featurizer's part is set to its mean, above what random directions of its rank cost.

    h' = h - F(h - mean of h over train), F the featurizer's part (:mod:`bench.variable.featurizer`); the same with
    ``draws`` random subspaces of equal rank (Haar). The figure is their mean accuracy minus that without the part, over
    the test examples that the model answers right; ``of=logit_diff`` is the same of the logit difference (answer minus
    wrong answer). The whole vector is its own random subspace and gets 0: erasing everything shows nothing. Directions
    that carry the variable but are not used cost nothing.

    Source: amnesic probing (Elazar et al. 2021, arXiv:2006.00995), its random control. In [-1, 1] (logits: any), higher
    is better, floor 0. p: the part's rank among the random subspaces (raise ``draws`` for a finer one). Cost:
    1 + ``draws`` forwards per counted example and site, and 1 per training example, 2 per test example.
    """

    name: ClassVar[str] = "erasure"
    bounds: ClassVar[tuple[float, float]] = (float("-inf"), float("inf"))
    null: ClassVar[str] = "random directions of the same rank"
    draws: int = 5

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        found = linear_only(declared(explanation))
        data = context.data_of(found.variable)
        for split in ("train", "test"):
            data.prefetch(split, list(found.features))
        right = data.right("test")
        if right.sum() < MIN_PAIRS:
            raise Undefined(f"{right.sum()} of {len(right)} test examples are answered right; {MIN_PAIRS} are needed")
        shape = (len(right), len(found.features), 1 + self.draws)
        arrays = {name: np.zeros(shape) for name in PARTS.values()}
        for i, (place, featurizer) in enumerate(found.features.items()):
            rng = np.random.default_rng([context.seed, 17, i])
            for j, part in enumerate([featurizer, *random_parts(featurizer, self.draws, rng)]):
                for name, values in _without(data, place, part, np.flatnonzero(right)).items():
                    arrays[name][right, i, j] = values
        return {"sites": np.array([str(place) for place in found.features]), "erasure.counted": right, **arrays}

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        figures: dict[str, NDArray[Any]] = {}
        for part, name in PARTS.items():
            means = _means(arrays, name, weights)
            values = means[..., 1:].mean(axis=-1) - means[..., 0]
            figures |= self.by_site(arrays, values[0] if weights is None else values, part)
        return figures

    def floors(self, arrays: Arrays) -> Mapping[str, float]:
        return dict.fromkeys(self.reduce(arrays), 0.0)

    def p_draws(self, arrays: Arrays) -> Mapping[str, NDArray[Any]]:
        drawn: dict[str, NDArray[Any]] = {}
        for part, name in PARTS.items():
            random = _means(arrays, name, None)[0, :, 1:]
            drawn |= self.by_site(arrays, (random.mean(axis=1, keepdims=True) - random).T, part)
        return drawn

    @classmethod
    def hand_case(cls) -> HandCase:
        """Of three right examples one stays so without the part, and all without either of two random directions."""
        right = np.array([[[1, 1, 1]], [[0, 1, 1]], [[0, 0, 0]], [[0, 1, 1]]], dtype=np.float64)
        counted = np.array([True, True, False, True])
        arrays = {"sites": np.array(["stream1@END"]), "erasure.counted": counted}
        return HandCase({**arrays, "right": right, "difference": 3 * right}, {"": 2 / 3, "of=logit_diff": 2.0})


def random_parts(like: Featurizer, draws: int, rng: np.random.Generator) -> list[Featurizer]:
    """Uniformly random subspaces of the rank of ``like``; where that is nothing or the whole, the same again."""
    if like.rank in (0, like.d):
        return [Featurizer("full" if like.rank else "none", like.d)] * draws
    return [Featurizer.subspace(np.linalg.qr(rng.standard_normal((like.d, like.rank)))[0].T) for _ in range(draws)]


def erased(vectors: torch.Tensor, mean: torch.Tensor, featurizer: Featurizer) -> torch.Tensor:
    """``[n, d]`` with the featurizer's part at its ``mean`` ``[d]``."""
    return vectors - featurizer.part(vectors - mean)


def _without(
    data: VariableData, place: Place, featurizer: Featurizer, rows: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    every = data.rows("test")
    answers, wrong = [every[i]["answer_id"] for i in rows], [every[i]["wrong_id"] for i in rows]
    mean = data.vectors("train", place).double().mean(dim=0).float()
    new = erased(data.vectors("test", place)[rows], mean, featurizer)
    found = said_with(data, "test", rows, place, new, (answers, wrong))
    return {"right": (found.token == np.array(answers)).astype(np.float64), "difference": found.difference}


def _means(arrays: Arrays, name: str, weights: NDArray[Any] | None) -> NDArray[np.float64]:
    """``[n_draws, n_sites, 1 + draws]`` over the counted examples; ``[1, ...]`` without weights."""
    counted = arrays["erasure.counted"].astype(np.float64)
    w = counted[None] if weights is None else weights * counted
    return np.asarray(np.tensordot(w, arrays[name], axes=1) / w.sum(axis=1)[:, None, None])
