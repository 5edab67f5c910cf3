"""Steering: does adding the variable's direction move the answer the right way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench.explanation import Explanation
from bench.metric import Arrays, HandCase, ScoreContext, Undefined
from bench.metrics.swaps import MIN_PAIRS, NULL_DRAWS, Swaps, linear_only
from bench.variable.answering import said_with
from bench.variable.data import VariableData
from bench.variable.declared import declared
from bench.variable.featurizer import Featurizer
from bench.variable.places import Place

ALPHAS = (-1.0, -0.5, 0.5, 1.0)
WRONG_WAY = "part=wrong_way"
STILL = 1e-6
"""Of the log-odds: less is no movement."""


@dataclass
class Steering(Swaps):
    """Slope of the log-odds of the pair's target over the base's answer, above that of a random vector of equal norm.

    On each pair the vector is alpha times the featurizer's part of (mean of the source's value - mean of the base's
    value), means over train, added to the base's clean vector with alpha = -1, -.5, .5, 1; the slope is by least
    squares, in nats per alpha, so that 1 is the distance between the two values' means. The random vector is drawn per
    pair. ``part=slope`` is the slope itself; ``part=wrong_way`` the share of pairs whose slope is negative, pairs that
    do not move counting half (lower is better; chance .5). Pairs count as in ``interchange``, if train has two examples
    of both their values; the others' number is said where too few are left.

    Source: slopes and wrong-way shares, Tan et al. 2024 (arXiv:2407.12404); the vector, Rimsky et al. 2024
    (arXiv:2312.06681). Any value, higher is better, floor 0. p: in each cluster the vector and the random one
    exchanged by a coin (999 draws). Cost: 8 forwards per pair and site, 1 per training and 2 per test example.
    """

    name: ClassVar[str] = "steering"
    bounds: ClassVar[tuple[float, float]] = (float("-inf"), float("inf"))
    null: ClassVar[str] = "the vector and a random one exchanged"

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        found = linear_only(declared(explanation))
        data = context.data_of(found.variable)
        for split in ("train", "test"):
            data.prefetch(split, list(found.features))
        which = _usable(data)
        base = data.pairs("test").base[which]
        slopes = np.zeros((len(data.rows("test")), len(found.features), 2))
        for i, (place, featurizer) in enumerate(found.features.items()):
            slopes[base, i] = _slopes(data, place, featurizer, which, np.random.default_rng([context.seed, 19, i]))
        counted = np.zeros(len(slopes), dtype=bool)
        counted[base] = True
        null = exchanged(slopes[..., 0] - slopes[..., 1], counted, context.clusters, context.seed)
        sites = np.array([str(place) for place in found.features])
        return {"sites": sites, "steering.counted": counted, "slopes": slopes, "null": null}

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        counted = arrays["steering.counted"].astype(np.float64)
        own, random = arrays["slopes"][..., 0], arrays["slopes"][..., 1]
        wrong = (own < -STILL) + 0.5 * (np.abs(own) <= STILL)
        w = counted[None] if weights is None else weights * counted
        figures: dict[str, NDArray[Any]] = {}
        for part, values in {"": own - random, "part=slope": own, WRONG_WAY: wrong}.items():
            means = (w @ values) / w.sum(axis=1, keepdims=True)
            figures |= self.by_site(arrays, means[0] if weights is None else means, part)
        return figures

    def suffix_direction(self, suffix: str) -> int:
        return -1 if suffix.startswith(WRONG_WAY) else 1

    def floors(self, arrays: Arrays) -> Mapping[str, float]:
        return {suffix: 0.5 if suffix.startswith(WRONG_WAY) else 0.0 for suffix in self.reduce(arrays)}

    def p_draws(self, arrays: Arrays) -> Mapping[str, NDArray[Any]]:
        return self.by_site(arrays, arrays["null"])

    @classmethod
    def hand_case(cls) -> HandCase:
        """Slopes 3, -1 and 0 against 1, 1 and 0 of the random vector; the last but one example does not count."""
        slopes = np.array([[[3.0, 1.0]], [[-1.0, 1.0]], [[9.0, 9.0]], [[0.0, 0.0]]])
        counted = np.array([True, True, False, True])
        arrays = {"sites": np.array(["stream1@END"]), "steering.counted": counted, "slopes": slopes}
        figures = {"": 0.0, "part=slope": 2 / 3, WRONG_WAY: 0.5}
        return HandCase({**arrays, "null": np.zeros((3, 1))}, figures)


def slope(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """``[m]``: least-squares slope of ``values`` ``[len(ALPHAS), m]`` over :data:`ALPHAS`, whose mean is 0."""
    alphas = np.array(ALPHAS)
    return np.asarray(alphas @ values / (alphas @ alphas))


def exchanged(
    difference: NDArray[np.float64], counted: NDArray[np.bool_], clusters: Any, seed: int
) -> NDArray[np.float64]:
    """``[n_draws, ...]``: means over the counted of ``[n, ...]`` differences, each cluster's sign by a coin."""
    _, member = np.unique(np.asarray(clusters), return_inverse=True)
    kept, rng = np.flatnonzero(counted), np.random.default_rng([seed, len(member)])
    signs = rng.choice([-1.0, 1.0], size=(NULL_DRAWS, int(member.max()) + 1))[:, member[kept]]
    return np.asarray(np.tensordot(signs, difference[kept], axes=1) / max(len(kept), 1))


def _usable(data: VariableData) -> NDArray[np.int64]:
    """Indices of the counted pairs both of whose values train has twice; raises :class:`Undefined` with the counts."""
    from bench.variable.probes import repeated

    pairs, counted, labels = data.pairs("test"), data.counted("test"), data.labels("test")
    known, single = repeated([label for label in data.labels("train") if label])
    both = np.array([labels[b] in known and labels[s] in known for b, s in zip(pairs.base, pairs.source, strict=True)])
    which = np.flatnonzero(counted & both) if len(pairs) else np.zeros(0, dtype=np.int64)
    if len(which) < MIN_PAIRS:
        raise Undefined(
            f"{pairs.n} test examples give {len(pairs)} pairs to cause with {data.variable}, {int(counted.sum())} count"
            f" and {len(which)} are of two values that train has twice ({single} values it has once); {MIN_PAIRS} are"
            f" needed"
        )
    return which


def _slopes(
    data: VariableData, place: Place, featurizer: Featurizer, which: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """``[m, 2]``: the slope of each pair along its vector, and along a random one."""
    pairs, labels = data.pairs("test"), data.labels("test")
    base, source, target = pairs.base[which], pairs.source[which], pairs.target[which]
    train, vectors = np.array(data.labels("train")), data.vectors("train", place).double()
    means = {value: vectors[torch.as_tensor(train == value)].mean(dim=0) for value in np.unique(train) if value}
    change = torch.stack([means[labels[s]] - means[labels[b]] for b, s in zip(base, source, strict=True)])
    vector = featurizer.part(change)
    noise = torch.as_tensor(rng.standard_normal(vector.shape))
    random = noise * (vector.norm(dim=1, keepdim=True) / noise.norm(dim=1, keepdim=True))
    rows, clean = data.rows("test"), data.vectors("test", place)[base]
    tokens = (target.tolist(), [rows[i]["answer_id"] for i in base])

    def odds(added: torch.Tensor) -> NDArray[np.float64]:
        runs = [said_with(data, "test", base, place, clean + (a * added).float(), tokens).difference for a in ALPHAS]
        return slope(np.stack(runs))

    return np.stack([odds(vector), odds(random)], axis=1)
