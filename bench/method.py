"""What a method is: parameters in a dataclass, and one function from a job to scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data import Batch
from bench.graph import ComponentGraph
from bench.objectives import Objective

if TYPE_CHECKING:
    from bench.engine import Engine
    from bench.readout.data import ReadoutData
    from bench.variable.data import VariableData


class Skip(Exception):
    """Raised by a method that lacks what it needs (planted truth, budget); its row is ``skipped`` with this reason."""


def _no_variable() -> VariableData:
    raise RuntimeError("only methods of the variable track work on a variable")


def _no_readout() -> ReadoutData:
    raise RuntimeError("only methods of the readout track work on recorded streams")


@dataclass(frozen=True)
class Truth:
    """A planted model's ``circuit.json``."""

    roles: Mapping[str, str]
    """Node name to ``required``, ``negative``, ``backup``, ``inert`` or ``free``."""
    edges: Mapping[str, str]
    """Edge name to ``in``, ``out`` or ``undetermined``."""
    variables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Handed:
    """What a method hands over: the parts of an explanation that are its own."""

    components: tuple[str, ...]
    scores: NDArray[Any]
    """``[n_components]`` or ``[n_components, n_positions]``."""
    tensors: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Job:
    """What a method works with. The engine's model carries no planted truth."""

    engine: Engine
    batches: Callable[[str], Iterator[Batch]]
    """Batches of ``train`` or ``validation`` (never ``test``) against the counterfactual, the same for every method."""
    n_examples: Mapping[str, int]
    objective: Objective
    counterfactual: str
    seed: int
    truth: Truth | None = None
    """Only for methods that say ``needs_truth``."""
    partner: Callable[[], Engine] | None = None
    """Loads the model that was fine-tuned from this one; only for methods that say ``needs_partner``, and only where
    the task or the configuration names one. What it runs is counted by the method, on this job's engine."""
    progress: Callable[[int, int], None] = lambda done, total: None
    scratch: Path | None = None
    """A folder of this cell's own for checkpoints: still there when a killed run is run again, gone after its end."""
    variable_data: Callable[[], VariableData] = _no_variable
    """The task's examples seen through one variable, for methods of the `variable` track."""
    readout_data: Callable[[], ReadoutData] = _no_readout
    """The task's examples as recorded streams, for methods of the `readout` track."""
    shared: dict[Any, Any] = field(default_factory=dict)
    """Results that the methods (and metrics) of one job share, by a key that names all that they depend on. Whoever
    takes one pays its passes as if it had found it out."""

    @property
    def graph(self) -> ComponentGraph:
        return self.engine.graph

    def generator(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    def torch_generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)


@dataclass
class Method(ABC):
    """A registered method; its dataclass fields are its parameters, with the paper's defaults.

    A subclass is a ``@dataclass`` with a docstring: idea, formula, source, cost in passes per example.
    """

    name: ClassVar[str]
    level: ClassVar[str]
    version: ClassVar[str] = "1"
    track: ClassVar[str] = "circuit"
    stochastic: ClassVar[bool] = False
    """True where ``method.seed`` changes the scores."""
    needs_truth: ClassVar[bool] = False
    needs_partner: ClassVar[bool] = False
    """True where the method compares a base model with its fine-tuned one."""
    baseline: ClassVar[bool] = False
    ignored: ClassVar[tuple[str, ...]] = ()
    """Parameters of its relatives that it takes no notice of, so that a sweep or a preset may name it among them."""
    objective: str = "logit_diff"

    @abstractmethod
    def scores(self, job: Job) -> NDArray[np.float64]:
        """Signed scores, ``[n_components]`` in the order of ``job.graph.names(self.level)``.

        ``[n_components, n_positions]`` from a method whose :meth:`position_axis` names the columns.
        """

    def explain(self, job: Job) -> Handed:
        """What is handed over: :meth:`scores`, unless the method's track has more to say."""
        return Handed(job.graph.names(self.level), np.asarray(self.scores(job)), {}, self.extra(job))

    def position_axis(self) -> str:
        """Names of the scores' second axis joined by commas, or ``all`` where they have none."""
        return "all"

    def passes(self, graph: ComponentGraph) -> tuple[float, float] | None:
        """Forwards and backwards per training example on a model with this graph, as the docstring states its cost.

        ``bench check`` holds what the engine counted against it; None where the method does not say.
        """
        return None

    def extra(self, job: Job) -> dict[str, Any]:
        """What the explanation says beside its scores (``Explanation.extra``), as plain values.

        ``{"ties": "random"}``: equal scores carry no order, and a metric takes the expectation over random orders.
        """
        return {}

    def trained_on(self) -> tuple[str, ...]:
        """Metrics (``cpr_mib``), or metrics under an ablation (``cpr_mib/mean``), whose figure this method optimises.

        Boards mark its rows under them, and averages over tasks leave them out.
        """
        return ()

    def label(self) -> str:
        """The name in boards: parameters that differ from the default, sorted, in brackets."""
        shown = [f for f in fields(self) if f.metadata.get("label", True)]
        changed = [(f.name, getattr(self, f.name)) for f in shown if getattr(self, f.name) != f.default]
        return self.name + (f"[{','.join(f'{k}={v}' for k, v in sorted(changed))}]" if changed else "")


@dataclass
class Baseline(Method):
    """Chance, a plain statistic or the truth: it takes the level of the rows that it accompanies.

    ``level`` is a field of the instance here (``node``, ``edge``, ...); neither it nor the objective, which baselines
    do not look at, is part of the label.
    """

    baseline: ClassVar[bool] = True
    ignored: ClassVar[tuple[str, ...]] = ("dictionaries",)
    objective: str = field(default="logit_diff", metadata={"label": False})
    level: str = field(default="edge", metadata={"label": False})  # type: ignore[misc]

    def explain(self, job: Job) -> Handed:
        """See :meth:`Method.explain`; a baseline that knows more levels than nodes and edges says so itself."""
        if self.level not in ("node", "edge"):
            raise Skip(f"{self.name} scores nodes and edges, not components of level {self.level}")
        return super().explain(job)
