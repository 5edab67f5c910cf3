"""What the circuits of an explanation are made of, and how they are run: edges of the model, or latents and errors.

A circuit is ``[n]`` kept flags. Metrics over sizes know no more than this: they ask for the whole, the empty circuit,
and the logits of any.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data import Batch, Tokens
from bench.explanation import Explanation
from bench.features.circuits import States, mean_states, no_states, run_kept, states
from bench.features.declared import declared
from bench.features.latents import LEVEL, Latents
from bench.metric import ScoreContext, Undefined
from bench.scoring.ablation import other_prompts

if TYPE_CHECKING:
    from bench.engine import Engine

Flags = NDArray[np.bool_]
CIRCUITS_PER_CALL = 16


class Space(ABC):
    """The components that circuits keep or cut."""

    size: int
    """Flags of a circuit."""
    key: str
    """Names all that a circuit's logits depend on beside its flags, the examples and the ablation."""
    floats: int
    """Numbers per token that a run holds."""

    @abstractmethod
    def run(self, context: ScoreContext, batch: Batch, circuits: Sequence[Flags]) -> Iterator[Tensor]:
        """The logits ``[B, V]`` of each circuit on a batch of the scored split."""

    def whole(self) -> Flags:
        """Everything is kept."""
        return np.ones(self.size, dtype=bool)

    def empty(self) -> Flags:
        """Everything is cut."""
        return np.zeros(self.size, dtype=bool)


@dataclass
class EdgeSpace(Space):
    """The edges of the component graph; those that are cut carry ``context.ablate(batch)``."""

    engine: Engine

    def __post_init__(self) -> None:
        self.size, self.key = self.engine.graph.n_edges, ""

    @property
    def floats(self) -> int:  # type: ignore[override]
        return len(self.engine.graph.sources) * self.engine.d_model

    def run(self, context: ScoreContext, batch: Batch, circuits: Sequence[Flags]) -> Iterator[Tensor]:
        ablation = context.ablate(batch)
        for start in range(0, len(circuits), CIRCUITS_PER_CALL):
            tables = np.stack([self.engine.graph.edge_mask(c) for c in circuits[start : start + CIRCUITS_PER_CALL]])
            kept = torch.from_numpy(tables).to(batch.clean.ids.device)
            yield from self.engine.run_circuit(batch.clean, kept, ablation)


class FeatureSpace(Space):
    """Latents of dictionaries, and an error for each; all that the dictionaries do not see runs as it is."""

    def __init__(self, engine: Engine, latents: Latents) -> None:
        self.engine, self.latents = engine, latents
        self.size, self.key = len(latents.names), latents.digest
        self.floats = 3 * sum(d.d_sae + 2 * d.d_out for d in latents.dictionaries)
        self._prompts: dict[Any, Callable[[Batch], Tokens]] = {}
        self._means: dict[Any, States | None] = {}

    def run(self, context: ScoreContext, batch: Batch, circuits: Sequence[Flags]) -> Iterator[Tensor]:
        ablated = self.ablated(context, batch)
        for circuit in circuits:
            kept = torch.from_numpy(circuit).to(batch.clean.ids.device)
            yield run_kept(self.engine, self.latents, batch.clean, kept, ablated)

    def ablated(self, context: ScoreContext, batch: Batch) -> States:
        """What cut components carry: ``counterfactual``, ``mean``, ``zero`` or ``resample``, as edges have them."""
        scored = (context.task, context.split, context.counterfactual, context.seed)
        if context.ablation == "counterfactual":
            return states(self.engine, self.latents, batch.corrupt)
        if context.ablation == "zero":
            return no_states(self.latents)
        if context.ablation == "resample":
            if scored not in self._prompts:
                self._prompts[scored] = other_prompts(context.batches, context.seed)
            return states(self.engine, self.latents, self._prompts[scored](batch))
        if context.ablation != "mean":
            raise ValueError(f"latents have no ablation {context.ablation!r}")
        if scored not in self._means:
            if context.on is None:
                raise Undefined("mean ablation of latents needs the train split, which this scoring does not have")
            self._means[scored] = mean_states(self.engine, self.latents, context.on("train").batches())
        found = self._means[scored]
        if found is None:
            raise Undefined("mean ablation needs examples in the train split")
        return found


def space_of(explanation: Explanation, context: ScoreContext) -> Space:
    """The space of an explanation's circuits; made once per job for all that name the same latents.

    Raises :class:`bench.explanation.ExplanationError`, or ``DictionaryError`` where the model has no such sites.
    """
    if explanation.level != LEVEL:
        return EdgeSpace(context.engine)
    latents = declared(explanation)
    key = ("features", latents.digest)
    if key not in context.shared:
        context.shared[key] = FeatureSpace(context.engine, latents.on(context.engine))
    return context.shared[key]
