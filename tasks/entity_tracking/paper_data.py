"""Examples in the format of the paper's own data, read in place of the generator.

JSON lines (or any other table), one prompt per row, with the fields

===================  ==================================================================================================
``sentence``         "The magnet is in Box X, the eggnog is in Box T. Box X contains the magnet." Boxes may also be told
                     of as "Box X contains (has, holds) the magnet" and "the magnet is contained in Box X"
``sentence_masked``  the same with ``<extra_id_0>`` in place of what the box contains
``masked_content``   "<extra_id_0> the magnet"
``split``            train, validation or test; may be missing, and whole contexts are then dealt to the splits
===================  ==================================================================================================

The last word of ``sentence`` is the answer, what stands before it the prompt. Each box holds one object of one word,
and nothing is moved: ``numops``, where it is there, is 0. Other fields are ignored. Counterfactuals are built from the
row and from other rows of its split with as many boxes, other objects and as many tokens
(:func:`tasks.entity_tracking.scenes.variants`); ``object`` and ``all`` take theirs from a row in which another box is
asked for. Rows whose answer is several tokens for this tokenizer, or that no other row fits, are left out, and the
share kept is printed. Rows with the same objects make a cluster.
"""

from __future__ import annotations

import string
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict

from bench.task import SPLITS, DataRequest, TaskData, TaskError
from tasks._common import Encoder, Item
from tasks._common.rows import fits, row
from tasks._common.splits import deal, given
from tasks._common.tables import Row, read_table
from tasks.entity_tracking.reading import parse
from tasks.entity_tracking.scenes import Scene, variants

MASK = "<extra_id_0>"
TRIES = 200


@dataclass(frozen=True)
class _Example:
    row: Row
    scene: Scene
    cluster: str


def is_papers(source: str) -> bool:
    """Whether a table has the paper's fields and not those of the common format."""
    names = set().union(*(row.cells for row in read_table(source)))
    return "sentence" in names and "prompt" not in names


def load_papers(encoder: Encoder, request: DataRequest) -> TaskData:
    """The examples of ``request.source``, at most ``request.sizes`` of each split.

    Raises :class:`TaskError` that names the row and the field.
    """
    rows = read_table(str(request.source))
    scenes = [_scene(row) for row in rows]
    examples = [_Example(row, s, "|".join(sorted(s.objects))) for row, s in zip(rows, scenes, strict=True)]
    rng = np.random.default_rng([request.seed, 0])
    columns = sorted(set().union(*(row.cells for row in rows)))
    parts = given(rows, columns) or deal([e.cluster for e in examples], rng)
    splits = {}
    for split in SPLITS:
        ours = [examples[i] for i in parts[split]]
        most = (request.sizes or {}).get(split, len(ours))
        splits[split] = Dataset.from_list(_rows(encoder, ours, most, rng, split))
    return TaskData(DatasetDict(splits), {"rows": sum(map(len, splits.values())) / len(rows)})


def _scene(row: Row) -> Scene:
    """The scene of a row, whose three fields have to agree."""
    sentence, masked, content = (_spaced(row.text(name)) for name in ("sentence", "sentence_masked", "masked_content"))
    if str(row.cells.get("numops", 0)).strip() not in ("0", "0.0"):
        raise TaskError(f"{row.label}, field 'numops': {row.cells['numops']!r}; only contexts without moves are read")
    if MASK not in masked:
        raise TaskError(f"{row.label}, field 'sentence_masked': no {MASK} in it")
    if not content.startswith(f"{MASK} "):
        raise TaskError(f"{row.label}, field 'masked_content': {content!r} does not begin with {MASK} and a space")
    if masked.replace(MASK, content.removeprefix(f"{MASK} ")) != sentence:
        raise TaskError(f"{row.label}, field 'masked_content': put into 'sentence_masked' it does not give 'sentence'")
    prompt, _, answer = sentence.removesuffix(".").rstrip().rpartition(" ")
    try:
        scene = parse(prompt)
    except ValueError as error:
        raise TaskError(f"{row.label}, field 'sentence': {error}") from error
    if scene.answer != answer:
        there = f"holds {scene.answer!r}" if scene.answer else "does not occur"
        raise TaskError(f"{row.label}, field 'sentence': it ends with {answer!r}, but Box {scene.query} {there}")
    return scene


def _spaced(text: str) -> str:
    """The text with single spaces and none before a full stop."""
    return " ".join(text.split()).replace(" .", ".")


def _rows(
    encoder: Encoder, ours: Sequence[_Example], most: int, rng: np.random.Generator, split: str
) -> list[dict[str, Any]]:
    """At most ``most`` of a split's examples, in their order. Raises :class:`TaskError` where none can be used."""
    found: dict[int, dict[str, Any]] = {}
    reasons: list[TaskError] = []
    alike: dict[int, list[_Example]] = defaultdict(list)
    for example in ours:
        alike[len(example.scene.labels)].append(example)
    for i in rng.permutation(len(ours)):
        if len(found) == most:
            break
        try:
            found[int(i)] = _row(encoder, ours[i], alike[len(ours[i].scene.labels)], rng)
        except TaskError as error:
            reasons.append(error)
    if not found:
        raise TaskError(f"no row for {split} can be used with this tokenizer; {reasons[0]}")
    return [found[i] for i in sorted(found)]


def _row(encoder: Encoder, example: _Example, alike: Sequence[_Example], rng: np.random.Generator) -> dict[str, Any]:
    """The example with counterfactuals from rows with as many boxes. Raises :class:`TaskError` that names the row."""
    scene, n = example.scene, len(example.scene.labels)
    reason = f"its split has no row with {n} boxes, other objects and another box asked for; give more rows"
    for _ in range(TRIES):
        other, control = (alike[int(i)] for i in rng.integers(len(alike), size=2))
        fresh = example.cluster not in (other.cluster, control.cluster) and scene.answer not in other.scene.objects
        if not fresh or other.scene.slot == scene.slot:
            continue
        wrong = int((scene.slot + rng.integers(1, n)) % n)
        unborne = sorted({*string.ascii_uppercase} - {*other.scene.labels, scene.query})
        unknown = unborne[int(rng.integers(len(unborne)))]
        made = variants(scene, wrong, other.scene, control.scene, unknown, rng)
        item = Item(
            scene.prompt(wrong), scene.objects[wrong], "paper", example.cluster,
            {name: s.prompt() for name, s in made.items()},
        )  # fmt: skip
        if not fits(encoder, item):
            reason = f"no other row of its split with {n} boxes has as many tokens; give more rows"
            continue
        try:
            return row(encoder, item)
        except TaskError as error:
            reason = str(error)
    raise TaskError(f"{example.row.label}, field 'sentence': {reason}")
