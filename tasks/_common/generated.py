"""What every task with a generator does: read the tokenizer, deal fillers, screen them, draw examples of each split."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset, DatasetDict

from bench.task import SPLITS, DataRequest, Task, TaskData, TaskError
from tasks._common.fillers import deal
from tasks._common.items import Item, Pool
from tasks._common.planted import shipped
from tasks._common.rows import fits, row
from tasks._common.screening import keep, rates, right
from tasks._common.tokens import Encoder
from tasks._common.user_data import load_examples

LEAST_CLUSTERS = 40
"""Clusters that a test split must have, where no fewer examples were asked for."""
TRIES = 200


class GeneratedTask(Task):
    """A task whose examples come from templates and fillers.

    A subclass says what it offers (:meth:`offered`), what of it a tokenizer can read (:meth:`readable`), how many of
    which words a split needs (``least``), and how one example is drawn (:meth:`item`).
    """

    sizes: ClassVar[Mapping[str, int]] = {"train": 128, "validation": 64, "test": 200}
    least: ClassVar[Mapping[str, Mapping[str, int]]] = {}
    """By kind of words, how many each split needs; these are dealt to the splits, so that none is in two."""
    screened: ClassVar[tuple[str, ...]] = ()
    """Kinds of words that are screened per model, in this order; those that are not dealt (templates) come first."""
    least_screened: ClassVar[int] = 2
    """Words of a kind that is not dealt that stay in any case."""
    screen_share: float = 0.75
    """Share of screening prompts that the model must get right with a word to keep it."""
    screen_prompts: int = 12
    """Screening prompts per word; 0 switches screening off."""

    @abstractmethod
    def offered(self) -> dict[str, tuple[str, ...]]:
        """All words by kind, as configured. Raises :class:`TaskError` for unknown templates and the like."""

    @abstractmethod
    def readable(self, encoder: Encoder, offered: Pool) -> dict[str, tuple[str, ...]]:
        """What of ``offered`` the tokenizer can be asked about (see :func:`tasks._common.fillers.single`).

        Raises :class:`TaskError` that says what cannot be read, and why.
        """

    @abstractmethod
    def item(self, pool: Pool, number: int, rng: np.random.Generator) -> Item | None:
        """Example ``number`` of a split (cycle through templates by it), or None where the draw did not work out."""

    def check_parameters(self) -> None:
        """See :class:`bench.task.Task`."""
        self.offered()

    def build(self, tokenizer: Any, request: DataRequest) -> TaskData:
        """See :class:`bench.task.Task`. Raises :class:`TaskError` where fillers or examples do not suffice."""
        encoder = Encoder(tokenizer)
        if request.source is not None:
            return self.own(encoder, request)
        sizes = self._sizes(request)
        offered = self.offered()
        usable = self.readable(encoder, offered)
        parts = deal(usable, self.least, _rng(request, 0))
        kept = self._screen(encoder, parts, request) if self.screen_prompts else parts
        splits = {}
        for i, split in enumerate(SPLITS):
            items = self._draw(encoder, kept[split], sizes[split], _rng(request, 2, i), split)
            splits[split] = Dataset.from_list([row(encoder, item) for item in items])
        return TaskData(DatasetDict(splits), shares(offered, usable, kept, self.screened))

    def judging(self, train: Pool, kind: str, word: str) -> Pool:
        """The pool that ``word`` is judged with: train's, but that ``kind`` has the word (first, where it is dealt).

        A subclass whose draws would seldom hold the word leaves out what stands in its way.
        """
        beside = [w for w in train[kind] if w != word] if kind in self.least else []
        return {**train, kind: (word, *beside)}

    def own(self, encoder: Encoder, request: DataRequest) -> TaskData:
        """The user's own examples, see :mod:`tasks._common.user_data`."""
        return load_examples(encoder, request)

    def planted(self, variant: str | None = None) -> dict[int, Path]:
        """See :class:`bench.task.Task`."""
        return shipped(inspect.getfile(type(self)), variant)

    def _sizes(self, request: DataRequest) -> dict[str, int]:
        asked = dict(request.sizes or {})
        unknown = [split for split in asked if split not in SPLITS]
        if unknown:
            raise TaskError(f"task.sizes has no split {unknown[0]!r}; the splits are {', '.join(SPLITS)}")
        sizes = {**self.sizes, **asked}
        for split, n in sizes.items():
            if n < 1:
                raise TaskError(f"task.sizes.{split} is {n}; at least 1 example is needed")
        return sizes

    def _draw(self, encoder: Encoder, pool: Pool, n: int, rng: np.random.Generator, split: str) -> list[Item]:
        """``n`` different examples whose counterfactuals are as long as they are; in test, new clusters come first.

        Raises :class:`TaskError` where the pool has too few, or too few clusters for the test split.
        """
        found, clusters = dict[str, Item](), set[str]()
        needed = min(LEAST_CLUSTERS, n) if split == "test" else 0
        for number in range(n):
            chosen = None
            for item in self._tries(pool, number, rng):
                if item.clean.text in found or not fits(encoder, item):
                    continue
                chosen = item if chosen is None or item.cluster not in clusters else chosen
                if len(clusters) >= needed or chosen.cluster not in clusters:
                    break
            if chosen is None:
                raise TaskError(
                    f"{n} different examples were asked for {split}, but the words that this tokenizer and model left "
                    f"gave only {len(found)}; ask for fewer (task.sizes.{split}) or offer more words"
                )
            found[chosen.clean.text] = chosen
            clusters.add(chosen.cluster)
        if len(clusters) < needed:
            raise TaskError(f"the test split has {len(clusters)} clusters, {needed} are needed; offer more words")
        return list(found.values())

    def _tries(self, pool: Pool, number: int, rng: np.random.Generator) -> Iterator[Item]:
        for _ in range(TRIES):
            item = self.item(pool, number, rng)
            if item is not None:
                yield item

    def _screen(self, encoder: Encoder, parts: Mapping[str, Pool], request: DataRequest) -> dict[str, Pool]:
        """Drop words on which the model is right too rarely; the pools as they are where no model was given.

        Words that are not dealt (templates) are judged on train prompts and dropped everywhere. Dealt words of every
        split are judged in prompts that are train's but for that word (and the words of its kind drawn beside it).
        """
        pools, rng = {split: dict(pool) for split, pool in parts.items()}, _rng(request, 1)
        if request.choose is None and request.predict is None:
            return dict(pools)
        for kind in self.screened:
            dealt = kind in self.least
            for split in SPLITS if dealt else ("train",):
                words = pools[split][kind]
                judged = {word: self._judge(encoder, pools["train"], kind, word, request, rng) for word in words}
                needed = self.least[kind][split] if dealt else self.least_screened
                good = tuple(keep(words, judged, self.screen_share, needed))
                for changed in [split] if dealt else SPLITS:
                    pools[changed][kind] = good
        return dict(pools)

    def _judge(
        self, encoder: Encoder, train: Pool, kind: str, word: str, request: DataRequest, rng: np.random.Generator
    ) -> float:
        """Share of right answers on train prompts that hold ``word``; 0 where none can be made."""
        pool, items = self.judging(train, kind, word), list[Item]()
        for number in range(self.screen_prompts):
            held = (i for i in self._tries(pool, number, rng) if (kind, word) in i.labels and fits(encoder, i))
            items += [item for item in [next(held, None)] if item is not None]
        if not items:
            return 0.0
        texts = [item.clean.text for item in items]
        answers = [encoder.answer(item.clean.text, item.clean.answer, item.glued) for item in items]
        wrongs = [encoder.answer(item.clean.text, item.wrong, item.glued) for item in items]
        correct = right(request, [encoder.ids(text) for text in texts], answers, wrongs) or []
        return rates(correct, [[word]] * len(correct))[word]


def shares(offered: Pool, usable: Pool, kept: Mapping[str, Pool], screened: Sequence[str]) -> dict[str, float]:
    """What was kept, as shares of what was offered; ``*_screened`` are shares of what the tokenizer left."""
    left = {kind: set().union(*(kept[split][kind] for split in SPLITS)) for kind in usable}
    found = {kind: len(left[kind]) / len(words) for kind, words in offered.items() if kind in left and words}
    return found | {f"{kind}_screened": len(left[kind]) / len(usable[kind]) for kind in screened if usable[kind]}


def _rng(request: DataRequest, *stream: int) -> np.random.Generator:
    return np.random.default_rng([request.seed, *stream])

