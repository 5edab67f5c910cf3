"""Names of nodes; each tokenizer keeps those that are the same one token in every slot."""

from __future__ import annotations

import string

NUMBERS: tuple[str, ...] = tuple(str(number) for number in range(10, 100))
CAPITALS: tuple[str, ...] = tuple(string.ascii_uppercase)
LETTERS: tuple[str, ...] = tuple(string.ascii_letters)
"""For tokenizers that read numbers digit by digit."""

PLANTED_NAMES: tuple[str, ...] = NUMBERS[:28]
"""The names in the vocabulary of the planted models."""

PLANTED_TEMPLATES: tuple[str, ...] = ("lines",)
PLANTED_NODES, PLANTED_DEPTH = 8, 3
