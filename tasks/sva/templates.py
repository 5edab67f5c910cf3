"""Prompt templates of subject-verb agreement: a beginning that sets the tense and names the subject, and, where a
distractor is asked for, a second noun between subject and verb.

Slots: ``{T}`` (the word that sets the tense), ``{S}`` (the subject), ``{A}`` (the second noun, the attractor). The
structures are those of Linzen et al. 2016 and Marks et al. 2024: simple, across a prepositional phrase, across a
relative clause.
"""

from __future__ import annotations

PRESENT, PAST = "present", "past"
TENSES = (PRESENT, PAST)

BEGINNINGS: dict[str, tuple[str, dict[str, str]]] = {
    name: (text, dict(zip(TENSES, words, strict=True)))
    for name, text, *words in (
        ("mom", "Mom {T} that the {S}", "says", "said"),
        ("think", "I {T} that the {S}", "think", "thought"),
        ("know", "We {T} that the {S}", "know", "knew"),
        ("see", "They {T} that the {S}", "see", "saw"),
        ("hope", "He {T} that the {S}", "hopes", "hoped"),
        ("everyone", "Everyone {T} that the {S}", "knows", "knew"),
        ("big", "She {T} that the big {S}", "says", "said"),
        ("now", "{T} the {S}", "Now", "Then"),
        ("today", "{T} the {S}", "Today", "Yesterday"),
    )
}
"""The text and, by tense, the word in ``{T}``."""

THINGS, PEOPLE = "things", "people"
DISTRACTORS: dict[str, tuple[str, str]] = {
    "near": ("near the {A}", THINGS),
    "behind": ("behind the {A}", THINGS),
    "saw": ("that the {A} saw", PEOPLE),
    "liked": ("that the {A} liked", PEOPLE),
}
"""The text between subject and verb, and the kind of its noun."""

SIMPLE = tuple(BEGINNINGS)
"""Keys of the templates without a distractor."""
ACROSS = tuple(f"{beginning}_{distractor}" for beginning in BEGINNINGS for distractor in DISTRACTORS)
"""Keys of the templates with one."""


def text(template: str) -> str:
    """The template with its slots."""
    beginning, _, distractor = template.partition("_")
    return BEGINNINGS[beginning][0] + (f" {DISTRACTORS[distractor][0]}" if distractor else "")


def tense_word(template: str, tense: str) -> str:
    """The word that sets ``tense``."""
    return BEGINNINGS[template.partition("_")[0]][1][tense]


def kind(template: str) -> str | None:
    """The kind of the second noun; None where there is none."""
    distractor = template.partition("_")[2]
    return DISTRACTORS[distractor][1] if distractor else None
