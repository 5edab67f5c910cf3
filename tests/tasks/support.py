"""Building small data sets, and reading prompts without the task's own code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

from bench.task import SPLITS, DataRequest, TaskData
from tasks.ioi import IOI
from tasks.ioi.fillers import NAMES, OBJECTS, PLACES
from tests.tasks import tokenizers

KINDS = {
    "word_level": tokenizers.word_level,
    "byte_level": tokenizers.byte_level,
    "byte_level_bos": lambda: tokenizers.byte_level(bos=True),
    "metaspace": tokenizers.metaspace,
}
SMALL = {"train": 24, "validation": 24, "test": 48}


@cache
def data(kind: str, seed: int = 0, full: bool = False) -> TaskData:
    return IOI().build(KINDS[kind](), DataRequest(seed=seed, sizes=None if full else SMALL))


def rows(found: TaskData) -> list[dict[str, Any]]:
    return [row for split in SPLITS for row in found.split(split)]


def prompts(row: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The clean prompt and the counterfactual ones, by name."""
    yield "clean", row
    yield from row["counterfactuals"].items()


def words(prompt: str) -> list[str]:
    return re.findall(r"[A-Za-z]+", prompt)


def said(prompt: str, fillers: tuple[str, ...]) -> list[str]:
    """The fillers in a prompt, in order."""
    return [word for word in words(prompt) if word in fillers]


def names(prompt: str) -> list[str]:
    return said(prompt, NAMES)


def places(prompt: str) -> list[str]:
    return said(prompt, PLACES)


def things(prompt: str) -> list[str]:
    return said(prompt, OBJECTS)


def read(prompt: str) -> dict[str, str]:
    """The causal model's values, read off the text: who is said twice, and where first."""
    first, second, last = names(prompt)
    twice = [name for name, n in Counter((first, second, last)).items() if n == 2]
    once = [name for name, n in Counter((first, second, last)).items() if n == 1]
    slot = ("first" if prompt.index(twice[0]) == prompt.index(first) else "second") if twice else "none"
    return {"A": first, "B": second, "S": last, "D": slot, "I": slot, "N": once[0] if twice else ""}
