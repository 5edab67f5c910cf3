"""Templates and words that go together, where every slot of a template takes the same kind of word."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping

from tasks._common.items import fill
from tasks._common.tokens import Encoder


def repeated(encoder: Encoder, template: str, word: str, glued: bool) -> int | None:
    """The id of ``word`` where it is one known token, the same in every slot of ``template`` and as what follows it.

    ``glued`` says whether what follows does so without a space. None where the word is read in another way.
    """
    slots = [slot for _, slot, _, _ in string.Formatter().parse(template) if slot]
    text, _ = fill(template, dict.fromkeys(slots, word))
    whole = f"{text}{'' if glued else ' '}{word}"
    token = encoder.token(whole, len(text), len(whole))
    return token if token is not None and encoder.ids(whole).count(token) == len(slots) + 1 else None


def together(
    encoder: Encoder, templates: Mapping[str, tuple[str, bool]], words: Iterable[str], needed: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Templates, and the words that :func:`repeated` reads in each of them.

    ``templates`` gives the text and whether answers are glued to it. Templates with words unknown to the tokenizer
    are out. The others are taken from the one that reads most words on, as long as ``needed`` words are left. The
    words can be fewer than ``needed`` where no template reads so many, and none where no template is known.
    """
    words = tuple(dict.fromkeys(words))
    read: dict[str, set[str]] = {}
    for name, (text, glued) in templates.items():
        slots = {slot for _, slot, _, _ in string.Formatter().parse(text) if slot}
        if encoder.knows(fill(text, dict.fromkeys(slots, " "))[0]):
            ids = {word: repeated(encoder, text, word, glued) for word in words}
            counts = Counter(ids.values())
            read[name] = {word for word, token in ids.items() if token is not None and counts[token] == 1}
    chosen: list[str] = []
    left: set[str] = set()
    for name in sorted(read, key=lambda name: -len(read[name])):
        both = left & read[name] if chosen else read[name]
        if not chosen or len(both) >= needed:
            chosen, left = [*chosen, name], both
    return tuple(name for name in templates if name in chosen), tuple(word for word in words if word in left)


def found(template: str, text: str) -> dict[str, tuple[int, int]] | None:
    """Where ``text`` has the words of the slots of ``template``, or None where it does not read as the template."""
    parts = string.Formatter().parse(template)
    pattern = "".join(re.escape(literal) + (rf"(?P<{slot}>\w+)" if slot else "") for literal, slot, _, _ in parts)
    match = re.fullmatch(pattern, text)
    return {slot: match.span(slot) for slot in match.groupdict()} if match else None
