"""What the labels are worth to a method, and whether anything comes of labels that say nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.metric import Arrays, HandCase, ScoreContext
from bench.metrics.controlled import CONTROL, OWN, PART, Controlled
from bench.variable.data import VariableData
from bench.variable.declared import Declared

FITTED = "part=fitted"


@dataclass
class PermutedLabels(Controlled):
    """Interchange accuracy minus that of the same method fitted on permuted labels, both against the true targets.

    The variable's values are dealt anew among the labelled examples of each split, and the targets among its pairs; the
    method is fitted on them at the chosen site. ``part=fitted`` is its interchange accuracy against the *true* targets:
    near the floor for methods that live of their labels, as high as the method's own for those that look at none (full
    vector, PCA), and in between where the noise of class means follows the directions in which vectors vary most, the
    variable's own among them. ``part=control`` is its accuracy against the *dealt* targets of test, on which nobody can
    be right but by chance: if that is above its floor more often than its p-value says, something leaks.

    The floor is that of ``part=control``: its p-value deals the targets once more, and is exact for every method.
    ``part=fitted`` has none. A direction drawn uniformly is no null for it: a difference of means of dealt labels is
    about a draw from N(0, S), with S the covariance of the vectors, and swaps a variable along which they vary most
    as often as such draws do.

    Source: permuted-label nulls of decoding, Ojala and Garriga 2010 (JMLR 11). In [-1, 1], higher is better. Cost: the
    method's own on the one site, 2 forwards per pair, 2 per example.
    """

    name: ClassVar[str] = "permuted_labels"

    def views(self, data: VariableData, found: Declared, context: ScoreContext) -> tuple[VariableData, VariableData]:
        dealt = data.control(
            labels_of=lambda split, labels: deal_labels(labels, context.seed),
            target_of=lambda target: np.random.default_rng([context.seed, 29, len(target)]).permutation(target),
            at=found.site,
        )
        return data, dealt

    def nulls(self, arrays: Arrays, context: ScoreContext) -> Arrays:
        true = super().nulls({**arrays, **_against_truth(arrays)}, context)
        return {**super().nulls(arrays, context), "null.difference": true["null.difference"]}

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        fitted = self.shares({**arrays, **_against_truth(arrays)}, CONTROL, weights)
        own, dealt = (self.shares(arrays, name, weights) for name in (OWN, CONTROL))
        parts = {"": own - fitted, FITTED: fitted, PART: dealt}
        return {suffix: values[..., 0] for suffix, values in parts.items()}

    @classmethod
    def hand_case(cls) -> HandCase:
        """The method is right on two of three, its control on one of the true targets and on none of the dealt ones."""
        return HandCase({**cls.case(), "control.target": np.array([6, 8, 7, 5])}, {"": 1 / 3, FITTED: 1 / 3, PART: 0.0})


def deal_labels(labels: list[str], seed: int) -> list[str]:
    """The labels in another order; unlabelled examples stay so."""
    found = np.array(labels, dtype=object)
    where = np.flatnonzero(found != "")
    found[where] = found[np.random.default_rng([seed, 23, len(where)]).permutation(where)]
    return [str(label) for label in found]


def _against_truth(arrays: Arrays) -> Arrays:
    return {f"{CONTROL}.target": arrays[f"{OWN}.target"]}
