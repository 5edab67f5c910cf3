"""A tokenizer for reading examples aloud where no model is at hand."""

from __future__ import annotations

import re
from collections.abc import Iterable

WORD = re.compile(r"\b\d\d(?=\d\d\b)|\w+|[^\w\s]")
"""A word, a number or a mark; a number of four digits is two, as a century and a year."""


class PlainTokenizer:
    """Reads word by word: every word, number and mark is one token, and known.

    Ids are given as words come, so that any task's words are in its vocabulary. It has as much of a tokenizer of
    ``transformers`` as tasks ask for, and adds nothing of its own to a text.
    """

    bos_token_id = unk_token_id = None

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._words: list[str] = []

    def __call__(self, text: str | list[str], **_: object) -> dict[str, list[int] | list[list[int]]]:
        """``input_ids`` of a text, or of several."""
        return {"input_ids": self._read(text) if isinstance(text, str) else [self._read(one) for one in text]}

    def convert_tokens_to_ids(self, token: str) -> int | None:
        """The id of a word that has been read; None for others."""
        return self._ids.get(token)

    def decode(self, ids: Iterable[int], **_: object) -> str:
        """The words, with a space between them."""
        return " ".join(self._words[i] for i in ids)

    def __len__(self) -> int:
        return len(self._words)

    def _read(self, text: str) -> list[int]:
        found = WORD.findall(text)
        for word in found:
            if word not in self._ids:
                self._ids[word] = len(self._words)
                self._words.append(word)
        return [self._ids[word] for word in found]
