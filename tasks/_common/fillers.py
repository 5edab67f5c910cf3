"""Which words a tokenizer can put into a place, and dealing them to the splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bench.task import SPLITS
from tasks._common.items import Pool
from tasks._common.splits import divide
from tasks._common.tokens import Encoder, cuts

SLOT = "{}"


def single(encoder: Encoder, words: Iterable[str], frames: Sequence[str], same: bool = True) -> tuple[str, ...]:
    """The words that are one known token in every frame (a text with one ``{}``), and each a token of its own.

    ``same``: it has to be the same token in all frames, as where a word of the prompt is also the answer.
    """
    words = tuple(dict.fromkeys(words))
    read = {word: [_cut(frame, word) for frame in frames] for word in words}
    encoder.warm(cut for found in read.values() for text, span in found for cut in cuts(text, [span]))
    tokens: dict[str, tuple[int, ...]] = {}
    for word, found in read.items():
        ids = tuple(token for text, span in found if (token := encoder.token(text, *span)) is not None)
        if len(ids) == len(frames) and (not same or len(set(ids)) == 1):
            tokens[word] = ids
    counts = Counter(tokens.values())
    return tuple(word for word, ids in tokens.items() if counts[ids] == 1)


def _cut(frame: str, word: str) -> tuple[str, tuple[int, int]]:
    start = frame.index(SLOT)
    return frame.replace(SLOT, word, 1), (start, start + len(word))


def deal(usable: Pool, least: Mapping[str, Mapping[str, int]], rng: np.random.Generator) -> dict[str, Pool]:
    """Deal each kind of words in ``least`` to the splits, so that no word is in two; every split gets all others.

    ``least`` says how many a split needs of each kind. Raises :class:`bench.task.TaskError` with the counts.
    """
    parts = {kind: divide(usable[kind], rng, needed, f"{kind} of one known token") for kind, needed in least.items()}
    return {
        split: {kind: tuple(parts[kind][split]) if kind in parts else tuple(words) for kind, words in usable.items()}
        for split in SPLITS
    }
