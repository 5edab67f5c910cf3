"""An item as the row of a split (:mod:`bench.task` describes it)."""

from __future__ import annotations

from typing import Any

from bench.task import TaskError
from tasks._common.items import Item, Prompt
from tasks._common.tokens import Encoder


def fits(encoder: Encoder, item: Item) -> bool:
    """Whether its counterfactuals are as long as the clean prompt, in tokens."""
    length = len(encoder.ids(item.clean.text))
    return all(len(encoder.ids(other.text)) == length for other in item.others.values())


def row(encoder: Encoder, item: Item) -> dict[str, Any]:
    """The item tokenised. Raises :class:`TaskError` where an answer or a named word is not at token borders."""
    clean = item.clean
    answer_id, wrong_id = (encoder.answer(clean.text, word, item.glued) for word in (clean.answer, item.wrong))
    if answer_id == wrong_id:
        raise TaskError(f"{clean.text!r}: the answer {clean.answer!r} and the wrong {item.wrong!r} are one token")
    return {
        "prompt": clean.text,
        "ids": encoder.ids(clean.text),
        "answer": clean.answer,
        "wrong": item.wrong,
        "answer_id": answer_id,
        "wrong_id": wrong_id,
        "positions": positions(encoder, clean),
        "template": item.template,
        "cluster": item.cluster,
        "values": dict(clean.values),
        "counterfactuals": {name: _other(encoder, other, item.glued) for name, other in item.others.items()},
    }


def positions(encoder: Encoder, prompt: Prompt) -> dict[str, int]:
    """The last token of each named word, and ``END``, the prompt's last token."""
    found = {}
    for name, (start, end) in prompt.spans.items():
        span = encoder.span(prompt.text, start, end)
        if span is None:
            word = prompt.text[start:end]
            raise TaskError(f"{word!r} ({name}) in {prompt.text!r} does not begin and end where a token does")
        found[name] = span[1] - 1
    return {**found, "END": len(encoder.ids(prompt.text)) - 1}


def _other(encoder: Encoder, prompt: Prompt, glued: bool) -> dict[str, Any]:
    return {
        "prompt": prompt.text,
        "ids": encoder.ids(prompt.text),
        "answer": prompt.answer,
        "answer_id": encoder.answer(prompt.text, prompt.answer, glued) if prompt.answer else -1,
        "values": dict(prompt.values),
    }
