"""Which templates, subjects and people a tokenizer can be asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks._common import Encoder, Pool, fill, single
from tasks.recall_reasoning.fillers import FACTS
from tasks.recall_reasoning.templates import MODES, TEMPLATES


def read(encoder: Encoder, facts: str, offered: Pool) -> dict[str, tuple[str, ...]]:
    """What of ``offered`` goes with a kind of facts and can be read; the words for people's ends are among it.

    A template has to have known words and two questions of one length; a subject, and what is recalled of it, has to
    be one known token, the same wherever it stands. Without a template there are no words either.
    """
    table = FACTS[facts]
    asked = [name for name in offered["subjects"] if name in table]
    words = _samples(table, asked or list(table), offered["people"])
    templates = tuple(n for n in offered["templates"] if TEMPLATES[n].facts == facts and _matched(encoder, n, words))
    if not templates:
        return {"templates": (), "subjects": (), "people": (), "ends": ()}
    known = set(single(encoder, asked, _frames(templates, words, ("S1", "S2", "E"))))
    recalled = [table[name] for name in asked if name in known]
    ends = single(encoder, recalled, [*_frames(templates, words, ("C1", "C2")), *_answers(templates, words)])
    subjects = tuple(name for name in asked if name in known and table[name] in ends)
    return {
        "templates": templates,
        "subjects": subjects,
        "people": single(encoder, offered["people"], _frames(templates, words, ("P1", "P2", "Q1", "Q2"))),
        "ends": ends if len(ends) < len(subjects) else (),
    }


def _samples(table: Mapping[str, str], subjects: Sequence[str], people: Sequence[str]) -> dict[str, str]:
    """A word for each slot, to see how a template is read."""
    words = dict.fromkeys(("S1", "S2", "E"), subjects[0]) | dict.fromkeys(("P1", "P2", "Q1", "Q2"), people[0])
    return words | dict.fromkeys(("C1", "C2"), table[subjects[0]])


def _matched(encoder: Encoder, name: str, words: Mapping[str, str]) -> bool:
    """Whether the words of a template are known, and its two questions as long, with their slots in the same places."""
    filled = [_filled(name, mode, words) for mode in MODES]
    lengths = {len(encoder.ids(text)) for text, _ in filled}
    subjects = {encoder.span(text, *spans["E"]) for text, spans in filled}
    relations = {encoder.span(text, *spans["R"]) for text, spans in filled}
    bare = [_filled(name, mode, dict.fromkeys(words, " "))[0] for mode in MODES]
    return all(map(encoder.knows, bare)) and len(lengths) == len(subjects) == len(relations) == 1


def _filled(name: str, mode: str, words: Mapping[str, str]) -> tuple[str, dict[str, tuple[int, int]]]:
    template, relation = TEMPLATES[name].text(mode)
    return fill(template, {**words, "R": relation})


def _frames(templates: Sequence[str], words: Mapping[str, str], slots: Sequence[str]) -> list[str]:
    """Every template with one of the slots left open, in both modes."""
    return [_filled(name, mode, {**words, slot: "{}"})[0] for name in templates for mode in MODES for slot in slots]


def _answers(templates: Sequence[str], words: Mapping[str, str]) -> list[str]:
    """Every question, followed by an open place for its answer."""
    return [f"{_filled(name, mode, words)[0]} {{}}" for name in templates for mode in MODES]
