"""What a metric is: an expensive measurement per example, stored, and a cheap pure reduction of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data import Batch
from bench.explanation import Explanation
from bench.method import Truth

if TYPE_CHECKING:
    from bench.engine import Engine, Sources
    from bench.readout.data import ReadoutData
    from bench.variable.data import VariableData

Arrays = dict[str, NDArray[Any]]
NULL = "null:"
"""Prefix, in stored arrays, of the figures under the null."""
NO_ABLATION = "none"
"""The ``ablation`` of metrics that run no circuit."""


class Undefined(Exception):
    """Raised where a figure is not defined (no negatives, a denominator that may be 0); the row says why."""


@dataclass
class ScoreContext:
    """What a metric works with: the model, the test examples, the ablation and, on planted models, the truth."""

    engine: Engine
    batches: Callable[[], Iterator[Batch]]
    """Batches of the scored split against the counterfactual, always in the same order."""
    n_examples: int
    clusters: Sequence[str]
    """``[n_examples]`` cluster labels."""
    ablation: str
    ablate: Callable[[Batch], Sources]
    """What cut edges carry for the examples of a batch, under ``ablation``; cached per batch."""
    counterfactual: str
    truth: Truth | None = None
    seed: int = 0
    """Seed of every random choice in scoring (``data.seed``: tie orders, permutations, resampled partners)."""
    shared: dict[Any, Any] = field(default_factory=dict)
    """Results that the metrics (and methods) of one job share, by a key that names all that they depend on."""
    task: str = ""
    """Another task's label where the examples are not the job's own."""
    split: str = "test"
    permutations: int = 0
    """Figures to measure where the null holds, for metrics that are ``permutable``; 0 leaves their ``p`` empty."""
    on: Callable[[str], ScoreContext] | None = None
    """The same model, task and ablation on another split: what a metric chooses, it chooses on ``validation``."""
    elsewhere: Callable[[str], ScoreContext] | None = None
    """The same model and ablation on another task's test examples, by its label in boards (``sva[distractor=True]``).
    Raises :class:`Undefined` where that task does not fit the model."""
    tasks: Sequence[str] = ()
    """Labels of the other tasks that are registered."""
    variable_data: Callable[[str], VariableData] | None = None
    """The examples, all splits of them, seen through one variable: for metrics of the `variable` track."""
    variables: Sequence[str] = ()
    """Names of the variables that :attr:`variable_data` knows."""
    readout_data: Callable[[], ReadoutData] | None = None
    """The examples, all splits of them, as recorded streams: for metrics of the `readout` track."""
    again: Callable[[int, bool, bool], Explanation] | None = None
    """``again(draw, prompts, seed)``: the same method once more, on resampled training prompts and with another seed
    where these are true. None where there is no method to run, as with a submitted file."""
    fitted: Callable[[VariableData], Explanation] | None = None
    """The same method with the same seed on another view of the examples (other labels, other targets, another model):
    what controls of the `variable` track ask for. None where there is no method to run."""

    on_model: Callable[[Engine], Explanation] | None = None
    """The same method with the same seed on another model and the same examples: what controls of the `dictionary`
    track ask for. None where there is no method to run."""

    def data_of(self, variable: str) -> VariableData:
        """The examples seen through one variable."""
        if self.variable_data is None:
            raise Undefined("needs a task's causal model, which this scoring does not have")
        return self.variable_data(variable)

    def recorded(self) -> ReadoutData:
        """The examples as recorded streams."""
        if self.readout_data is None:
            raise Undefined("needs recorded streams, which this scoring does not have")
        return self.readout_data()

    def validation(self) -> ScoreContext:
        """The context on which a metric makes its choices."""
        if self.on is None:
            raise Undefined("needs validation examples, which this scoring does not have")
        return self.on("validation")


@dataclass(frozen=True)
class Measurement:
    """One stored result of one metric on one explanation."""

    metric: str
    """The metric's name, without parameters."""
    version: str
    ablation: str
    """``none`` for metrics that run no circuit."""
    status: str
    """``ok``, ``undefined``, ``skipped`` or ``failed``."""
    reason: str = ""
    arrays: Arrays = field(default_factory=dict)
    clusters: tuple[str, ...] = ()
    """``[n_examples]``; empty where nothing is measured per example."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """The metric's parameters that differ from the default: with the name, they make the metric again."""


class HandCase(NamedTuple):
    """A case worked by hand, which one generic test runs for every metric."""

    arrays: Arrays
    figures: Mapping[str, float]
    """Expected figure by label suffix, in full."""


class Metric(ABC):
    """A registered metric; parameters are dataclass fields, as for methods.

    A subclass is a ``@dataclass`` with a docstring: definition, source, bounds, direction.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    track: ClassVar[str] = "circuit"
    levels: ClassVar[tuple[str, ...]] = ("node", "edge")
    direction: ClassVar[int] = 1
    """1 where higher is better, -1 where lower is, 0 where the figure is no score."""
    bounds: ClassVar[tuple[float, float]] = (float("-inf"), float("inf"))
    needs_truth: ClassVar[bool] = False
    uses_ablation: ClassVar[bool] = True
    """Whether circuits are run, so that examples are resampled and an ablation belongs to the figure."""
    resampled: ClassVar[bool | None] = None
    """Whether the figure may be bootstrapped over the examples, else its interval is over planted models; None: if
    circuits are run."""
    permutable: ClassVar[bool] = False
    """Whether the null's figures cost passes, and are measured only as many times as ``permutations`` asks."""
    null_draws: ClassVar[int] = 0
    """How many times that is where the call does not say, on planted models; on all others it is 0."""
    min_edges: ClassVar[int] = 0
    """The metric is skipped on models with this many edges or fewer."""
    across_levels: ClassVar[bool] = False
    """Whether node and edge methods' figures are on one scale (both by real size), so that they may be compared."""
    null: ClassVar[str] = ""
    """Name of the null hypothesis behind :meth:`p_draws`."""
    absolute: ClassVar[bool] = True
    """Whether circuits are selected by absolute score."""

    @abstractmethod
    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        """Run the model; arrays whose first axis is ``n_examples`` are per example and get bootstrapped."""

    @abstractmethod
    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        """Figures by label suffix (``""`` for the metric itself, ``size=0.01`` for a part of it).

        ``weights`` is ``[n_draws, n_examples]``, how often each example is drawn; each figure is then ``[n_draws]``,
        and a scalar array without it.
        """

    @classmethod
    @abstractmethod
    def hand_case(cls) -> HandCase:
        """A case worked by hand for the default parameters."""

    def denominator(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> NDArray[Any] | None:
        """What the figures are divided by, ``[n_draws]``; the row is undefined where its interval contains 0."""
        return None

    def bias(self, arrays: Arrays, weights: NDArray[Any]) -> Mapping[str, float]:
        """The largest bias that a bend of the figure can cause (``|1 - f|`` where f may be 1), by label suffix.

        Against a third of the standard error it decides whether an interval is given (:mod:`bench.scoring.estimate`).
        """
        return {}

    def floors(self, arrays: Arrays) -> Mapping[str, float]:
        """Analytic floors by label suffix; where there is none, the random baseline's score is the floor."""
        return {}

    def null_measures(self, explanation: Explanation, context: ScoreContext, arrays: Arrays) -> Iterator[Arrays]:
        """``context.permutations`` measurements where the :attr:`null` holds, if the metric is ``permutable``.

        ``arrays`` is what was measured on ``explanation``. Unless a metric says otherwise they are random rankings.
        """
        from bench.scoring.nulls import random_rankings

        for drawn in random_rankings(explanation, context):
            yield self.measure(drawn, context)

    def p_draws(self, arrays: Arrays) -> Mapping[str, NDArray[Any]]:
        """Figures under the :attr:`null`, ``[n_permutations]`` by label suffix."""
        found = {key[len(NULL) :]: values for key, values in arrays.items() if key.startswith(NULL)}
        return {suffix: values for suffix, values in found.items() if self.suffix_direction(suffix)}

    def null_direction(self, suffix: str) -> int:
        """1 where figures at least as high as the one measured speak for the null's alternative, -1 where low ones."""
        return self.suffix_direction(suffix) or 1

    def curve(self, arrays: Arrays) -> NDArray[np.float64] | None:
        """Points ``[n_points, 2]`` (size as a share of all edges, f) to draw beside the figure, if there are any."""
        return None

    def suffix_direction(self, suffix: str) -> int:
        """The direction of one part of the metric."""
        return self.direction

    def parameters(self) -> dict[str, Any]:
        """The parameters that differ from their defaults."""
        changed = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        defaults = {f.name: f.default for f in fields(self)}  # type: ignore[arg-type]
        return {key: value for key, value in sorted(changed.items()) if value != defaults[key]}

    def label(self, suffix: str = "") -> str:
        """The name in boards, ``faithfulness[objective=prob,size=0.01]``."""
        parts = [f"{key}={value}" for key, value in self.parameters().items()] + ([suffix] if suffix else [])
        return self.name + (f"[{','.join(parts)}]" if parts else "")

    def not_for(self, level: str, n_edges: int, planted: bool) -> str:
        """Why this metric does not apply to a level and a model; empty where it does."""
        if level not in self.levels:
            return f"scores {' and '.join(self.levels)} explanations, not {level}"
        if n_edges <= self.min_edges:
            return f"defined above {self.min_edges:,} edges; this model has {n_edges:,}"
        if self.needs_truth and not planted:
            return "needs a planted model, whose circuit is known"
        return ""
