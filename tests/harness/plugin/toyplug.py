"""A third-party plug-in, installed by its ``dist-info`` beside it: cheap tasks, methods and metrics that can go wrong.

Each method's run adds a line to the file in ``TOY_LOG``, so that a test can count them.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from datasets import Dataset, DatasetDict

from bench.method import Method, Skip
from bench.metric import HandCase, Metric
from bench.task import CausalModel, DataRequest, Task, TaskData, TaskError


class Nothing(CausalModel):
    variables = ("x",)
    classes = (("x",),)

    def interchange(self, base, source, variable):
        return dict(base)


class Toy(Task):
    """Pairs of numbers."""

    name = "toy"
    source = "made up"
    counterfactuals = ("swap", "other")
    default_counterfactual = "swap"
    gate = 0.0
    chance = ".5"
    causal_model = Nothing()
    extra_tokens = 0
    sizes: ClassVar[dict] = {"train": 6, "validation": 4, "test": 10}

    def build(self, tokenizer, request: DataRequest) -> TaskData:
        sizes = {**self.sizes, **(request.sizes or {})}
        rng = np.random.default_rng(request.seed)
        splits = {split: Dataset.from_list([self._row(rng, i) for i in range(n)]) for split, n in sizes.items()}
        return TaskData(DatasetDict(splits), {"numbers": 1.0})

    def _row(self, rng, i):
        a, b = (int(x) for x in rng.choice(np.arange(1, 20), size=2, replace=False))
        ids = [a, b, a, *([a] * (i % 3))]
        other = [b, a, b, *([b] * (i % 3)), *([a] * self.extra_tokens)]
        swapped = {"prompt": str(other), "ids": other, "answer": str(a), "answer_id": a, "values": {"x": str(b)}}
        return {
            "prompt": str(ids), "ids": ids, "answer": str(b), "wrong": str(a), "answer_id": b, "wrong_id": a,
            "positions": {"END": len(ids) - 1}, "template": "t", "cluster": f"c{i}", "values": {"x": str(a)},
            "counterfactuals": {"swap": swapped, "other": swapped},
        }  # fmt: skip


class Uneven(Toy):
    """A task whose pairs differ in length."""

    name = "toy_uneven"
    extra_tokens = 1


@dataclass
class Unreadable(Toy):
    """A task that fits no tokenizer, and none of the user's examples."""

    name: ClassVar[str] = "toy_unreadable"
    words: int = 2

    def check_parameters(self):
        if self.words > 9:
            raise TaskError(f"task.words is {self.words}; there are 9")

    def build(self, tokenizer, request):
        raise TaskError(f"0 of {self.words} words are one token; take another model")


@dataclass
class ToyMethod(Method):
    name: ClassVar[str] = "toy"
    level: ClassVar[str] = "node"
    scale: float = 1.0

    def scores(self, job):
        if log := os.environ.get("TOY_LOG"):
            with open(log, "a") as stream:
                stream.write(f"{self.label()} seed={job.seed}\n")
        job.engine.cost.add(forwards=job.n_examples["train"])
        return self.values(job)

    def values(self, job):
        return self.scale * np.arange(len(job.graph.names(self.level)), dtype=float)


@dataclass
class Fixed(ToyMethod):
    """Always the same."""

    name: ClassVar[str] = "toy_fixed"


@dataclass
class Chance(ToyMethod):
    """Random."""

    name: ClassVar[str] = "toy_chance"
    stochastic: ClassVar[bool] = True

    def values(self, job):
        return job.generator().normal(size=len(job.graph.names(self.level)))


@dataclass
class NotANumber(ToyMethod):
    name: ClassVar[str] = "toy_nan"

    def values(self, job):
        return super().values(job) * np.nan


@dataclass
class Raises(ToyMethod):
    name: ClassVar[str] = "toy_raises"

    def values(self, job):
        raise RuntimeError(f"could not read /home/somebody/secret/file.txt at {hex(id(self))}")


@dataclass
class Skips(ToyMethod):
    name: ClassVar[str] = "toy_skips"

    def values(self, job):
        raise Skip("too dear: 10 passes")


@dataclass
class Slow(ToyMethod):
    name: ClassVar[str] = "toy_slow"
    wait: float = 60.0

    def values(self, job):
        time.sleep(float(os.environ.get("TOY_WAIT", "60")))
        return super().values(job)


@dataclass
class Dies(ToyMethod):
    name: ClassVar[str] = "toy_dies"

    def values(self, job):
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Moody(ToyMethod):
    """Raises under one seed and dies under another, as the environment says."""

    name: ClassVar[str] = "toy_moody"
    stochastic: ClassVar[bool] = True

    def values(self, job):
        if str(job.seed) == os.environ.get("TOY_RAISES_AT"):
            raise RuntimeError("not today")
        if str(job.seed) == os.environ.get("TOY_DIES_AT"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().values(job) + job.seed


@dataclass
class Eats(ToyMethod):
    name: ClassVar[str] = "toy_eats"

    def values(self, job):
        hoard = [np.ones(2**17) for _ in range(4000)]  # 4 GiB, one MiB at a time
        time.sleep(60)
        return super().values(job) + len(hoard)


@dataclass
class WrongShape(ToyMethod):
    name: ClassVar[str] = "toy_shape"

    def values(self, job):
        return np.zeros(1)


@dataclass
class Peeks(ToyMethod):
    """Asks for what a method must not see."""

    name: ClassVar[str] = "toy_peeks"

    def values(self, job):
        return list(job.batches("test"))


class Impostor:
    """No method at all."""

    name = "toy_impostor"


@dataclass
class Sum(Metric):
    """Mean of the scores, from no run of the model."""

    name: ClassVar[str] = "toy_sum"
    uses_ablation: ClassVar[bool] = False

    def measure(self, explanation, context):
        return {"mean": np.array([float(explanation.scores.mean())])}

    def reduce(self, arrays, weights=None):
        value = arrays["mean"][0]
        return {"": np.float64(value) if weights is None else np.full(len(weights), value)}

    @classmethod
    def hand_case(cls):
        return HandCase({"mean": np.array([1.0])}, {"": 1.0})


@dataclass
class Curve(Metric):
    """Mean logit difference, plus the mean score."""

    name: ClassVar[str] = "toy_curve"
    bonus: float = 0.0

    def measure(self, explanation, context):
        found = []
        for batch in context.batches():
            logits = context.engine.logits(batch.clean)
            rows = np.arange(len(batch))
            found.append((logits[rows, batch.answer] - logits[rows, batch.wrong]).double().numpy())
        return {"diff": np.concatenate(found) + self.bonus + float(explanation.scores.mean())}

    def reduce(self, arrays, weights=None):
        x = arrays["diff"]
        return {"": x.mean() if weights is None else weights @ x / weights.sum(axis=1)}

    @classmethod
    def hand_case(cls):
        return HandCase({"diff": np.array([1.0, 2.0])}, {"": 1.5})


@dataclass
class BadMetric(Curve):
    name: ClassVar[str] = "toy_bad_metric"

    def measure(self, explanation, context):
        raise ZeroDivisionError("nothing to divide by")
