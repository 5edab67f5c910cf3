"""What methods and metrics of the `variable` track work with: prompts, pairs, vectors at places, and swaps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data import Tokens, pad
from bench.task import CausalModel
from bench.variable.featurizer import Featurizer
from bench.variable.pairs import CAUSE, ISOLATE, Pairs, answers, make_pairs
from bench.variable.places import Place, Widths, candidates, read, sites, taps
from bench.variable.streams import Streams

if TYPE_CHECKING:
    from bench.engine import Engine

Row = Mapping[str, Any]
Bools = NDArray[np.bool_]
TRAINING_ROWS = 32
"""Prompts per run where vectors are recorded to train on."""


class VariableError(ValueError):
    """A variable or a split that nothing can be told of; the message has the counts."""


@dataclass
class VariableData:
    """Examples of a task seen through one variable of its causal model.

    Tensors are float32 on the CPU, one row per example of a split or per pair.
    """

    engine: Engine
    causal_model: CausalModel
    variable: str
    examples: Mapping[str, Sequence[Row]]
    seed: int = 0
    batch_size: int = 16
    padding_side: str = "left"
    visible: Collection[str] = ("train", "validation")
    """Splits that may be asked for: methods never see ``test``."""
    filtered: bool = True
    """Whether pairs count only where the model answers base and source right; False beside a randomised model."""
    labels_of: Callable[[str, list[str]], list[str]] | None = None
    """Controls put other labels in: called with the split and the true ones."""
    target_of: Callable[[NDArray[np.int64]], NDArray[np.int64]] | None = None
    """Controls put other targets in: called with the true token ids of the pairs to cause."""
    at: Place | None = None
    """Controls look at one place alone: the only candidate there is."""
    _known: dict[Any, Any] = field(default_factory=dict)
    """What was found out, with its cost in passes; shared by all who look at the same examples."""
    _paid: set[Any] = field(default_factory=set)
    """What this view has asked for: each once costs what finding it out took, whoever was first."""

    def __post_init__(self) -> None:
        if self.variable not in self.causal_model.variables:
            have = ", ".join(self.causal_model.variables)
            raise VariableError(f"the task has no variable {self.variable!r}; it has {have}")

    # -- examples

    def rows(self, split: str) -> Sequence[Row]:
        """The examples of a split."""
        if split not in self.visible:
            raise ValueError(f"this is for {', '.join(self.visible)}, not for {split!r}")
        return self.examples[split]

    def labels(self, split: str) -> list[str]:
        """The variable's value on each example; ``""`` where it has none."""
        true = [str((row["values"] or {}).get(self.variable) or "") for row in self.rows(split)]
        return true if self.labels_of is None else self.labels_of(split, true)

    def positions(self) -> list[str]:
        """Named positions that every example has."""
        rows = [row for split in self.visible for row in self.examples[split]]
        return [name for name in rows[0]["positions"] if all(row["positions"].get(name) is not None for row in rows)]

    def pairs(self, split: str, kind: str = CAUSE) -> Pairs:
        """Base and source of each example that has one; see :func:`bench.variable.pairs.make_pairs`."""

        def make() -> Pairs:
            found = make_pairs(self.rows(split), self.causal_model, self.variable, self._answers(), kind, self.seed)
            other = None if kind == ISOLATE else self.target_of
            return found if other is None else replace(found, target=other(found.target))

        return self.once(("pairs", split, kind), make)

    def counted(self, split: str, kind: str = CAUSE) -> Bools:
        """``[m]``: the pairs that count, those whose base and source the model answers right (all if not filtered)."""
        pairs = self.pairs(split, kind)
        if not self.filtered:
            return np.ones(len(pairs), dtype=bool)
        right = self.right(split)
        return right[pairs.base] & right[pairs.source]

    def right(self, split: str) -> Bools:
        """``[n]``: whether the model's answer to the prompt is the right one, among the :meth:`tokens`. 1 forward."""

        def make() -> Bools:
            said = np.concatenate([self.said(self.engine.logits(t)) for t, _ in self._batches(split)])
            return said == np.array([row["answer_id"] for row in self.rows(split)])

        return self.once(("right", split), make)

    # -- answers

    def _answers(self) -> dict[str, int]:
        return self.once(("answers",), lambda: answers(self.examples))

    def tokens(self) -> NDArray[np.int64]:
        """Token ids among which the model answers: every answer and wrong answer of the task's examples, sorted."""
        return self.once(("tokens",), lambda: np.unique(list(self._answers().values())))

    def said(self, logits: Tensor) -> NDArray[np.int64]:
        """``[n]``: the largest of :meth:`tokens` in ``logits`` ``[n, V]``."""
        tokens = self.tokens()
        return tokens[logits[:, torch.as_tensor(tokens, device=logits.device)].argmax(dim=1).cpu().numpy()]

    # -- places

    @property
    def widths(self) -> Widths:
        """Dimensions of the model."""
        engine, graph = self.engine, self.engine.graph
        down: Any = engine.wiring.blocks[0].down
        return Widths(
            graph.n_layers, graph.n_heads, engine.d_model, engine.d_head, down.weight.numel() // engine.d_model
        )

    def candidates(self, stream: str) -> list[Place]:
        """Places of one kind (:data:`bench.variable.places.STREAMS`) at all named positions, or :attr:`at` alone."""
        return [self.at] if self.at is not None else candidates(stream, self.widths, self.positions())

    def vectors(self, split: str, place: Place) -> Tensor:
        """``[n, d]``: the clean runs' vectors at a place. 1 forward per example for all places of a split."""
        self.prefetch(split, [place])
        return self._recorded(split)[place]

    def _recorded(self, split: str) -> dict[Place, Tensor]:
        return self._known.setdefault(("vectors", split), ({}, 0.0, 0.0))[0]

    def prefetch(self, split: str, places: Sequence[Place]) -> None:
        """Record several places in one run of the split; whatever is recorded costs 1 forward per example in all."""
        if ("vectors", split) not in self._paid:
            self._paid.add(("vectors", split))
            self.engine.cost.add(len(self.rows(split)))
        recorded = self._recorded(split)
        if missing := [place for place in places if place not in recorded]:
            spent = replace(self.engine.cost)
            recorded |= self._record(split, missing)
            self.engine.cost.forwards = spent.forwards

    def _record(self, split: str, missing: Sequence[Place]) -> dict[Place, Tensor]:
        n_layers = self.engine.graph.n_layers
        wanted = list(dict.fromkeys(site for place in missing for site, _ in sites(place, n_layers)))
        parts: dict[Place, list[Tensor]] = {place: [] for place in missing}
        for tokens, at in self._batches(split):
            found = self.engine.record(tokens, wanted)
            for place in missing:
                parts[place].append(read(found, place, n_layers, at(place.position)).float().cpu())
        return {place: torch.cat(tensors) for place, tensors in parts.items()}

    # -- swaps

    def swap(self, split: str, place: Place, featurizer: Featurizer, kind: str = CAUSE) -> NDArray[np.int64]:
        """``[m]``: what the model says on each pair with the featurizer's part taken from the source. 1 forward.

        Made once for all metrics that ask for it, and paid for by each.
        """
        pairs, vectors = self.pairs(split, kind), self.vectors(split, place)

        def make() -> NDArray[np.int64]:
            new = featurizer.swap(vectors[pairs.base], vectors[pairs.source])
            return self.put(split, pairs.base, place, new)

        return self.once(("swap", split, kind, place, featurizer.digest()), make)

    def put(self, split: str, rows: NDArray[np.int64], place: Place, new: Tensor) -> NDArray[np.int64]:
        """``[m]``: what the model says on these rows with ``new`` ``[m, d]`` at the place. 1 forward."""
        parts = [self.said(self.logits(split, rows[i], place, new[i])) for i in self._chunks(len(rows))]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def logits(self, split: str, rows: NDArray[np.int64], place: Place, new: Tensor, grad: bool = False) -> Tensor:
        """``[m, V]``: logits of these rows in one batch with ``new`` at the place; differentiable in it with ``grad``.

        1 forward (and 1 backward). Layers before the place are not run again: the recorded stream enters its layer.
        """
        tokens, at = self._batch([self.rows(split)[i] for i in rows])
        where = at(place.position)
        changes = taps(place, self.engine.graph.n_layers, where, new.to(self.engine.device), self.widths)
        hidden = self._streams(split).entering(place.layer, rows, tokens)
        return self.engine.put(tokens, changes, grad, place.layer, hidden)

    def _streams(self, split: str) -> Streams:
        make = partial(self._batches, split)
        return self._known.setdefault(("streams", split), (Streams(self.engine, make), 0.0, 0.0))[0]

    def share(self, split: str, place: Place, featurizer: Featurizer, kind: str = CAUSE) -> float:
        """Share of the counted pairs on which a swap gives the target; nan where no pair counts."""
        counted = self.counted(split, kind)
        hits = self.swap(split, place, featurizer, kind) == self.pairs(split, kind).target
        return float(hits[counted].mean()) if counted.any() else float("nan")

    # -- batches

    def _chunks(self, n: int) -> Iterator[NDArray[np.int64]]:
        """Indices of a batch each; vectors are put into many prompts at once."""
        for start in range(0, n, max(1, self.batch_size)):
            yield np.arange(start, min(start + self.batch_size, n))

    def _batches(self, split: str) -> Iterator[tuple[Tokens, Callable[[str], Tensor]]]:
        rows = self.rows(split)
        for chunk in self._chunks(len(rows)):
            yield self._batch([rows[i] for i in chunk])

    def _batch(self, rows: Sequence[Row]) -> tuple[Tokens, Callable[[str], Tensor]]:
        """Padded prompts, and what tells the index ``[B]`` of a named position in them."""
        tokens = pad([row["ids"] for row in rows], self.engine.pad_id, self.padding_side).to(self.engine.device)

        def at(name: str) -> Tensor:
            return torch.tensor([row["positions"][name] for row in rows], device=tokens.ids.device) + tokens.offset

        return tokens, at

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What ``make`` finds, made once for all views and paid for once by each."""
        cost = self.engine.cost
        if key not in self._known:
            before = (cost.forwards, cost.backwards)
            found = make()
            self._known[key] = found, cost.forwards - before[0], cost.backwards - before[1]
        elif key not in self._paid:
            cost.add(*self._known[key][1:])
        self._paid.add(key)
        return self._known[key][0]

    def seen_by_methods(self) -> VariableData:
        """The same without the test split, sharing what is known."""
        return replace(self, visible=("train", "validation"), _paid=set())

    def for_training(self) -> VariableData:
        """The same in batches and with a padding that nobody chooses: what is trained would hang on their rounding."""
        known = self._known.setdefault(("training",), ({}, 0.0, 0.0))[0]
        return replace(self, batch_size=TRAINING_ROWS, padding_side="left", _known=known, _paid=self._paid)

    def in_full(self) -> VariableData:
        """The same with the test split, for scoring."""
        return replace(self, visible=("train", "validation", "test"), _paid=set())

    def control(self, name: str, **changes: Any) -> VariableData:
        """The same prompts with another model, other labels or other targets, or at one place (no part of the name).

        Shared with these is what hangs on prompts and model alone, where the model is the same, and with all who ask
        for a control of this name, which must say what is changed, everything; all is paid for again.
        """
        same = ("answers", "tokens", *(() if "engine" in changes else ("vectors", "streams", "right", "dictionary")))
        known = self._known.setdefault(("control", name), ({}, 0.0, 0.0))[0]
        for split in self.examples:  # so that what is recorded later is shared too
            self._recorded(split), self._streams(split)
        known |= {key: found for key, found in self._known.items() if key[0] in same and key not in known}
        return replace(self, _known=known, _paid=set(), **changes)
