"""Examples of the user's own, in place of a task's generator.

One row per example, with the columns

==================================  ===========================================================================
``prompt``                          the clean prompt, up to where the answer begins
``answer``, ``wrong``               what comes next, and what it is measured against; one token each. A space is put
                                    before a word where that makes it one token
``counterfactual.NAME``             a counterfactual prompt with as many tokens; at least one such column
``counterfactual.NAME.answer``      what comes after it (may be empty: nothing in particular)
``counterfactual.NAME.value.V``     the causal model's variable V on it
``value.V``                         the causal model's variable V on the clean prompt
``position.P``                      where the position P is: a token's index (from the end where negative), or a word
                                    of the prompt, its last token being meant; ``Mary#2`` is its second mention
``template``, ``cluster``           labels; intervals are bootstrapped over clusters. Where no cluster is given, the
                                    template and the unordered pair of answers make one
``split``                           train, validation or test. Where absent, whole clusters are dealt out
==================================  ===========================================================================

All but the first four lines may be missing, but a column must then be empty in no row, or in all.
Nested JSON objects (``{"counterfactual": {"abc": ...}}``) read as columns joined by dots. Other columns are ignored.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict

from bench.task import SPLITS, DataRequest, TaskData, TaskError
from tasks._common.splits import deal, given
from tasks._common.tables import Row, read_table
from tasks._common.tokens import Encoder

REQUIRED = ("prompt", "answer", "wrong")
PLAIN = (*REQUIRED, "template", "cluster", "split")
GROUPS = ("counterfactual", "position", "value")

FindPositions = Callable[[str, str, str], Mapping[str, tuple[int, int]] | None]
"""From prompt, answer and wrong answer to spans of characters of named words, or None."""


def load_examples(
    encoder: Encoder,
    request: DataRequest,
    find_positions: FindPositions | None = None,
    glued: Callable[[str], bool] = lambda prompt: False,
) -> TaskData:
    """The examples of ``request.source`` as :class:`bench.task.TaskData`, at most ``request.sizes`` of each split.

    ``find_positions`` is asked where no ``position.`` column is given, and used if it answers for every row.
    ``glued`` says of a prompt whether its answers follow without a space.
    Raises :class:`TaskError` that names the row and the column.
    """
    rows = read_table(str(request.source))
    columns = _columns(rows)
    encoder.warm(str(cell) for row in rows for name, cell in row.cells.items() if _holds_prompt(name))
    examples = [_example(encoder, row, columns, glued) for row in rows]
    if find_positions and not any(c.startswith("position.") for c in columns):
        _add_positions(encoder, examples, find_positions)
    rng = np.random.default_rng([request.seed, 0])
    parts = given(rows, columns) or deal([e["cluster"] for e in examples], rng)
    splits = {}
    for split in SPLITS:
        most = (request.sizes or {}).get(split, len(parts[split]))
        chosen = sorted(rng.permutation(parts[split])[:most]) if most < len(parts[split]) else parts[split]
        splits[split] = Dataset.from_list([examples[i] for i in chosen])
    return TaskData(DatasetDict(splits), {"rows": sum(map(len, splits.values())) / len(rows)})


def _columns(rows: Sequence[Row]) -> list[str]:
    """Columns with something in them. Raises :class:`TaskError` where one is missing, misspelt or half empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row.cells))
    for name in REQUIRED:
        if name not in columns:
            raise TaskError(f"no column {name!r}; the columns are {', '.join(columns)}")
    for name in columns:
        group, dot, _ = name.partition(".")
        known = [f"{near}." for near in GROUPS] if dot else PLAIN
        near = difflib.get_close_matches(group + dot, known, n=1, cutoff=0.8)
        if near and near[0] != group + dot:
            raise TaskError(f"column {name!r} means nothing here; did you mean {near[0]!r}?")
    columns = [c for c in columns if c in PLAIN or c.partition(".")[0] in GROUPS and "." in c]
    if not _counterfactuals(columns):
        raise TaskError("no column 'counterfactual.NAME'; at least one counterfactual prompt per example is needed")
    for row in rows:
        for name in columns:
            if name not in row.cells and not re.fullmatch(r"counterfactual\.[^.]+\.answer", name):
                raise TaskError(f"{row.label}, column {name!r}: nothing there, while other rows have something")
    return columns


def _counterfactuals(columns: Sequence[str]) -> list[str]:
    return [c.split(".")[1] for c in columns if c != "prompt" and _holds_prompt(c)]


def _holds_prompt(column: str) -> bool:
    return column == "prompt" or re.fullmatch(r"counterfactual\.[^.]+", column) is not None


def _example(encoder: Encoder, row: Row, columns: Sequence[str], glued: Callable[[str], bool]) -> dict[str, Any]:
    prompt, answer, wrong = (row.text(name) for name in REQUIRED)
    ids = encoder.ids(prompt)
    answer_id, wrong_id = (_answer(encoder, row, prompt, column, glued) for column in ("answer", "wrong"))
    if answer_id == wrong_id:
        raise TaskError(f"{row.label}, column 'wrong': {wrong!r} is the same token as the answer")
    template = row.text("template") if "template" in columns else ""
    pair = "|".join((template, *sorted((answer.strip(), wrong.strip()))))
    return {
        "prompt": prompt,
        "ids": ids,
        "answer": answer.strip(),
        "wrong": wrong.strip(),
        "answer_id": answer_id,
        "wrong_id": wrong_id,
        "positions": {**_positions(encoder, row, prompt, columns), "END": len(ids) - 1},
        "template": template,
        "cluster": row.text("cluster") if "cluster" in columns else pair,
        "values": _values(row, columns, "value.") or {"answer": answer.strip()},
        "counterfactuals": {
            name: _counterfactual(encoder, row, columns, name, len(ids), glued) for name in _counterfactuals(columns)
        },
    }


def _counterfactual(
    encoder: Encoder, row: Row, columns: Sequence[str], name: str, length: int, glued: Callable[[str], bool]
) -> dict[str, Any]:
    column = f"counterfactual.{name}"
    prompt = row.text(column)
    ids = encoder.ids(prompt)
    if len(ids) != length:
        raise TaskError(
            f"{row.label}, column {column!r}: {len(ids)} tokens, its prompt has {length}; both must have as many"
        )
    answer = row.text(f"{column}.answer").strip() if f"{column}.answer" in row.cells else ""
    return {
        "prompt": prompt,
        "ids": ids,
        "answer": answer,
        "answer_id": _answer(encoder, row, prompt, f"{column}.answer", glued) if answer else -1,
        "values": _values(row, columns, f"{column}.value.") or {"answer": answer},
    }


def _answer(encoder: Encoder, row: Row, prompt: str, column: str, glued: Callable[[str], bool]) -> int:
    try:
        return encoder.answer(prompt, row.text(column), glued(prompt))
    except TaskError as error:
        raise TaskError(f"{row.label}, column {column!r}: {error}") from error


def _values(row: Row, columns: Sequence[str], before: str) -> dict[str, str]:
    return {c.removeprefix(before): row.text(c) for c in columns if c.startswith(before)}


def _positions(encoder: Encoder, row: Row, prompt: str, columns: Sequence[str]) -> dict[str, int]:
    named = [c for c in columns if c.startswith("position.")]
    return {c.removeprefix("position."): _position(encoder, row, prompt, c) for c in named}


def _position(encoder: Encoder, row: Row, prompt: str, column: str) -> int:
    said = row.text(column)
    length = len(encoder.ids(prompt))
    if re.fullmatch(r"-?\d+", said.strip()):
        index = int(said)
        if not -length <= index < length:
            raise TaskError(f"{row.label}, column {column!r}: {index} is outside the prompt's {length} tokens")
        return index % length
    word, _, mention = said.partition("#")
    spans = [m.span() for m in re.finditer(rf"(?<!\w){re.escape(word.strip())}(?!\w)", prompt)]
    which = int(mention) if mention.isdigit() else 1
    if not 1 <= which <= len(spans):
        raise TaskError(f"{row.label}, column {column!r}: the prompt says {word!r} {len(spans)} times, not {which}")
    return _last_token(encoder, row, column, prompt, spans[which - 1])


def _last_token(encoder: Encoder, row: Row, column: str, prompt: str, span: tuple[int, int]) -> int:
    tokens = encoder.span(prompt, *span)
    if tokens is None:
        raise TaskError(f"{row.label}, column {column!r}: the word does not begin and end where a token does")
    return tokens[1] - 1


def _add_positions(encoder: Encoder, examples: Sequence[dict[str, Any]], find: FindPositions) -> None:
    """Add the positions that ``find`` gives, if it gives them for all."""
    found = []
    for example in examples:
        words = find(example["prompt"], example["answer"], example["wrong"])
        tokens = {name: encoder.span(example["prompt"], *span) for name, span in (words or {}).items()}
        if not tokens or None in tokens.values():
            return
        found.append({name: span[1] - 1 for name, span in tokens.items() if span})
    for example, positions in zip(examples, found, strict=True):
        example["positions"] = {**positions, **example["positions"]}
