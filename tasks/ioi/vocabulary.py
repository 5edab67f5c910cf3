"""Which templates, names, places and objects a tokenizer can be asked about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from bench.task import SPLITS, TaskError
from tasks._common import Encoder, cuts, divide
from tasks.ioi.prompts import Pool, fill
from tasks.ioi.templates import TEMPLATES, UNFIT

LEAST_CLUSTERS = 40
"""Clusters (template times pair of names) that the test split must be able to hold."""

LEAST_NAMES = 5
"""Names that a split needs: two for the prompt and three others for ``abc``."""


@dataclass(frozen=True)
class Vocabulary:
    """Templates without unknown words, and fillers that are one known token in each of their places."""

    templates: tuple[str, ...]
    names: tuple[str, ...]
    places: tuple[str, ...]
    things: tuple[str, ...]
    lengths: Mapping[str, int]
    """Tokens of a prompt, by template."""

    def fitting(self, template: str, slot: str, fillers: Iterable[str]) -> tuple[str, ...]:
        """The fillers that read well in the template's slot; one empty word where it has no such slot."""
        if f"{{{slot}}}" not in TEMPLATES[template]:
            return ("",)
        return tuple(word for word in fillers if word not in UNFIT.get(template, ()))


def read_vocabulary(
    encoder: Encoder, templates: Sequence[str], names: Sequence[str], places: Sequence[str], things: Sequence[str]
) -> Vocabulary:
    """Keep what is one known token in every place: a name the same one in all slots and as the answer.

    A template in which fewer than half as many names pass as in the best one is left out (with most byte-level
    tokenizers those that begin with a name, where it lacks its leading space).
    Raises :class:`TaskError` where no template or too few fillers are left.
    """
    words = {"A": names[0], "B": names[0], "S": names[0], "PLACE": places[0], "OBJECT": things[0]}
    known = [t for t in templates if encoder.knows(fill(TEMPLATES[t], dict.fromkeys(words, " "))[0])]
    passing = {t: _names(encoder, TEMPLATES[t], names, words) for t in known}
    most = max((len(ok) for ok in passing.values()), default=0)
    kept = tuple(t for t in known if most and len(passing[t]) >= most / 2)
    if not kept:
        raise TaskError(
            "no template of ioi can be read by this tokenizer: its words or every name in it are unknown or several "
            "tokens; take another model or give examples of your own (task.data=FILE)"
        )
    good_names = [n for n in names if all(n in passing[t] for t in kept)]
    good_places = _fillers(encoder, kept, "PLACE", places, words)
    good_things = _fillers(encoder, kept, "OBJECT", things, words)
    words |= dict(zip("ABS", (good_names * 3)[:3], strict=False))
    words |= {"PLACE": (good_places or [places[0]])[0], "OBJECT": (good_things or [things[0]])[0]}
    lengths = {t: len(encoder.ids(fill(TEMPLATES[t], words)[0])) for t in kept}
    return Vocabulary(kept, tuple(good_names), tuple(good_places), tuple(good_things), lengths)


def least_names(n_templates: int) -> dict[str, int]:
    """Names that each split needs, so that the test split can hold :data:`LEAST_CLUSTERS`."""
    test = LEAST_NAMES
    while comb(test, 2) * n_templates < LEAST_CLUSTERS:
        test += 1
    return {"train": LEAST_NAMES, "validation": LEAST_NAMES, "test": test}


def pools(vocabulary: Vocabulary, rng: np.random.Generator) -> dict[str, Pool]:
    """Deal the fillers to the splits, so that none is in two of them. Raises :class:`TaskError` with the counts."""
    names = divide(
        vocabulary.names, rng, least_names(len(vocabulary.templates)),
        "names that are one token in their place, and the same one as answer,",
    )  # fmt: skip
    parts = _divide_fitting(vocabulary, rng)
    return {split: _pool(vocabulary, names[split], *parts[split]) for split in SPLITS}


def _divide_fitting(vocabulary: Vocabulary, rng: np.random.Generator) -> dict[str, tuple[list[str], list[str]]]:
    """Places and objects per split, dealt again where a template would be left with none that fits."""
    placed = any("{PLACE}" in TEMPLATES[t] for t in vocabulary.templates)
    one, none = dict.fromkeys(SPLITS, 1), dict.fromkeys(SPLITS, 0)
    for attempt in range(100):
        places = divide(vocabulary.places, rng, one if placed else none, "places that are one token")
        things = divide(vocabulary.things, rng, one, "objects that are one token")
        fit = [
            vocabulary.fitting(t, "PLACE", places[split]) and vocabulary.fitting(t, "OBJECT", things[split])
            for t in vocabulary.templates
            for split in SPLITS
        ]
        if all(fit) or attempt == 99:
            break
    return {split: (places[split], things[split]) for split in SPLITS}


def _pool(vocabulary: Vocabulary, names: Sequence[str], places: Sequence[str], things: Sequence[str]) -> Pool:
    by_place = {t: vocabulary.fitting(t, "PLACE", places) for t in vocabulary.templates}
    by_thing = {t: vocabulary.fitting(t, "OBJECT", things) for t in vocabulary.templates}
    usable = tuple(t for t in vocabulary.templates if by_place[t] and by_thing[t])
    if not usable:
        raise TaskError(
            "no template has a place and an object that fit it in each split; name more in task.places and task.objects"
        )
    return Pool(tuple(names), by_place, by_thing, usable, vocabulary.lengths)


def _names(encoder: Encoder, template: str, names: Sequence[str], words: Mapping[str, str]) -> set[str]:
    """Names that are one known token, the same in all three slots and behind the prompt, and no other name's."""
    wholes = {}
    for name in names:
        text, spans = fill(template, {**words, "A": name, "B": name, "S": name})
        whole = f"{text} {name}"
        wholes[name] = whole, [spans["S"], spans["A"], spans["B"], (len(text), len(whole))]
    encoder.warm(cut for whole, places in wholes.values() for cut in cuts(whole, places))
    found: dict[str, int] = {}
    for name, (whole, places) in wholes.items():
        tokens = {encoder.token(whole, *place) for place in places}
        token = tokens.pop()
        if not tokens and token is not None:
            found[name] = token
    counts = list(found.values())
    return {name for name, token in found.items() if counts.count(token) == 1}


def _fillers(
    encoder: Encoder, templates: Sequence[str], slot: str, fillers: Sequence[str], words: Mapping[str, str]
) -> list[str]:
    """Fillers that are one known token in ``slot`` of every template that has it and that they fit."""
    having = [t for t in templates if f"{{{slot}}}" in TEMPLATES[t]]
    good = []
    for filler in fillers:
        filled = [fill(TEMPLATES[t], {**words, slot: filler}) for t in having if filler not in UNFIT.get(t, ())]
        if all(encoder.token(text, *spans[slot]) is not None for text, spans in filled):
            good.append(filler)
    return good
