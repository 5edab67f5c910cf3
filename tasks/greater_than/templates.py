"""Prompt templates of greater-than: a number, and a word that says whether one above or one below it comes.

Slots: ``{N}`` (a noun), ``{Y}`` (the start: a two-digit year or a number word), ``{XX}`` (the century), ``{F}`` and
``{L}`` (the words that set the direction, before and behind the start). "lasted" is Hanna et al. 2023's template, the
others are our own.
"""

from __future__ import annotations

from typing import NamedTuple

AFTER, BEFORE = "after", "before"
DIRECTIONS = (AFTER, BEFORE)
YEARS, WORDS = "years", "words"



class Template(NamedTuple):
    """A text with slots, and the words ``{F}`` and ``{L}`` for a larger (later) and for a smaller number."""

    text: str
    after: tuple[str, str]
    before: tuple[str, str]


_START_END = ("started", "ended"), ("ended", "started")
TEMPLATES: dict[str, dict[str, Template]] = {
    YEARS: {
        "lasted": Template(
            "The {N} lasted {F} the year {XX}{Y} {L} the year {XX}", ("from", "to"), ("until", "from")
        ),
        "started": Template("The {N} {F} in the year {XX}{Y} and {L} in the year {XX}", *_START_END),
        "in": Template("In the year {XX}{Y} the {N} {F}, and it {L} in the year {XX}", *_START_END),
    },
    WORDS: {
        "number": Template("The number of {N} {L} from {Y} to", ("", "rose"), ("", "fell")),
        "stock": Template("Our stock of {N} {L} from {Y} to", ("", "rose"), ("", "fell")),
        "orders": Template("The orders for {N} {L} from {Y} to", ("", "rose"), ("", "fell")),
        "supply": Template("The supply of {N} {L} from {Y} to", ("", "rose"), ("", "fell")),
        "pile": Template("The pile of {N} {L} from {Y} to", ("", "grew"), ("", "shrank")),
        "went": Template("The number of {N} went {L} from {Y} to", ("", "up"), ("", "down")),
    },
}
"""By kind of number."""


def text(numbers: str, template: str) -> str:
    """The template with its slots."""
    return TEMPLATES[numbers][template].text


def direction_words(numbers: str, template: str, direction: str) -> tuple[str, str]:
    """The words ``{F}`` and ``{L}`` that set ``direction``."""
    found = TEMPLATES[numbers][template]
    return found.after if direction == AFTER else found.before
