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
asked for. So each split needs two contexts at least for each number of boxes. Rows with the same objects make a
cluster.
"""

from __future__ import annotations

import string
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
TRIES = 100


@dataclass(frozen=True)
class _Example:
    row: Row
    scene: Scene

    @property
    def cluster(self) -> str:
        return "|".join(sorted(self.scene.objects))


def is_papers(source: str) -> bool:
    """Whether a table has the paper's fields and not those of the common format."""
    names = set().union(*(row.cells for row in read_table(source)))
    return "sentence" in names and "prompt" not in names


def load_papers(encoder: Encoder, request: DataRequest) -> TaskData:
    """The examples of ``request.source``, at most ``request.sizes`` of each split.

    Raises :class:`TaskError` that names the row and the field.
    """
    examples = [_Example(row, _scene(row)) for row in read_table(str(request.source))]
    rows, columns = [e.row for e in examples], sorted({name for e in examples for name in e.row.cells})
    clusters = [e.cluster for e in examples]
    rng = np.random.default_rng([request.seed, 0])
    parts = given(rows, columns) or deal(clusters, rng)
    splits = {}
    for split in SPLITS:
        ours = [examples[i] for i in parts[split]]
        most = (request.sizes or {}).get(split, len(ours))
        chosen = sorted(rng.permutation(len(ours))[:most])
        splits[split] = Dataset.from_list([_row(encoder, ours[i], ours, rng) for i in chosen])
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


def _row(encoder: Encoder, example: _Example, ours: Sequence[_Example], rng: np.random.Generator) -> dict[str, Any]:
    """The example with counterfactuals from other rows. Raises :class:`TaskError` that names the row."""
    try:
        return row(encoder, _item(encoder, example, ours, rng))
    except TaskError as error:
        if str(error).startswith(example.row.label):
            raise
        raise TaskError(f"{example.row.label}, field 'sentence': {error}") from error


def _item(encoder: Encoder, example: _Example, ours: Sequence[_Example], rng: np.random.Generator) -> Item:
    scene, n = example.scene, len(example.scene.labels)
    alike = [e.scene for e in ours if len(e.scene.labels) == n and e.cluster != example.cluster]
    others = [s for s in alike if s.slot != scene.slot and scene.answer not in s.objects]
    wrong = int((scene.slot + rng.integers(1, n)) % n)
    for _ in range(TRIES if others else 0):
        other, control = others[int(rng.integers(len(others)))], alike[int(rng.integers(len(alike)))]
        unborne = sorted({*string.ascii_uppercase, *(label for s in alike for label in s.labels)} - {*other.labels})
        unknown = unborne[int(rng.integers(len(unborne)))]
        made = variants(scene, wrong, other, control, unknown, rng)
        item = Item(
            scene.prompt(wrong), scene.objects[wrong], "paper", example.cluster,
            {name: s.prompt() for name, s in made.items()},
        )  # fmt: skip
        if fits(encoder, item):
            return item
    raise TaskError(
        f"{example.row.label}, field 'sentence': its split has no row with {n} boxes, other objects and as many tokens "
        "in which another box is asked for; give more rows"
    )
