"""Templates and the cues that decide where the answer comes from.

Slots: ``{N}`` a person who says it, ``{S}`` the subject of the question, ``{AT}`` (``in`` before a city, ``like``
before a person), ``{C}`` the language that the text states, ``{O}`` the country that the text puts the subject in, and
``{CUE}``. A prompt ends right before the language.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

CONTEXT, MEMORY, PREMISE = "context", "memory", "premise"
SAID = {CONTEXT: "C", MEMORY: "M", PREMISE: "F"}
"""The causal model's variable that holds what each source of an answer says."""
CONFLICT, RECALL, COPY = "conflict", "recall", "copy"
SETTINGS = (CONFLICT, PREMISE, RECALL, COPY)

CLAIMS = ("claims", "believes", "insists")
"""Verbs that leave open whether it is so: what follows is what the text says."""
KNOWS = ("knows", "learned", "sees")
"""Verbs that only what is so can follow: what follows is what memory holds."""


class Template(NamedTuple):
    """A text and the kind of settings that it serves (``told`` serves conflict and copy), with its cues by source."""

    kind: str
    text: str
    cues: Mapping[str, tuple[str, ...]]


_TOLD = {CONTEXT: CLAIMS, MEMORY: KNOWS}
_RECALLED = {MEMORY: KNOWS}

TEMPLATES: dict[str, Template] = {
    "says": Template("told", "{N} says that people {AT} {S} speak {C}. As {N} {CUE}, people {AT} {S} speak", _TOLD),
    "well": Template(
        "told", "{N} says that people {AT} {S} speak {C}. Well, as {N} {CUE}, people {AT} {S} speak", _TOLD
    ),
    "today": Template(
        "told", "Today {N} said that people {AT} {S} speak {C}. As {N} {CUE}, people {AT} {S} speak", _TOLD
    ),
    "heard": Template(
        "told", "We heard from {N} that people {AT} {S} speak {C}. As {N} {CUE}, people {AT} {S} speak", _TOLD
    ),
    "capital": Template(
        PREMISE, "The people in {S}, {CUE} of {O}, speak", {PREMISE: ("the capital",), MEMORY: ("no part",)}
    ),
    "city": Template(
        PREMISE, "The people in {S}, a city {CUE} {O}, speak", {PREMISE: ("within",), MEMORY: ("outside",)}
    ),
    "town": Template(
        PREMISE, "Most people in {S}, a big city {CUE} {O}, speak", {PREMISE: ("inside",), MEMORY: ("outside",)}
    ),
    "as": Template(RECALL, "As {N} {CUE}, people in {S} speak", _RECALLED),
    "that": Template(RECALL, "{N} {CUE} that people in {S} speak", _RECALLED),
    "surely": Template(RECALL, "Surely, as {N} {CUE}, people in {S} speak", _RECALLED),
}

KINDS = ("told", PREMISE, RECALL)
KIND_OF = {CONFLICT: "told", COPY: "told", PREMISE: PREMISE, RECALL: RECALL}

PLANTED_TEMPLATES: tuple[str, ...] = ("says", "well", "capital", "city", "as", "that")
"""The templates in the vocabulary of the planted models."""
