"""Text for dictionaries: a file or a data set, tokenised and packed into contexts of one length.

Sources: ``stories.txt`` (one document), ``.json`` (a list of texts, or of rows with a ``text``), ``.jsonl``, ``.csv``
and ``.parquet`` (a ``text`` column), a directory that ``datasets`` saved, or the name of a hub data set, each with
``:column`` behind it where the column is another one, and a hub data set's split as ``name@split``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

LOADERS = {".csv": "csv", ".jsonl": "json", ".parquet": "parquet"}
COLUMN = "text"


class TextError(ValueError):
    """Text that cannot be read or is too short; the message has the counts."""


def read_texts(source: str) -> Iterator[str]:
    """The documents of a source, in its order; raises :class:`TextError`."""
    name, column = _parts(source)
    path = Path(name).expanduser()
    if path.suffix == ".txt" and path.is_file():
        yield path.read_text()
    elif path.suffix == ".json" and path.is_file():
        yield from (_text(row, column, path.name) for row in _list(path))
    else:
        for row in _rows(name, path):
            yield _text(row, column, name)


def _parts(source: str) -> tuple[str, str]:
    """Name and column; a colon inside a path that exists is no separator."""
    name, colon, column = source.rpartition(":")
    return (name, column) if colon and not Path(source).expanduser().exists() else (source, COLUMN)


def _list(path: Path) -> list[Any]:
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise TextError(f"{path.name} is no JSON: {error}") from error
    if not isinstance(found, list):
        raise TextError(f"{path.name} holds a {type(found).__name__}; a list of texts or rows is needed")
    return found


def _rows(name: str, path: Path) -> Iterable[Any]:
    import datasets

    if path.is_file() and path.suffix in LOADERS:
        return datasets.load_dataset(LOADERS[path.suffix], data_files=str(path), split="train")
    if path.is_dir():
        return _saved(datasets.load_from_disk(str(path)))
    if path.exists() or path.suffix or name.startswith((".", "/", "~")):
        raise TextError(
            f"{name}: no such text; use .txt, .json, .jsonl, .csv, .parquet, a datasets directory or hub name"
        )
    hub, _, split = name.partition("@")
    return datasets.load_dataset(hub, split=split or "train", streaming=True)


def _saved(found: Any) -> Iterable[Any]:
    return found["train"] if isinstance(found, dict) else found


def _text(row: Any, column: str, name: str) -> str:
    text = row.get(column) if isinstance(row, dict) else row
    if not isinstance(text, str):
        have = ", ".join(row) if isinstance(row, dict) else type(row).__name__
        raise TextError(f"{name}: a row has no text in {column!r} (it has: {have})")
    return text


def pack(tokenizer: Any, texts: Iterable[str], length: int, most: int | None = None) -> Tensor:
    """``[n, length]`` token ids: documents end to end, cut into contexts; the rest that fills none is left out.

    Every context begins with the tokenizer's BOS where it has one; documents are separated by EOS (else BOS).
    ``most`` contexts at most are read. Raises :class:`TextError` where not one is full.
    """
    if length < 2:
        raise TextError(f"contexts of {length} tokens are too short; use 2 or more")
    first = tokenizer.bos_token_id
    separator = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else first
    body = length - (first is not None)
    waiting: list[int] = []
    rows: list[list[int]] = []
    total = 0
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        total += len(ids)
        waiting += ids if separator is None else [*ids, separator]
        while len(waiting) >= body:
            rows.append([*([] if first is None else [first]), *waiting[:body]])
            waiting = waiting[body:]
        if most is not None and len(rows) >= most:
            break
    if not rows:
        raise TextError(f"the text has {total} tokens, fewer than one context of {length}")
    return torch.tensor(rows[:most], dtype=torch.long)


@dataclass(frozen=True)
class Contexts:
    """Packed text in two parts that share no context."""

    train: Tensor
    """``[n, length]``."""
    held_out: Tensor
    """``[m, length]``: every tenth of them, or what the share is."""


def split(rows: Tensor, share: float = 0.1) -> Contexts:
    """A ``share`` of the contexts (one at least) held out, spread evenly; raises :class:`TextError` for a single one.

    Not the text's end: files are often sorted, and then their end is another text. Which contexts are held out depends
    on their numbers alone, so that what is trained on a text's beginning has seen none that are held out of all of it.
    """
    if len(rows) < 2:
        raise TextError(f"the text fills {len(rows)} context; 2 are needed, one of them held out")
    passed = [math.floor(n * share + 1e-9) for n in range(len(rows) + 1)]
    held = torch.tensor([after > before for before, after in pairwise(passed)])
    if not bool(held.any()):
        held[-1] = True
    return Contexts(rows[~held], rows[held])
