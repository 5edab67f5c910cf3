"""Prompt templates of indirect-object identification (Wang et al. 2022, arXiv:2211.00593, table 1 and after it).

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
    "named": "There was a girl named {A} and a boy named {B}. {S} gave the {OBJECT} to",
    "playing": "{A} and {B} were playing in the {PLACE}. {S} gave the {OBJECT} to",
    "day": "One day, {A} and {B} went to the {PLACE} with a {OBJECT}. {S} gave the {OBJECT} to",
}

ORDERS = ("ABBA", "BABA")
