"""Prompt templates of indirect-object identification, in the manner of Wang et al. 2022 (arXiv:2211.00593).

A template has the slots ``{A}`` and ``{B}`` (the two names of the first clause), ``{S}`` (the name said again),
``{PLACE}`` and ``{OBJECT}``. The prompt ends right before the indirect object.
In an ABBA prompt the name said again is ``{B}``, in a BABA prompt it is ``{A}``.
"""

from __future__ import annotations

TEMPLATES: dict[str, str] = {
    "went": "When {A} and {B} went to the {PLACE}, {S} gave a {OBJECT} to",
    "lunch": "Then {A} and {B} had lunch at the {PLACE}, and {S} gave a {OBJECT} to",
    "met": "After {A} and {B} met at the {PLACE}, {S} wanted to give the {OBJECT} to",
    "found": "{A} and {B} were at the {PLACE}. {S} found a {OBJECT} and gave it to",
    "friends": "Once upon a time, there were two friends named {A} and {B}. {S} gave the {OBJECT} to",
    "child": "There was a child named {A} and another child named {B}. {S} gave the {OBJECT} to",
    "playing": "{A} and {B} were playing in the {PLACE}. {S} gave the {OBJECT} to",
    "day": "One day, {A} and {B} went to the {PLACE} with a {OBJECT}. {S} gave the {OBJECT} to",
    "summer": "One summer day, {A} and {B} were playing at the {PLACE}. {S} gave the {OBJECT} to",
    "saw": "One day, {A} and {B} saw a {OBJECT} at the {PLACE}. {S} gave the {OBJECT} to",
    "while": "While {A} and {B} were at the {PLACE}, {S} handed a {OBJECT} to",
    "children": "There were two children named {A} and {B}. They went to the {PLACE}. {S} gave the {OBJECT} to",
}

ORDERS = ("ABBA", "BABA")

_INSIDE = ("forest", "garden", "kitchen")
_NEXT_TO = ("beach", "farm", "playground", "river", "station", "zoo")
_EARNEST = ("hospital", "office")

UNFIT: dict[str, tuple[str, ...]] = {
    "lunch": _INSIDE,
    "met": (*_INSIDE, "kiss"),
    "found": (*_INSIDE, "kiss"),
    "friends": ("kiss",),
    "child": ("kiss",),
    "playing": (*_NEXT_TO, *_EARNEST, "kiss"),
    "day": ("kiss",),
    "summer": (*_INSIDE, *_EARNEST, "kiss"),
    "saw": (*_INSIDE, "drink", "kiss"),
    "while": (*_INSIDE, "kiss"),
    "children": ("kiss",),
}
"""Places and objects that would read wrong in a template ("in the beach", "found a kiss")."""
