"""Does knocking the circuit out spare the model's other tasks?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.metric import Arrays, HandCase, ScoreContext, Undefined
from bench.metrics.single import Flags, SingleCircuit
from bench.scoring.bootstrap import cluster_weights, contains_zero
from bench.scoring.circuits import whole
from bench.scoring.curves import faithfulness, gap


@dataclass
class Specificity(SingleCircuit):
    """Damage of knocking the circuit out to its own task, less the mean damage to the model's other tasks.

    Damage to a task is 1 - f of M without C, the model in which C's edges carry the ablation and all others are kept,
    f = (m(M without C) - m(empty)) / (m(M) - m(empty)) on that task's test examples; below 0 it counts as 0, above 1
    as 1. Parts: ``damage=own`` and ``damage=TASK``, all lower-is-better but the first. What is ablated is each task's
    own, against its default counterfactual. A circuit that does nothing has 0.

    ``others`` names the other tasks as boards do (``sva[distractor=True]``; also the task itself with other
    parameters); without it, all that are registered. One counts where its examples fit the model's tokenizer, the model
    passes its gate, and the interval of m(M) - m(empty) is above 0; not defined where none does. Other tasks' examples
    are resampled by their own clusters.

    Source: Shallice 1988 and :mod:`bench.scoring.dissociation` on selectivity; asked of circuits by this project.
    Bounds [-1, 1]; higher is better. Cost: 3 passes per test example of each task, and 2 per example for building
    those tasks; the p-value 1 per test example of each task for each of ``permutations``.
    """

    name: ClassVar[str] = "specificity"
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    others: tuple[str, ...] = ()

    def judge(self, circuit: Flags, level: str, context: ScoreContext) -> Arrays:
        found = self._parts(circuit, context)
        reasons = {}
        for name in self.others or context.tasks:
            try:
                found |= self._of_task(name, circuit, context)
            except Undefined as reason:
                reasons[name] = str(reason)
        if not _names(found):
            raise Undefined(_why(reasons))
        return found

    def _of_task(self, name: str, circuit: Flags, context: ScoreContext) -> Arrays:
        if context.elsewhere is None:
            raise Undefined("this scoring has no other tasks")
        other = context.elsewhere(name)
        parts = self._parts(circuit, other)
        clusters = tuple(other.clusters)
        effect = gap(parts["whole"], parts["empty"], cluster_weights(clusters, context.seed))
        if contains_zero(effect) or effect.mean() < 0:
            raise Undefined("the model's effect over the empty circuit cannot be told from 0")
        _, cluster = np.unique(np.array(clusters), return_inverse=True)
        return {f"{key}@{name}": values for key, values in {**parts, "cluster": cluster}.items()}

    def _parts(self, circuit: Flags, context: ScoreContext) -> Arrays:
        found, values = self.ends(context, [whole(context) & ~circuit])
        return {**found, "left": values[:, 0]}

    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        own = _damage(arrays, "", weights)
        others = {}
        for name in _names(arrays):
            drawn = None if weights is None else _weights(arrays[f"cluster@{name}"], weights)
            others[name] = _damage(arrays, f"@{name}", drawn)
        figures = {"": own - np.mean(list(others.values()), axis=0), "damage=own": own}
        figures |= {f"damage={name}": damage for name, damage in others.items()}
        return figures if weights is not None else {key: value[0] for key, value in figures.items()}

    def suffix_direction(self, suffix: str) -> int:
        return -1 if suffix.startswith("damage=") and suffix != "damage=own" else 1

    @classmethod
    def hand_case(cls) -> HandCase:
        """Own task: 4 of 4 lost, and more (counted as 1). One other loses 1 of 4, one gains (counted as 0)."""
        ends = {"whole": np.array([3.0, 5.0]), "empty": np.array([0.0, 0.0]), "cluster": np.array([0, 1])}
        others = {"a": np.array([2.0, 4.0]), "b": np.array([6.0, 6.0])}
        arrays = {**ends, "left": np.array([-1.0, -3.0])}
        for name, left in others.items():
            arrays |= {f"{key}@{name}": values for key, values in {**ends, "left": left}.items()}
        return HandCase(arrays, {"": 1 - 0.125, "damage=own": 1.0, "damage=a": 0.25, "damage=b": 0.0})


def _names(arrays: Arrays) -> list[str]:
    """The other tasks that were measured."""
    return [key.removeprefix("cluster@") for key in arrays if key.startswith("cluster@")]


def _why(reasons: Mapping[str, str]) -> str:
    """Why no task is left: each reason where there are few, else the first."""
    if not reasons:
        return "no other task is registered"
    shown = [f"{name}: {reason}" for name, reason in reasons.items()][: len(reasons) if len(reasons) < 3 else 1]
    return f"none of {len(reasons)} other tasks ({', '.join(reasons)}) can be asked of this model; {'; '.join(shown)}"


def _damage(arrays: Arrays, name: str, weights: NDArray[Any] | None) -> NDArray[np.float64]:
    whole_model, no_edge, left = (arrays[f"{part}{name}"] for part in ("whole", "empty", "left"))
    return np.clip(1 - faithfulness(left, whole_model, no_edge, weights), 0.0, 1.0)


def _weights(cluster: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.float64]:
    """Of another task's examples, as many draws as there are of the own ones; all 1 where those are all 1."""
    if (weights == 1).all():
        return np.ones((len(weights), len(cluster)))
    return cluster_weights([f"other {label}" for label in cluster], n_draws=len(weights))
