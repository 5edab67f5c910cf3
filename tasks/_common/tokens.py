"""How a tokenizer reads a word in its place, without relying on offsets or on a leading-space convention."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from bench.task import TaskError


def cuts(text: str, spans: Iterable[tuple[int, int]]) -> list[str]:
    """The texts that :meth:`Encoder.span` encodes, for :meth:`Encoder.warm`."""
    return [text, *(cut for start, end in spans for cut in (text[:start].rstrip(), text[:end]))]


class Encoder:
    """A tokenizer as tasks need it: ids with the special tokens it puts in front, and never any behind.

    Where a word lies is found by encoding the text up to the word and up to its end, so that byte-level,
    sentencepiece-style and word-level tokenizers, fast or slow, are all read in the same way.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._cache: dict[str, list[int]] = {}

    def ids(self, text: str) -> list[int]:
        """Token ids of ``text``, ``[T]``, after the special tokens that the tokenizer puts before every text."""
        if text not in self._cache:
            self._cache[text] = self.prefix + self._bare(text)
        return list(self._cache[text])

    def warm(self, texts: Iterable[str]) -> None:
        """Encode texts that will be asked for, in one go: many times faster than one by one."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._cache]
        if fresh:
            read = self._tokenizer(fresh, add_special_tokens=False)["input_ids"]
            self._cache.update((text, self.prefix + list(ids)) for text, ids in zip(fresh, read, strict=True))

    def span(self, text: str, start: int, end: int) -> tuple[int, int] | None:
        """Tokens ``[first, last)`` that ``text[start:end]`` adds to what stands before it.

        None where its borders are no token borders. Whitespace before ``start`` belongs to the word.
        """
        whole, head, upto = self.ids(text), self.ids(text[:start].rstrip()), self.ids(text[:end])
        if whole[: len(upto)] != upto or upto[: len(head)] != head:
            return None
        return len(head), len(upto)

    def token(self, text: str, start: int, end: int) -> int | None:
        """The id of ``text[start:end]`` where it is one token, and a known one; else None."""
        found = self.span(text, start, end)
        if found is None or found[1] - found[0] != 1:
            return None
        token = self.ids(text)[found[0]]
        return None if token in self.unknown else token

    def answer(self, prompt: str, answer: str, glued: bool = False) -> int:
        """The id that follows ``prompt`` when ``answer`` is appended.

        An answer without whitespace in front of it gets a space, or, where only that makes one token, none; where it
        is ``glued`` to the prompt it never gets one.
        Raises :class:`TaskError` where it is not one known token or changes how the prompt is read.
        """
        for space in [""] if glued or answer[:1].isspace() else [" ", ""]:
            text = prompt + space + answer
            token = self.token(text, len(prompt), len(text))
            if token is not None and self.ids(text)[:-1] == self.ids(prompt):
                return token
        if prompt != prompt.rstrip():
            raise TaskError(f"the prompt {prompt!r} ends with whitespace; leave it out, it belongs to the answer")
        count = len(self.ids(f"{prompt}{'' if glued else ' '}{answer.strip()}")) - len(self.ids(prompt))
        known = "is unknown to this tokenizer" if count == 1 else f"is {count} tokens"
        raise TaskError(f"the answer {answer!r} {known} after {prompt!r}; an answer must be one known token")

    def knows(self, text: str) -> bool:
        """True where no part of ``text`` is read as the unknown token."""
        return not self.unknown.intersection(self._bare(text))

    @cached_property
    def prefix(self) -> list[int]:
        """Ids of the special tokens that the tokenizer puts before every text, such as BOS."""
        whole, bare = list(self._tokenizer("a")["input_ids"]), self._bare("a")
        for start in range(len(whole) - len(bare) + 1):
            if bare and whole[start : start + len(bare)] == bare:
                return whole[:start]
        return whole[:1] if whole[:1] == [getattr(self._tokenizer, "bos_token_id", None)] else []

    @cached_property
    def unknown(self) -> set[int]:
        """Ids that stand for a word out of the vocabulary."""
        tokenizer = self._tokenizer
        found = {getattr(tokenizer, "unk_token_id", None)}
        model = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
        name = getattr(model, "unk_token", None)
        found.add(tokenizer.convert_tokens_to_ids(name) if isinstance(name, str) else None)
        return {token for token in found if isinstance(token, int)}

    def _bare(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
