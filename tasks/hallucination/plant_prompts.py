"""Prompts for the planted models: base and source pairs over the whole planted pool, as token ids.

A kind of pairs is a setting, for a source drawn afresh (`conflict`), or a setting and what alone is different in the
source (`conflict_cue`). Base and source share the template and the setting.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

import numpy as np
import torch

from bench.planting.spec import Pairs
from tasks.hallucination.facts import PLANTED_FACTS, PLANTED_PEOPLE
from tasks.hallucination.templates import COPY, KIND_OF, MEMORY, PLANTED_TEMPLATES, PREMISE, RECALL, SAID, TEMPLATES

SPECIAL = ("<pad>", "<unk>")
KINDS = {
    "conflict": 0.3, "conflict_cue": 0.15, "conflict_context": 0.12, "conflict_subject": 0.12, "conflict_agree": 0.06,
    "copy": 0.15, "copy_context": 0.05, "copy_subject": 0.05,
    "premise": 0.45, "premise_cue": 0.2, "premise_context": 0.15, "premise_subject": 0.15, "premise_agree": 0.05,
    "recall": 0.7, "recall_subject": 0.3,
}  # fmt: skip
"""Kinds of pairs in training, with their weights among those of a template."""
SHARES = {"says": 0.27, "well": 0.23, "capital": 0.17, "city": 0.17, "as": 0.08, "that": 0.08}
"""How often a template comes in training."""
SOURCES = tuple(SAID)
"""Decisions by number."""

Draw = dict[str, np.ndarray]
"""Per prompt: `person`; `subject`, a fact or (where not `known`) a person; `told`, a fact; `cue`, by number."""


class Layout(NamedTuple):
    """A template as token ids, one line per cue [cues, T], where its slots are, and each cue's source by number."""

    grid: np.ndarray
    slots: dict[str, list[int]]
    cue: int
    sources: np.ndarray


def _words(text: str) -> list[str]:
    """A text's words; punctuation stands alone, as in the tokenizer."""
    return re.findall(r"\{\w+\}|\w+|[^\w\s]", text)


@cache
def vocabulary() -> tuple[str, ...]:
    """The planted models' words, by id."""
    plain = {"in", "like"}
    for template in (TEMPLATES[name] for name in PLANTED_TEMPLATES):
        plain |= {word for word in _words(template.text) if not word.startswith("{")}
        plain |= {word for cues in template.cues.values() for cue in cues for word in cue.split()}
    facts = [[getattr(fact, part) for fact in PLANTED_FACTS] for part in ("language", "city", "country")]
    return (*SPECIAL, *sorted(plain), *(word for words in facts for word in words), *PLANTED_PEOPLE)


@cache
def _first() -> dict[str, int]:
    """The id of the first language, city, country and person."""
    ids, fact = {word: i for i, word in enumerate(vocabulary())}, PLANTED_FACTS[0]
    return {"C": ids[fact.language], "S": ids[fact.city], "O": ids[fact.country], "N": ids[PLANTED_PEOPLE[0]]}


@cache
def layout(name: str) -> Layout:
    """A planted template's layout."""
    template, ids = TEMPLATES[name], {word: i for i, word in enumerate(vocabulary())}
    lines, sources = [], []
    for source, cues in template.cues.items():
        for cue in cues:
            words = _words(template.text.replace("{CUE}", cue))
            lines.append([ids.get(word, 0) for word in words])
            sources.append(SOURCES.index(source))
    slots = {slot: [i for i, w in enumerate(words) if w == f"{{{slot}}}"] for slot in ("N", "AT", "S", "C", "O")}
    before = len(_words(template.text.split("{CUE}")[0]))
    return Layout(np.array(lines), slots, before + len(cue.split()) - 1, np.array(sources))


def sample(
    rng: np.random.Generator, n: int, kinds: dict[str, float] | None = None, template: str | None = None
) -> Pairs:
    """n pairs of prompts of one template, of the kinds that it serves."""
    name = template or str(rng.choice(list(SHARES), p=np.array(list(SHARES.values())) / sum(SHARES.values())))
    odds = {kind: weight for kind, weight in (kinds or KINDS).items() if serves(name, kind)}
    kind = rng.choice(list(odds), n, p=np.array(list(odds.values())) / sum(odds.values()))
    setting, _, change = (np.array(part) for part in zip(*(k.partition("_") for k in kind), strict=True))
    base = _draw(rng, name, setting)
    source = _source(rng, name, setting, change, base)
    return _pairs(rng, name, setting, base, source)


def serves(template: str, kind: str) -> bool:
    """Whether a template makes pairs of this kind."""
    return TEMPLATES[template].kind == KIND_OF[kind.partition("_")[0]]


def _other(rng: np.random.Generator, pool: int, *taken: np.ndarray) -> np.ndarray:
    """Draws below `pool`, each different from the row's draws in `taken`."""
    out = rng.integers(0, pool, len(taken[0]))
    while (clash := np.logical_or.reduce([out == other for other in taken])).any():
        out = np.where(clash, rng.integers(0, pool, len(out)), out)
    return out


def _cue(rng: np.random.Generator, name: str, setting: np.ndarray, source: np.ndarray | None = None) -> np.ndarray:
    """Cues by number: of the given sources, or, where none are given, of any that the setting has (copy: context)."""
    sources = layout(name).sources
    there = np.unique(sources)
    wanted = there[rng.integers(0, len(there), len(setting))] if source is None else source
    wanted = np.where(setting == COPY, 0, wanted)
    fits = sources[None] == wanted[:, None]
    return np.where(fits, rng.random(fits.shape), -1).argmax(1)


def _draw(rng: np.random.Generator, name: str, setting: np.ndarray) -> Draw:
    """Prompts whose text and memory differ, and whose premise is false."""
    n, facts, people = len(setting), len(PLANTED_FACTS), len(PLANTED_PEOPLE)
    person, city, known = rng.integers(0, people, n), rng.integers(0, facts, n), setting != COPY
    told, other = _other(rng, facts, city), _other(rng, people, person)
    cue = _cue(rng, name, setting)
    return {"person": person, "subject": np.where(known, city, other), "known": known, "told": told, "cue": cue}


def _source(rng: np.random.Generator, name: str, setting: np.ndarray, change: np.ndarray, base: Draw) -> Draw:
    """The source prompts: another draw where nothing is named, else the base but for what `change` names.

    cue: the other source's. context: another statement. subject: another subject. agree: the statement is true.
    """
    sources, known = layout(name).sources, base["known"]
    out = {key: np.where(change == "", drawn, base[key]) for key, drawn in _draw(rng, name, setting).items()}
    there = np.unique(sources)
    flipped = there.sum() - sources[base["cue"]] if len(there) == 2 else sources[base["cue"]]
    city = np.where(known, base["subject"], -1)
    told = _other(rng, len(PLANTED_FACTS), base["told"], city)
    cities = _other(rng, len(PLANTED_FACTS), base["told"], city)
    people = _other(rng, len(PLANTED_PEOPLE), base["person"], base["subject"])
    out["cue"] = np.where(change == "cue", _cue(rng, name, setting, flipped), out["cue"])
    out["told"] = np.where(change == "context", told, np.where(change == "agree", base["subject"], out["told"]))
    out["subject"] = np.where(change == "subject", np.where(known, cities, people), out["subject"])
    return out


def _text(name: str, draw: Draw) -> np.ndarray:
    """Prompts as token ids, [n, T]."""
    plan, first, ids = layout(name), _first(), {word: i for i, word in enumerate(vocabulary())}
    out = plan.grid[draw["cue"]].copy()
    values = {
        "N": first["N"] + draw["person"],
        "AT": np.where(draw["known"], ids["in"], ids["like"]),
        "S": np.where(draw["known"], first["S"], first["N"]) + draw["subject"],
        "C": first["C"] + draw["told"],
        "O": first["O"] + draw["told"],
    }
    for slot, places in plan.slots.items():
        for place in places:
            out[:, place] = values[slot]
    return out


def _said(name: str, draw: Draw) -> dict[str, np.ndarray]:
    """The causal model's M, C, F (token ids, -1 where there is none) and G (by number) of prompts."""
    language, kind = _first()["C"], TEMPLATES[name].kind
    none = np.full(len(draw["cue"]), -1)
    return {
        "M": np.where(draw["known"], language + draw["subject"], -1),
        "C": language + draw["told"] if kind == "told" else none,
        "F": language + draw["told"] if kind == PREMISE else none,
        "G": layout(name).sources[draw["cue"]],
    }


def answer(said: dict[str, np.ndarray]) -> np.ndarray:
    """What the source that G names says, -1 where it says nothing."""
    return np.choose(said["G"], [said[SAID[source]] for source in SOURCES])


def _exchanged(letting: int, said: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> np.ndarray:
    """The answer with what the source `letting` says taken from the other prompts; -1 where G lets it through in one
    prompt alone, so that nothing is said, or two things."""
    here, there = said["G"] == letting, other["G"] == letting
    return np.where(here & there, answer(other), np.where(here | there, -1, answer(said)))


def _pairs(rng: np.random.Generator, name: str, setting: np.ndarray, base: Draw, source: Draw) -> Pairs:
    """What the causal model says of base and source; `source` is the source's answer."""
    said, other = _said(name, base), _said(name, source)
    targets = {"G": answer({**said, "G": other["G"]}), "source": answer(other)}
    targets["S"] = answer({**said, "M": other["M"]})
    for source_name, variable in SAID.items():
        targets[variable] = _exchanged(SOURCES.index(source_name), said, other)
    memory = said["G"] == SOURCES.index(MEMORY)
    stated = said["F"] if TEMPLATES[name].kind == PREMISE else said["C"]
    wrong = np.where(memory, stated, said["M"])
    right = answer(said)
    any_other = _other(rng, len(PLANTED_FACTS), right - _first()["C"]) + _first()["C"]
    wrong = np.where(np.isin(setting, (RECALL, COPY)), any_other, wrong)

    def ids(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values).astype(np.int64))

    texts = ids(_text(name, base)), ids(_text(name, source))
    places = zip(_places(name, said).items(), _places(name, other).values(), strict=True)
    positions = {key: (ids(here), ids(there)) for (key, here), there in places}
    found = {key: ids(values) for key, values in targets.items()}
    return Pairs(*texts, ids(right), ids(wrong), ids(answer(other)), found, positions)


def _places(name: str, said: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Named positions of prompts, -1 where there is none. COPIED and CARRIED: where copying and false-premise heads
    look, which is what is stated where G asks for it, and END where it does not."""
    plan = layout(name)
    n, end = len(said["G"]), plan.grid.shape[1] - 1
    told = (plan.slots["C"] or [-1])[0]
    object_ = (plan.slots["O"] or [-1])[0]
    fixed = {"END": end, "S": plan.slots["S"][-1], "CUE": plan.cue, "C": told, "O": object_}
    found = {key: np.full(n, place) for key, place in fixed.items()}
    found["COPIED"] = np.where((said["G"] == SOURCES.index("context")) & (told >= 0), told, end)
    found["CARRIED"] = np.where((said["G"] == SOURCES.index(PREMISE)) & (object_ >= 0), object_, end)
    return found
