"""What the metrics of swaps share: what the model says after each, per pair, and shares over the pairs that count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.explanation import Explanation
from bench.metric import Arrays, Metric, ScoreContext, Undefined
from bench.variable.data import VariableData
from bench.variable.declared import declared
from bench.variable.pairs import CAUSE, ISOLATE

MIN_PAIRS = 20
"""Counted pairs below which no share is given."""
NULL_DRAWS = 999


@dataclass
class Swaps(Metric):
    """A metric over pairs of one kind; figures at the chosen site, and as parts at every other one that is declared."""

    track: ClassVar[str] = "variable"
    levels: ClassVar[tuple[str, ...]] = ("site",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    uses_ablation: ClassVar[bool] = False
    resampled: ClassVar[bool | None] = True
    kinds: ClassVar[tuple[str, ...]] = (CAUSE,)

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        found = declared(explanation)
        data = context.data_of(found.variable)
        data.prefetch("test", list(found.features))
        arrays: Arrays = {"sites": np.array([str(place) for place in found.features])}
        for kind in self.kinds:
            arrays |= said_on(data, kind, found.features)
        return arrays

    def shares(self, arrays: Arrays, kind: str, weights: NDArray[Any] | None) -> NDArray[np.float64]:
        """``[n_draws, n_sites]``, or ``[n_sites]``: pairs on which the target was said, of those that count."""
        counted = arrays[f"{kind}.counted"].astype(np.float64)
        hits = counted[:, None] * (arrays[f"{kind}.said"] == arrays[f"{kind}.target"][:, None])
        if weights is None:
            return np.asarray(hits.sum(axis=0) / counted.sum())
        with np.errstate(invalid="ignore"):
            return np.asarray((weights @ hits) / (weights @ counted)[:, None])

    def by_site(self, arrays: Arrays, values: NDArray[np.float64], part: str = "") -> Mapping[str, NDArray[Any]]:
        """Figures by suffix, ``part`` first where one is named: the chosen site's is the metric's own."""
        front = f"{part}," if part else ""
        names = [part, *(f"{front}site={site}" for site in arrays["sites"][1:])]
        return {name: values[..., i] for i, name in enumerate(names)}


def said_on(data: VariableData, kind: str, features: Mapping[Any, Any], name: str = "") -> Arrays:
    """Per example: whether its pair counts, the target (-1 without a pair), and what is said at each site (-2).

    The arrays are called ``name.counted`` and so on, after the kind where there is no name. Raises
    :class:`Undefined` with the counts where too few pairs count.
    """
    name = name or kind
    pairs, counted = data.pairs("test", kind), data.counted("test", kind)
    if kind == ISOLATE and not len(pairs):
        raise Undefined(nothing_to_isolate(data))
    if counted.sum() < MIN_PAIRS:
        raise Undefined(
            f"{pairs.n} test examples give {len(pairs)} pairs to {kind} with {data.variable}, of which"
            f" {int(counted.sum())} count (the model is right on both sides); {MIN_PAIRS} are needed"
        )
    arrays: Arrays = {
        f"{name}.counted": np.zeros(pairs.n, dtype=bool), f"{name}.target": np.full(pairs.n, -1),
        f"{name}.said": np.full((pairs.n, len(features)), -2),
    }  # fmt: skip
    arrays[f"{name}.counted"][pairs.base] = counted
    arrays[f"{name}.target"][pairs.base] = pairs.target
    for i, (place, featurizer) in enumerate(features.items()):
        arrays[f"{name}.said"][pairs.base, i] = data.swap("test", place, featurizer, kind)
    return arrays


def nothing_to_isolate(data: VariableData, split: str = "test") -> str:
    """Why there is no pair of examples with the same value of the variable and different answers."""
    answers: dict[str, list[int]] = {}
    for label, row in zip(data.labels(split), data.rows(split), strict=True):
        if label:
            answers.setdefault(label, []).append(int(row["answer_id"]))
    n, name = len(data.rows(split)), data.variable
    if all(len(found) == 1 for found in answers.values()):
        return f"no two of {n} {split} examples have the same value of {name}: there is nothing to isolate it from"
    if any(len(set(found)) > 1 for found in answers.values()):
        return f"of {n} {split} examples none was drawn that has the same value of {name} and another answer"
    return (
        f"the {n} {split} examples with the same value of {name} have the same answer: {name} alone makes the answer,"
        f" and there is nothing to isolate it from"
    )


def permuted_targets(arrays: Arrays, kind: str, seed: int) -> NDArray[np.float64]:
    """``[n_draws, n_sites]``: shares when targets are dealt anew among the counted pairs."""
    counted = arrays[f"{kind}.counted"]
    said, target = arrays[f"{kind}.said"][counted], arrays[f"{kind}.target"][counted]
    rng = np.random.default_rng([seed, len(target)])
    return np.stack([(said == rng.permutation(target)[:, None]).mean(axis=0) for _ in range(NULL_DRAWS)])
