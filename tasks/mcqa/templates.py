"""What a multiple-choice prompt is made of: a statement with its question, labels and layouts.

"copy" is the prompt of Wiegreffe et al. 2024's synthetic task, in which the statement gives the answer away; the others
are our own. Slots: ``{T}`` (a thing) and ``{C}`` (its color).
"""

from __future__ import annotations

import string
from dataclasses import dataclass

TEMPLATES: dict[str, str] = {
    "copy": "A {T} is {C}. What color is the {T}?",
    "the": "The {T} is {C}. What color is the {T}?",
    "my": "My {T} is {C}. What color is my {T}?",
    "new": "The new {T} is {C}. What color is the new {T}?",
    "found": "The {T} that I found is {C}. What color is the {T}?",
    "was": "Last week the {T} was {C}. What color was the {T}?",
}

LETTERS, RANDOM_LETTERS, NUMBERS = "letters", "random_letters", "numbers"
ALPHABET = tuple(letter for letter in string.ascii_uppercase if letter not in "IO")
"""Letters for labels; I and O are left out, which read like numbers."""
LABELS: dict[str, tuple[str, ...]] = {LETTERS: ALPHABET, RANDOM_LETTERS: ALPHABET, NUMBERS: tuple("123456789")}
SEPARATORS = (".", ")", ":")
LINES, INLINE = "lines", "inline"
LAYOUTS = (LINES, INLINE)


@dataclass(frozen=True)
class Style:
    """How options are labelled and laid out."""

    labels: str
    options: int
    separator: str
    layout: str

    def text(self, template: str) -> str:
        """The whole prompt with its slots: ``{L1}`` and ``{O1}`` are the first label and option, and so on."""
        listed = [f"{{L{i}}}{self.separator} {{O{i}}}" for i in range(1, self.options + 1)]
        if self.layout == LINES:
            return "\n".join([TEMPLATES[template], *listed, "Answer:"])
        return " ".join([TEMPLATES[template], *listed]) + ". Answer:"
