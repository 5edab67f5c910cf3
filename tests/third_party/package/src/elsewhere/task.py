"""Say the second word again."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from datasets import Dataset, DatasetDict

from bench.task import CausalModel, DataRequest, Task, TaskData


class Second(CausalModel):
    variables = ("second",)
    classes = (("second",),)

    def interchange(self, base, source, variable):
        return {"second": source["second"], "answer": source["second"]}


@dataclass
class Pairs(Task):
    """Two words, of which the second is to be said again."""

    name: ClassVar[str] = "elsewhere_pairs"
    source: ClassVar[str] = "made up"
    counterfactuals: ClassVar[tuple[str, ...]] = ("swap",)
    default_counterfactual: ClassVar[str] = "swap"
    gate: ClassVar[float] = 0.0
    chance: ClassVar[str] = ".5"
    causal_model: ClassVar[CausalModel] = Second()
    words: int = 8

    def build(self, tokenizer, request: DataRequest) -> TaskData:
        rng = np.random.default_rng(request.seed)
        sizes = {"train": 6, "validation": 4, "test": 44, **(request.sizes or {})}
        splits = {split: [self._row(rng, i) for i in range(n)] for split, n in sizes.items()}
        return TaskData(DatasetDict({split: Dataset.from_list(rows) for split, rows in splits.items()}), {})

    def _row(self, rng, number):
        a, b = (int(x) for x in rng.choice(np.arange(1, self.words + 1), size=2, replace=False))
        swapped = {
            "prompt": f"w{b} w{a}",
            "ids": [b, a],
            "answer": f"w{a}",
            "answer_id": a,
            "values": {"second": f"w{a}"},
        }
        return {
            "prompt": f"w{a} w{b}", "ids": [a, b], "answer": f"w{b}", "wrong": f"w{a}", "answer_id": b, "wrong_id": a,
            "positions": {"END": 1}, "template": "pair", "cluster": f"c{number}", "values": {"second": f"w{b}"},
            "counterfactuals": {"swap": swapped},
        }  # fmt: skip
