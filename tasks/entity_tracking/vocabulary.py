"""Which templates, objects and labels a tokenizer can be asked about."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

from bench.task import TaskError
from tasks._common import Encoder, Pool, fill, single
from tasks.entity_tracking.templates import LAST_RESORT, TEMPLATES

BOXES = 3
"""Boxes in the frames that words are tried in: the first, the last and one between."""


def read_vocabulary(encoder: Encoder, offered: Pool, chosen: bool) -> dict[str, tuple[str, ...]]:
    """Templates without unknown words, and objects and labels that are one known token in every place of each.

    A template in which fewer than half as many objects or labels pass as in the best one is left out (with most
    byte-level tokenizers the one that begins with an object, where it lacks its leading space). The last resort is
    kept where the templates were ``chosen`` or where no other is left. Raises :class:`TaskError` where none is.
    """
    objects, labels = offered["objects"], offered["labels"]
    known = [name for name in offered["templates"] if encoder.knows(_words(name))]
    passing = {n: (_objects(encoder, n, objects, labels), _labels(encoder, n, objects, labels)) for n in known}
    most = [max((len(found[i]) for found in passing.values()), default=0) for i in (0, 1)]
    kept = [n for n in known if all(most) and all(2 * len(p) >= m for p, m in zip(passing[n], most, strict=True))]
    if not chosen and len(kept) > 1:
        kept = [name for name in kept if name != LAST_RESORT]
    if not kept:
        raise TaskError(
            "no template of entity_tracking can be read by this tokenizer: its words, or every object or label in it, "
            "are unknown or several tokens; take another model or give examples of your own (task.data=FILE)"
        )
    return {
        "templates": tuple(kept),
        "objects": tuple(word for word in objects if all(word in passing[name][0] for name in kept)),
        "labels": tuple(word for word in labels if all(word in passing[name][1] for name in kept)),
    }


def _words(name: str) -> str:
    """The template without its slots."""
    pattern = TEMPLATES[name].pattern(BOXES)
    return fill(pattern, dict.fromkeys([*_slots("O"), *_slots("L"), "Q"], " "))[0]


def _objects(encoder: Encoder, name: str, objects: Sequence[str], labels: Sequence[str]) -> set[str]:
    """Objects that are the same token in every box and as the answer."""
    frames = [_frame(name, objects, labels, slot) for slot in _slots("O")]
    answer = f"{_frame(name, objects, labels, '')} {{}}"
    return set(single(encoder, objects, [*frames, answer]))


def _labels(encoder: Encoder, name: str, objects: Sequence[str], labels: Sequence[str]) -> set[str]:
    """Labels that are the same token on every box and in the query."""
    return set(single(encoder, labels, [_frame(name, objects, labels, slot) for slot in (*_slots("L"), "Q")]))


def _frame(name: str, objects: Sequence[str], labels: Sequence[str], open_slot: str) -> str:
    """The template filled but for one slot, which is left as ``{}``."""
    words = dict(zip(_slots("O"), cycle(objects), strict=False))
    words |= dict(zip(_slots("L"), cycle(labels), strict=False)) | {"Q": labels[0]}
    return fill(TEMPLATES[name].pattern(BOXES), words | {open_slot: "{}"})[0]


def _slots(kind: str) -> list[str]:
    return [f"{kind}{i}" for i in range(1, BOXES + 1)]
