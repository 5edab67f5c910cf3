"""What a metric is: an expensive measurement per example, stored, and a cheap pure reduction of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from bench.data import Batch
from bench.explanation import Explanation
from bench.method import Truth

if TYPE_CHECKING:
    from bench.engine import Engine, Sources

Arrays = dict[str, NDArray[Any]]


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
    shared: dict[Any, Any] = field(default_factory=dict)
    """Results that the metrics (and methods) of one job share, by a key that names all that they depend on."""


@dataclass(frozen=True)
class Measurement:
    """One stored result of one metric on one explanation."""

    metric: str
    version: str
    ablation: str
    status: str
    reason: str = ""
    arrays: Arrays = field(default_factory=dict)
    clusters: tuple[str, ...] = ()


class Metric(ABC):
    """A registered metric; parameters are dataclass fields, as for methods."""

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    track: ClassVar[str] = "circuit"
    levels: ClassVar[tuple[str, ...]] = ("node", "edge")
    direction: ClassVar[int] = 1
    """1 where higher is better, -1 where lower is, 0 where the figure is no score."""
    bounds: ClassVar[tuple[float, float]] = (float("-inf"), float("inf"))
    needs_truth: ClassVar[bool] = False
    uses_ablation: ClassVar[bool] = True

    @abstractmethod
    def measure(self, explanation: Explanation, context: ScoreContext) -> Arrays:
        """Run the model; arrays whose first axis is ``n_examples`` are per example and get bootstrapped."""

    @abstractmethod
    def reduce(self, arrays: Arrays, weights: NDArray[Any] | None = None) -> Mapping[str, NDArray[Any]]:
        """Figures by label suffix (``""`` for the metric itself, ``[size=0.01]`` for a part of it).

        ``weights`` is ``[n_draws, n_examples]``, how often each example is drawn; each figure is then ``[n_draws]``,
        and a scalar array without it.
        """
