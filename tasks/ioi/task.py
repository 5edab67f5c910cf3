"""The task ``ioi``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict

from bench.task import SPLITS, DataRequest, Task, TaskData, TaskError
from tasks._common import Encoder, load_examples, shipped
from tasks.ioi.causal import IOICausalModel
from tasks.ioi.fillers import NAMES, OBJECTS, PLACES
from tasks.ioi.generator import Screen, draw, rows, screen
from tasks.ioi.prompts import COUNTERFACTUALS, Pool
from tasks.ioi.reading import name_positions
from tasks.ioi.templates import TEMPLATES
from tasks.ioi.vocabulary import Vocabulary, pools, read_vocabulary

SIZES = {"train": 128, "validation": 64, "test": 200}


@dataclass
class IOI(Task):
    """Indirect-object identification: "When Mary and John went to the store, John gave a ring to" -> Mary.

    Two names in the first clause, one of them said again (S); the answer is the other one (IO). In ABBA prompts S is
    the second name, in BABA prompts the first.

    Source: Wang et al. 2022, "Interpretability in the Wild", arXiv:2211.00593 (templates and fillers are our own).
    Accuracy is the share of examples whose answer has a larger logit than the wrong answer; chance is .5 (over the
    whole vocabulary about one in its size). The gate is an accuracy of .75 on test, halfway up from chance: a model
    that either knows the answer or guesses knows it for half of the prompts there, and below that most of what there
    is to explain is guessing.

    Fillers. A name is used where it is one token, the same one in each of its three places and as the answer; places
    and objects are one token. Templates with words unknown to the tokenizer, or in which the names change, are out.
    Names, places and objects are dealt to the splits and belong to one each. Then, where the request carries a model,
    templates are screened on prompts of train, and names on such prompts too: a name of validation or test stands
    there beside a name of train, among the places and objects of train. So the test names are names that the model
    can handle, while no test prompt, pair of names, place or object is seen before scoring, and the accuracy on test
    is that of such names, not of any name. What is left is in ``TaskData.kept``, as shares of what was offered;
    ``*_screened`` are shares of what the tokenizer left.

    Counterfactuals (see :mod:`tasks.ioi.prompts`): ``s2_io_flip``, ``abc``, ``random_names``, ``s1_io_flip``,
    ``s1_io_flip_s2_io_flip`` and the control ``random``.

    Examples of one's own (``DataRequest.source``, see :mod:`tasks._common.user_data`) are taken as they are, without
    screening. Where they name no positions and each prompt holds the answer once and the wrong answer twice, the
    positions of the names are found.
    """

    gate: float = 0.75
    templates: Sequence[str] | None = None
    """Keys of :data:`tasks.ioi.templates.TEMPLATES`; all where None."""
    names: Sequence[str] | None = None
    """Names to choose from; the list of :mod:`tasks.ioi.fillers` where None. Likewise ``places`` and ``objects``."""
    places: Sequence[str] | None = None
    objects: Sequence[str] | None = None
    screen_templates: float = 0.75
    """Share of screening prompts that the model must get right in a template to keep it."""
    screen_names: float = 0.75
    screen_prompts: int = 12
    """Screening prompts per name; a template gets three times as many. 0 switches screening off."""

    name = "ioi"
    version = "1"
    source = "Wang et al. 2022, arXiv:2211.00593"
    counterfactuals = tuple(COUNTERFACTUALS)
    default_counterfactual = "s2_io_flip"
    chance = "accuracy .5 between the two names; about one in the vocabulary's size over all tokens"
    sizes = SIZES
    causal_model = IOICausalModel()

    def check_parameters(self) -> None:
        """See :class:`bench.task.Task`."""
        self._offered()

    def build(self, tokenizer: Any, request: DataRequest) -> TaskData:
        """See :class:`bench.task.Task`. Raises :class:`TaskError` where fillers or examples do not suffice."""
        encoder = Encoder(tokenizer)
        if request.source is not None:
            return load_examples(encoder, request, find_positions=name_positions)
        sizes = self._sizes(request)
        offered = self._offered()
        vocabulary = read_vocabulary(encoder, *offered)
        parts = pools(vocabulary, _rng(request, 0))
        if self.screen_prompts:
            rule = Screen(self.screen_templates, self.screen_names, self.screen_prompts)
            parts_kept = screen(encoder, parts, request, rule, _rng(request, 1))
        else:
            parts_kept = parts
        splits = {s: self._examples(encoder, parts_kept[s], sizes[s], request, i) for i, s in enumerate(SPLITS)}
        return TaskData(DatasetDict(splits), _shares(offered, vocabulary, parts_kept))

    def planted(self, variant: str | None = None) -> dict[int, Path]:
        """See :class:`bench.task.Task`."""
        return shipped(__file__, variant)

    def _examples(self, encoder: Encoder, pool: Pool, n: int, request: DataRequest, stream: int) -> Dataset:
        prompts = draw(pool, n, _rng(request, 2, stream))
        rng = _rng(request, 3, stream)
        return Dataset.from_list(rows(encoder, prompts, pool, self.causal_model, rng))

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

    def _offered(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """Templates, names, places and objects to choose from."""
        templates = tuple(self.templates or TEMPLATES)
        unknown = [t for t in templates if t not in TEMPLATES]
        if unknown:
            raise TaskError(f"ioi has no template {unknown[0]!r}; it has {', '.join(TEMPLATES)}")
        fillers = (self.names or NAMES), (self.places or PLACES), (self.objects or OBJECTS)
        names, places, things = (tuple(dict.fromkeys(words)) for words in fillers)
        return templates, names, places, things


def _rng(request: DataRequest, *stream: int) -> np.random.Generator:
    return np.random.default_rng([request.seed, *stream])


def _shares(offered: tuple[tuple[str, ...], ...], read: Vocabulary, parts: dict[str, Pool]) -> dict[str, float]:
    names = sum(len(pool.names) for pool in parts.values())
    templates = len(set().union(*(pool.templates for pool in parts.values())))
    return {
        "templates": templates / len(offered[0]),
        "names": names / len(offered[1]),
        "places": len(read.places) / len(offered[2]),
        "objects": len(read.things) / len(offered[3]),
        "templates_screened": templates / len(read.templates),
        "names_screened": names / len(read.names),
    }
