"""Prompt templates of gender pronouns: each ends in one of two words that decide the pronoun's case.

A template has the slots ``{N}`` (the name), ``{E}`` (the ending, always last) and, some of them, ``{PLACE}``. After the
first ending comes a subject ("she", "he"), after the second a possessive ("her", "his"). "friend" is in the manner of
Mathwin et al. 2023 ("So Mary is a really great friend, isn't" -> she), the others are our own.
"""

from __future__ import annotations

SUBJECT, POSSESSIVE = "subject", "possessive"
CASES = (SUBJECT, POSSESSIVE)

TEMPLATES: dict[str, tuple[str, dict[str, str]]] = {
    name: (text, dict(zip(CASES, endings, strict=True)))
    for name, text, *endings in (
        ("went", "One day, {N} went to the {PLACE} {E}", "because", "with"),
        ("was", "Yesterday, {N} was at the {PLACE} {E}", "because", "with"),
        ("ran", "This morning, {N} ran to the {PLACE} {E}", "because", "with"),
        ("left", "In the evening, {N} left the {PLACE} {E}", "because", "with"),
        ("home", "Before dinner, {N} came home from the {PLACE} {E}", "because", "with"),
        ("likes", "Everyone knows that {N} likes to go to the {PLACE} {E}", "because", "with"),
        ("child", "Once upon a time, a child named {N} lived near the {PLACE} {E}", "because", "with"),
        ("happy", "Last night, {N} was happy {E}", "because", "about"),
        ("told", "After lunch, {N} told everyone {E}", "that", "about"),
        ("shared", "At the party, {N} shared the cake {E}", "because", "with"),
        ("smiled", "On the way home, {N} smiled {E}", "because", "at"),
        ("laughed", "In the morning, {N} laughed {E}", "because", "at"),
        ("friend", "So {N} is a really great friend {E}", "because", "to"),
    )
}
"""The text and, by case, its ending."""


def text(template: str) -> str:
    """The template with its slots."""
    return TEMPLATES[template][0]


def ending(template: str, case: str) -> str:
    """The word that asks for a pronoun in ``case``."""
    return TEMPLATES[template][1][case]


def words(template: str) -> int:
    """How many words and punctuation marks a prompt has."""
    return len(text(template).replace(",", " ,").split())
