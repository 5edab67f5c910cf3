"""The loop that all trained featurizers share: seeded, shown as it goes, stopped at the step where it goes wrong."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.method import Handed, Job, Skip
from bench.variable.data import VariableData
from bench.variable.featurizer import Featurizer
from bench.variable.method import VariableMethod
from bench.variable.places import Place
from methods.masks.training import History, TrainingError

MIN_PAIRS = 8
"""Counted pairs of train below which nothing is trained."""


class Part(nn.Module):
    """The part of a difference that a swap carries over, with parameters; float32 on the CPU."""

    @abstractmethod
    def forward(self, change: Tensor) -> Tensor:
        """``[n, d]``: the part of ``change`` ``[n, d]``."""

    @abstractmethod
    def featurizer(self) -> Featurizer:
        """What is handed over, masks made binary."""

    def price(self) -> Tensor:
        """What is added to the cross-entropy."""
        return torch.zeros(())

    def anneal(self, share: float) -> None:
        """Told before each step which share of the training is over, from 0 to 1."""

    def settle(self) -> None:
        """Told after each step; may bring parameters back to where they belong."""

    def rates(self) -> dict[str, float]:
        """Learning rates of parameters (by name) that have one of their own."""
        return {}


class Keeper:
    """What a trained method keeps while it explains; no dataclass, so that it is no parameter."""

    histories: dict[str, History]
    progress: tuple[Any, int] | None = None
    """The job's, and the steps of all places together."""


@dataclass
class TrainedFeaturizer(Keeper, VariableMethod):
    """Base of featurizers that an optimiser finds: minimised is the cross-entropy, over the whole vocabulary at the
    answer's position, of what the causal model says after the interchange, with the model frozen.

    Each step sees one minibatch of the train pairs that count: every epoch deals them anew into ``minibatches``
    parts. ``steps`` always stands in the name of the row.
    """

    stochastic: ClassVar[bool] = True
    steps: int = 300
    lr: float = 0.05
    minibatches: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        self.histories = {}
        if self.steps < 1 or self.minibatches < 1:
            raise ValueError(f"steps={self.steps}, minibatches={self.minibatches}: give at least 1 of each")
        if not self.lr > 0:
            raise ValueError(f"lr={self.lr}: give a positive number")

    @abstractmethod
    def part(self, data: VariableData, place: Place, generator: torch.Generator) -> Part:
        """Where the training starts."""

    def rate(self, step: int) -> float:
        """Factor on the learning rates at ``step`` (from 1): up over the first tenth of the steps, then down to 0."""
        rise = self.steps / 10
        return min(step / max(rise, 1.0), (self.steps - step + 1) / max(self.steps - rise, 1.0), 1.0)

    def label(self) -> str:
        name, _, rest = super().label().partition("[")
        shown = [part for part in rest.rstrip("]").split(",") if part and not part.startswith("steps=")]
        return f"{name}[{','.join(sorted([*shown, f'steps={self.steps}']))}]"

    def explain(self, job: Job) -> Handed:
        self.histories, self.progress = {}, (job.progress, self.steps)
        found = super().explain(job)
        training = {site: history.summary() for site, history in self.histories.items()}
        return replace(found, extra={**found.extra, "training": training})

    def _fitted(self, places: list[Place], chosen: Place) -> list[Place]:
        found = super()._fitted(places, chosen)
        if self.progress is not None:
            self.progress = self.progress[0], self.steps * len(found)
        return found

    def fit(self, data: VariableData, place: Place, seed: int) -> Featurizer:
        generator = torch.Generator().manual_seed(seed)
        pairs = Pairs(data, place, self.minibatches, generator)
        part = self.part(pairs.data, place, generator)
        self._train(pairs, part)
        return part.featurizer()

    def _train(self, pairs: Pairs, part: Part) -> None:
        own = part.rates()
        groups = [{"params": [p], "lr": own.get(name, self.lr)} for name, p in part.named_parameters()]
        optimizer = torch.optim.Adam(groups)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: self.rate(done + 1))
        history = self.histories.setdefault(str(pairs.place), History())
        before = sum(len(h.losses) for h in self.histories.values())
        for step in range(1, self.steps + 1):
            part.anneal((step - 1) / max(self.steps - 1, 1))
            optimizer.zero_grad()
            with torch.enable_grad():
                loss = pairs.loss(part)
                total = loss + part.price()
                self._demand(bool(torch.isfinite(total)), f"the loss is {float(total.detach())}", step)
                total.backward()
            optimizer.step()
            schedule.step()
            part.settle()
            finite = all(bool(torch.isfinite(p).all()) for p in part.parameters())
            self._demand(finite, "the parameters are not finite", step)
            history.losses.append(float(loss.detach()))
            if self.progress is not None:
                self.progress[0](before + step, self.progress[1])

    def _demand(self, kept: bool, problem: str, step: int) -> None:
        if not kept:
            raise TrainingError(f"{self.name}: {problem} at step {step} of {self.steps}")


class Pairs:
    """The train pairs that count, dealt into minibatches, with the vectors at a place. 2 forwards per example."""

    def __init__(self, data: VariableData, place: Place, parts: int, generator: torch.Generator) -> None:
        found, counted = data.pairs("train"), data.counted("train")
        if counted.sum() < max(MIN_PAIRS, parts):
            raise Skip(
                f"{found.n} train examples give {len(found)} pairs whose answer changes with {data.variable}, of which"
                f" {int(counted.sum())} are answered right on both sides; {max(MIN_PAIRS, parts)} are needed to train"
            )
        self.data, self.place = data.for_training(), place
        vectors = self.data.vectors("train", place)
        self.rows, source = found.base[counted], found.source[counted]
        self.target = torch.as_tensor(found.target[counted])
        self.base = vectors[self.rows]
        self.change = vectors[source] - self.base
        self._dealt = self._deal(parts, generator)

    def __len__(self) -> int:
        return len(self.rows)

    def loss(self, part: Part) -> Tensor:
        """The mean cross-entropy of the next minibatch. 1 forward and 1 backward per pair in it."""
        return self.loss_on(next(self._dealt), part)

    def loss_on(self, index: Tensor, part: Part) -> Tensor:
        """The same of the pairs at ``index``."""
        new = self.base[index] + part(self.change[index])
        logits = self.data.logits("train", self.rows[index.numpy()], self.place, new, grad=True)
        return cross_entropy(logits.float(), self.target[index].to(logits.device)).to(new.device)

    def _deal(self, parts: int, generator: torch.Generator) -> Iterator[Tensor]:
        while True:
            yield from torch.randperm(len(self), generator=generator).tensor_split(parts)
