"""Whether what a readout says of layers, or heads, ranks them as ablation does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bench.explanation import Explanation
from bench.method import Skip
from bench.metric import Arrays, HandCase, Metric, ScoreContext, Undefined
from bench.metrics.readouts import averaged
from bench.readout.effects import effects
from bench.scoring.ablation import ABLATIONS

MIN_COMPONENTS = 3
"""Components below which a rank correlation says nothing."""
NULL_DRAWS = 999
EFFECTS = ("total", "direct")


@dataclass
class RankAgreement(Metric):
    """Spearman's correlation of the scores with the effect of ablating the same layer or head, mean over test prompts.

    Effect: the fall of logit(answer) - logit(wrong). The headline is the total effect: outputs are replaced at all
    positions, by default with another prompt's of the same length (``by=resample``), and the rest of the model reacts.
    ``effect=direct``: the same change on its way to the logits alone, the final norm's scale frozen. Where later parts
    step in for what was ablated (self-repair) the two differ, and a readout that sees what is written may follow the
    second and miss the first; so both are reported. Signed: a readout must tell what helps from what hinders.

    Source: McGrath et al. 2023, arXiv:2307.15771 (direct against total effect); Spearman 1904. In [-1, 1], higher is
    better. The floor is 0, what scores in any order have on average. The p-value deals the scores anew among a layer's
    heads (999 seeded draws): heads drawn at random with the same count per layer; among all where a layer has but one
    component. Cost: 1 forward per example and component, and 4.
    """

    name: ClassVar[str] = "rank_agreement"
    track: ClassVar[str] = "readout"
    levels: ClassVar[tuple[str, ...]] = ("layer", "head")
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    uses_ablation: ClassVar[bool] = False
    resampled: ClassVar[bool | None] = True
    null: ClassVar[str] = "scores dealt anew within layers"
    by: str = "resample"

    def __post_init__(self) -> None:
        if self.by not in ABLATIONS:
            raise ValueError(f"by={self.by!r} is none of {', '.join(ABLATIONS)}")

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        scores = np.asarray(explanation.scores, dtype=np.float64)
        if scores.ndim > 1:
            raise Skip("scores explanations with one figure per layer or head")
        if len(scores) < MIN_COMPONENTS:
            raise Undefined(f"{len(scores)} components; {MIN_COMPONENTS} are needed for a rank correlation")
        total, direct = effects(context, explanation.components, self.by)
        arrays = {"scores": scores, "total": total, "direct": direct}
        for name, values in arrays.items():
            if np.ptp(values if values.ndim == 1 else values.mean(axis=0)) == 0:
                raise Undefined(f"all {name} are equal, so that they have no order")
        return {**arrays, "null": _null(arrays, _groups(explanation), context.seed)}

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        found = [spearman(arrays["scores"], averaged(arrays[name], weights)) for name in EFFECTS]
        return dict(zip(("", "effect=direct"), found, strict=True))

    def p_draws(self, arrays: Arrays) -> Mapping[str, NDArray[Any]]:
        return {"": arrays["null"][:, 0], "effect=direct": arrays["null"][:, 1]}

    def floors(self, arrays: Arrays) -> Mapping[str, float]:
        """Of scores in random order."""
        return {"": 0.0, "effect=direct": 0.0}

    @classmethod
    def hand_case(cls) -> HandCase:
        """Effects of mean (1, 2, 3, 4) in total and (1, 2, 4, 3) directly, for scores in the order (1, 2, 3, 4)."""
        total = np.array([[0.0, 2.0, 3.0, 5.0], [2.0, 2.0, 3.0, 3.0]])
        direct = np.array([[1.0, 2.0, 4.0, 3.0], [1.0, 2.0, 4.0, 3.0]])
        arrays = {"scores": np.array([-1.0, 0.0, 5.0, 6.0]), "total": total, "direct": direct, "null": np.zeros((3, 2))}
        return HandCase(arrays, {"": 1.0, "effect=direct": 1 - 6 * 2 / (4 * 15)})


def spearman(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Spearman's correlation along the last axis, ties at their mean rank; 0 where all are equal."""
    ranks = [rankdata(x, axis=-1) - (x.shape[-1] + 1) / 2 for x in (np.asarray(a), np.asarray(b))]
    power = np.sqrt((ranks[0] ** 2).sum(axis=-1) * (ranks[1] ** 2).sum(axis=-1))
    product = (ranks[0] * ranks[1]).sum(axis=-1)
    return np.asarray(np.divide(product, power, out=np.zeros_like(product * power), where=power > 0))


def _groups(explanation: Explanation) -> NDArray[np.int64]:
    """Which components change scores under the null: heads of one layer, or all."""
    if explanation.level != "head":
        return np.zeros(len(explanation.components), dtype=np.int64)
    layers = np.array([int(name[1:].split(".")[0]) for name in explanation.components])
    return layers if (np.bincount(layers) > 1).any() else np.zeros_like(layers)


def _null(arrays: Arrays, groups: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """``[n_draws, 2]``: correlations with scores dealt anew within groups."""
    rng = np.random.default_rng([seed, len(groups)])
    dealt = np.tile(arrays["scores"], (NULL_DRAWS, 1))
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        dealt[:, members] = rng.permuted(dealt[:, members], axis=1)
    return np.stack([spearman(dealt, arrays[name].mean(axis=0)) for name in EFFECTS], axis=1)
