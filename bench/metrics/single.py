"""What the metrics of one circuit share: which circuit it is, its measurement, and random circuits beside it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.explanation import Explanation
from bench.metric import Arrays, Metric, ScoreContext, Undefined
from bench.metrics.grid import circuit_within, within
from bench.scoring.circuits import circuit_values, digest, empty, whole
from bench.scoring.curves import faithfulness, gap
from bench.scoring.nulls import RANDOM, random_circuits
from bench.scoring.selection import Ranking, rankings

AUTO = "auto"
FAITHFUL = 0.9
"""f that the smallest circuit needs on validation, to be the one that is judged."""
LARGEST = 0.5
"""Where no circuit is faithful, the one of this share of the edges is judged: what is larger explains nothing."""
STEPS_PER_DECADE = 10

Flags = NDArray[np.bool_]


@dataclass
class SingleCircuit(Metric):
    """A metric of one circuit, by absolute score.

    ``size``: a real size (kept edges / all edges, pruned), which gives the largest circuit that is no larger; or
    ``auto``, the smallest circuit with f >= .9 on the validation split among ten sizes per decade up to half of the
    edges (the largest of these where none is; up to 31 passes per validation example). Ties that an explanation marks
    as random are broken by one seeded order.
    """

    permutable: ClassVar[bool] = True
    null: ClassVar[str] = RANDOM
    size: str | float = AUTO
    objective: str = "logit_diff"

    def __post_init__(self) -> None:
        if self.size != AUTO and not (isinstance(self.size, (int, float)) and 0 < self.size <= 1):
            raise ValueError(f"size={self.size!r} is neither {AUTO} nor a share of the edges, above 0 and up to 1")

    @abstractmethod
    def judge(self, circuit: Flags, level: str, context: ScoreContext) -> Arrays:
        """Measure the circuit ``[n_edges]`` of an explanation of ``level``."""

    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        circuit = chosen(explanation, context, self.size, self.objective)
        return {**self.judge(circuit, explanation.level, context), "chosen": np.packbits(circuit)}

    def null_measures(self, explanation: Explanation, context: ScoreContext, arrays: Arrays) -> Iterator[Arrays]:
        """The same figure of random circuits of the same real size."""
        graph = context.engine.graph
        edges = int(np.unpackbits(arrays["chosen"], count=graph.n_edges).sum())
        for circuit in random_circuits(graph, explanation.level, edges, context.permutations, context.seed):
            yield self.judge(circuit, explanation.level, context)

    def denominator(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> NDArray[Any] | None:
        return gap(arrays["whole"], arrays["empty"], weights)

    def ends(self, context: ScoreContext, circuits: list[Flags]) -> tuple[Arrays, NDArray[np.float64]]:
        """Per-example values of the whole model and the empty circuit, and ``[n_examples, n_circuits]`` of others."""
        values = circuit_values(context, [whole(context), empty(context), *circuits], self.objective)
        return {"whole": values[:, 0], "empty": values[:, 1]}, values[:, 2:]


def chosen(explanation: Explanation, context: ScoreContext, size: str | float, objective: str) -> Flags:
    """The circuit that is judged, ``[n_edges]`` kept flags; see :class:`SingleCircuit`.

    Raises :class:`Undefined` where m(whole) does not exceed m(empty) on validation.
    """
    ranking = rankings(explanation, context.engine.graph, True, context.seed, tie_draws=1)[0]
    if size != AUTO:
        return circuit_within(ranking, float(size))
    return _smallest_faithful(ranking, context.validation(), objective)


def _smallest_faithful(ranking: Ranking, validation: ScoreContext, objective: str) -> Flags:
    circuits = [circuit for circuit in _candidates(ranking) if circuit.any()] or [empty(validation)]
    key = ("faithful", *map(digest, circuits), validation.ablation, objective)
    if key not in validation.shared:
        values = circuit_values(validation, [whole(validation), empty(validation), *circuits], objective)
        if gap(values[:, 0], values[:, 1])[0] <= 0:
            raise Undefined("on validation the whole model is no better than the empty circuit: no size can be chosen")
        f = faithfulness(values[:, 2:], values[:, 0], values[:, 1])[0]
        validation.shared[key] = int(np.argmax(f >= FAITHFUL)) if (f >= FAITHFUL).any() else len(circuits) - 1
    return circuits[validation.shared[key]]


def _candidates(ranking: Ranking) -> list[Flags]:
    """Circuits of ascending size, from one edge to half of them."""
    decades = np.log10(LARGEST * ranking.graph.n_edges)
    sizes = LARGEST * 10.0 ** -(np.arange(int(decades * STEPS_PER_DECADE) + 1)[::-1] / STEPS_PER_DECADE)
    counts = sorted({within(ranking, size) for size in sizes})
    return [circuit for n in counts if (circuit := ranking.circuit(n)).mean() <= LARGEST + 1e-9]
