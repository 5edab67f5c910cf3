"""Which templates, cues, facts and people a tokenizer can be asked about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.task import TaskError
from tasks._common.fillers import SLOT, single
from tasks._common.items import Pool, fill
from tasks._common.tokens import Encoder
from tasks.hallucination.facts import Fact
from tasks.hallucination.templates import COPY, KIND_OF, KINDS, PREMISE, TEMPLATES


def read_vocabulary(
    encoder: Encoder, offered: Pool, facts: Mapping[str, Fact], settings: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """What of ``offered`` can be read: templates and cues of known words, facts and people of one token a word.

    Templates that begin with a person are out where fewer than half of the people are one token there (with most
    byte-level tokenizers, which read a word without a leading space in another way). Raises :class:`TaskError` where
    a setting is left without a template.
    """
    cues = tuple(cue for cue in offered["cues"] if encoder.knows(cue))
    known = [t for kind in KINDS for t in offered[kind] if _known(encoder, t, cues)]
    some = _words(encoder, offered, facts)
    inner = [frame for t in known for frame in _frames(t, "N", some) if not frame.startswith(SLOT)]
    inner += [frame for t in known if COPY in settings for frame in _frames(t, "S", {**some, "AT": "like"})]
    people = single(encoder, offered["people"], inner, same=False) if inner else offered["people"]
    kept = []
    for template in known:
        first = [frame for frame in _frames(template, "N", some) if frame.startswith(SLOT)]
        able = single(encoder, people, first, same=False) if first else people
        if 2 * len(able) >= len(people):
            kept.append(template)
            people = tuple(p for p in people if p in able)
    for setting in settings:
        if not any(TEMPLATES[t].kind == KIND_OF[setting] for t in kept):
            raise TaskError(_unreadable(setting))
    templates = {kind: tuple(t for t in offered[kind] if t in kept) for kind in KINDS}
    return {**templates, "cues": cues, "facts": _facts(encoder, kept, facts, some, settings), "people": people}


def _unreadable(setting: str) -> str:
    return (
        f"no template of hallucination for the setting {setting} can be read by this tokenizer: its words or its cues "
        "are unknown, or people's names at its beginning are several tokens; take another model, another "
        "task.setting, or give examples of your own (task.data=FILE)"
    )


def _known(encoder: Encoder, template: str, cues: Sequence[str]) -> bool:
    """Whether the template's own words are known, and a cue for each of its sources."""
    entry = TEMPLATES[template]
    slots = dict.fromkeys(("N", "S", "C", "O", "CUE"), " ") | {"AT": "in like"}
    bare = fill(entry.text, slots)[0]
    return encoder.knows(bare) and all(any(cue in cues for cue in choices) for choices in entry.cues.values())


def _words(encoder: Encoder, offered: Pool, facts: Mapping[str, Fact]) -> dict[str, str]:
    """Something for every slot, known to the tokenizer where there is such a thing."""
    fact = next((f for f in facts.values() if all(map(encoder.knows, f))), next(iter(facts.values())))
    person = next((p for p in offered["people"] if encoder.knows(p)), offered["people"][0])
    return {"N": person, "S": fact.city, "C": fact.language, "O": fact.country, "AT": "in"}


def _frames(template: str, slot: str, some: Mapping[str, str]) -> list[str]:
    """The template's text with one mention of ``slot`` left open, for each of its mentions."""
    entry = TEMPLATES[template]
    cue = next(iter(entry.cues.values()))[0]
    text, spans = fill(entry.text, {**some, "CUE": cue})
    return [text[:a] + SLOT + text[b:] for name, (a, b) in spans.items() if name.split("#")[0] == slot]


def _facts(
    encoder: Encoder,
    templates: Iterable[str],
    facts: Mapping[str, Fact],
    some: Mapping[str, str],
    settings: Sequence[str],
) -> tuple[str, ...]:
    """Cities of the facts whose words are one token each, the language the same one in the text and as the answer."""
    frames: dict[str, list[str]] = {"city": [], "language": [], "country": []}
    for template in templates:
        whole = fill(TEMPLATES[template].text, {**some, "CUE": next(iter(TEMPLATES[template].cues.values()))[0]})[0]
        frames["city"] += _frames(template, "S", some)
        frames["language"] += [*_frames(template, "C", some), f"{whole} {SLOT}"]
        frames["country"] += _frames(template, "O", some) if PREMISE in settings else []
    good = set(facts)
    for part, where in frames.items():
        words = [getattr(fact, part) for fact in facts.values()]
        able = set(single(encoder, words, where)) if where else set(words)
        good &= {city for city, fact in facts.items() if getattr(fact, part) in able}
    return tuple(city for city in facts if city in good)
