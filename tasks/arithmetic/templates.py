"""Ways to ask for a result: in digits, in digits without spaces, and in number words.

A template has the slots ``{X}`` and ``{Y}`` (the operands) and ``{OP}`` (the word for the operator). The prompt ends
right before the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SPELLED: tuple[str, ...] = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
"""Number words that are one word, by number."""


@dataclass(frozen=True)
class Template:
    """A text and the word for the operator, by the operator's sign."""

    style: str
    """How numbers are written: ``digits``, ``compact`` (digits, and no spaces) or ``spelled``."""
    texts: Mapping[str, str]
    operators: Mapping[str, str]

    @property
    def glued(self) -> bool:
        """Whether the result follows without a space."""
        return self.style == "compact"

    def number(self, value: int) -> str:
        """The number as it is written here; empty where it cannot be."""
        if self.style != "spelled":
            return str(value)
        return SPELLED[value] if value < len(SPELLED) else ""


STYLES = ("digits", "compact", "spelled")
"""In the order in which they are tried."""

_SIGNS = {"+": "+", "-": "-", "*": "*"}
_PREPOSITIONS = {"+": "plus", "-": "minus", "*": "times"}
_NOUNS = {"+": "sum", "-": "difference", "*": "product"}
_VERBS = {"+": "add", "-": "subtract", "*": "multiply"}
_PARTICIPLES = {"+": "Adding", "-": "Subtracting", "*": "Multiplying"}
_ASKED = {
    "+": "If you {OP} {X} and {Y}, you get",
    "-": "If you {OP} {Y} from {X}, you get",
    "*": "If you {OP} {X} by {Y}, you get",
}
_STATED = {
    "+": "{OP} {X} and {Y} gives",
    "-": "{OP} {Y} from {X} gives",
    "*": "{OP} {X} by {Y} gives",
}

TEMPLATES: dict[str, Template] = {
    "symbol": Template("digits", dict.fromkeys(_SIGNS, "{X} {OP} {Y} ="), _SIGNS),
    "equals": Template("digits", dict.fromkeys(_SIGNS, "{X} {OP} {Y} equals"), _PREPOSITIONS),
    "noun": Template("digits", dict.fromkeys(_SIGNS, "The {OP} of {X} and {Y} is"), _NOUNS),
    "compact": Template("compact", dict.fromkeys(_SIGNS, "{X}{OP}{Y}="), _SIGNS),
    "spelled_noun": Template("spelled", dict.fromkeys(_SIGNS, "The {OP} of {X} and {Y} is"), _NOUNS),
    "spelled_verb": Template("spelled", _ASKED, _VERBS),
    "spelled_participle": Template("spelled", _STATED, _PARTICIPLES),
}

PLANTED_TEMPLATES: tuple[str, ...] = ("symbol", "equals", "noun")
"""The templates in the vocabulary of the planted models."""

PLANTED_LARGEST = 20
"""The largest number in the vocabulary of the planted models, operand or result."""
