"""Frozen boards: explanations and the traces of what was measured on them, in four small files.

::

    cells.json            each cell's place, configuration and explanation, its scores aside
    scores.safetensors    fp32: the scores and tensors of each explanation, and the traces' columns, equal ones once
    traces.parquet        a line per figure or array of each measurement
    made.json             the hash of the code that made the figures, by track
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from bench.explanation import Explanation, describe
from bench.harness.errors import CallError
from bench.harness.keys import digest
from bench.regress.trace import Trace

FORMAT = 1
FOLDER = "regress"
HEAD = ("metric", "version", "parameters", "ablation", "clusters")
BODY = ("kind", "name", "status", "reason", "value", "scale", "direction")
CELLS, SCORES, TRACES, MADE = "cells.json", "scores.safetensors", "traces.parquet", "made.json"
Plain = dict[str, Any]


@dataclass(frozen=True)
class FrozenScore:
    """One measurement: which, on which examples, and its traces."""

    metric: str
    version: str
    parameters: Plain
    ablation: str
    clusters: str
    """Digest of the examples' cluster labels; empty where no examples are behind it."""
    traces: tuple[Trace, ...] = ()

    @property
    def place(self) -> str:
        """The same for every version of one metric under one ablation."""
        return digest([self.metric, self.parameters, self.ablation])


@dataclass(frozen=True)
class FrozenCell:
    """One cell: its record (its place on a board), configuration and explanation, and what was measured."""

    key: str
    record: Plain
    configuration: Plain
    """As the store's, without where the model was."""
    n: int
    explanation: Explanation
    scores: tuple[FrozenScore, ...] = ()


@dataclass(frozen=True)
class Frozen:
    """Frozen boards, and what made them."""

    cells: tuple[FrozenCell, ...]
    made: Plain = field(default_factory=dict)


def clusters_digest(clusters: Sequence[str]) -> str:
    """Digest of cluster labels in order; empty for none."""
    return digest(list(clusters)) if clusters else ""


def write(frozen: Frozen, folder: Path) -> int:
    """Write the four files; the bytes that they take."""
    columns = _Columns()
    components: dict[str, list[str]] = {}
    cells, lines, arrays = [], [], {}
    for cell in frozen.cells:
        names = list(cell.explanation.components)
        components[digest(names)] = names
        meta = {**describe(cell.explanation), "components": digest(names)}
        kept = {"key": cell.key, "record": cell.record, "configuration": cell.configuration, "n": cell.n}
        cells.append({**kept, "explanation": meta})
        arrays[f"scores/{cell.key}"] = cell.explanation.scores
        arrays |= {
            f"tensors/{cell.key}/{name}": np.ascontiguousarray(t) for name, t in cell.explanation.tensors.items()
        }
        lines += [_line(cell, score, trace, columns) for score in cell.scores for trace in score.traces]
    folder.mkdir(parents=True, exist_ok=True)
    listed = {"format": FORMAT, "components": components, "cells": cells}
    (folder / CELLS).write_text(json.dumps(listed, sort_keys=True, separators=(",", ":")) + "\n", encoding="utf-8")
    (folder / SCORES).write_bytes(save({**arrays, **columns.tables()}))
    pd.DataFrame(lines).to_parquet(folder / TRACES, index=False, compression="zstd")
    (folder / MADE).write_text(json.dumps(frozen.made, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return sum((folder / name).stat().st_size for name in (CELLS, SCORES, TRACES, MADE))


def read(folder: Path) -> Frozen:
    """Read the four files; raises :class:`CallError` where they are not there, or of another format."""
    missing = [name for name in (CELLS, SCORES, TRACES) if not (folder / name).is_file()]
    if missing:
        raise CallError(
            f"there are no frozen boards in {folder} ({', '.join(missing)} missing): call from the project's folder, "
            "name another with boards=PATH, or freeze a store with `bench regress --freeze`"
        )
    listed = json.loads((folder / CELLS).read_text(encoding="utf-8"))
    if listed.get("format") != FORMAT:
        raise CallError(f"{folder / CELLS} has format {listed.get('format')}, expected {FORMAT}: freeze it again")
    arrays = load_file(folder / SCORES)
    scores, tensors = _scores(pd.read_parquet(folder / TRACES), arrays), _tensors(arrays)
    cells = []
    for cell in listed["cells"]:
        meta = {**cell["explanation"], "components": tuple(listed["components"][cell["explanation"]["components"]])}
        key = cell["key"]
        explanation = Explanation(scores=arrays[f"scores/{key}"], tensors=tensors.get(key, {}), **meta)
        kept = (key, cell["record"], cell["configuration"], cell["n"])
        cells.append(FrozenCell(*kept, explanation, tuple(scores.get(key, ()))))
    made = folder / MADE
    return Frozen(tuple(cells), json.loads(made.read_text(encoding="utf-8")) if made.is_file() else {})


def _tensors(arrays: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, NDArray[Any]]]:
    """By the cell's key and their name."""
    found: dict[str, dict[str, NDArray[Any]]] = {}
    for place, tensor in arrays.items():
        kind, key, *name = place.split("/", 2)
        if kind == "tensors":
            found.setdefault(key, {})[name[0]] = tensor
    return found


def joined(old: Frozen, new: Frozen) -> Frozen:
    """What is newly frozen, and what was frozen of tracks that it has nothing of."""
    tracks = {cell.record["track"] for cell in new.cells}
    kept = tuple(cell for cell in old.cells if cell.record["track"] not in tracks)
    of = {cell.record["track"] for cell in kept}
    return Frozen(kept + new.cells, {track: made for track, made in old.made.items() if track in of} | new.made)


class _Columns:
    """fp32 columns by number of examples, equal ones once."""

    def __init__(self) -> None:
        self._known: dict[int, dict[bytes, int]] = {}

    def add(self, column: NDArray[np.float64]) -> int:
        """The number of a column among those of its length."""
        known = self._known.setdefault(len(column), {})
        return known.setdefault(column.astype(np.float32).tobytes(), len(known))

    def tables(self) -> dict[str, NDArray[np.float32]]:
        """``columns/<n>``: ``[n_columns, n]``."""
        return {
            f"columns/{n}": np.stack([np.frombuffer(column, dtype=np.float32) for column in known])
            for n, known in self._known.items()
        }


def _line(cell: FrozenCell, score: FrozenScore, trace: Trace, columns: _Columns) -> Plain:
    head = {name: getattr(score, name) for name in HEAD}
    body = {name: getattr(trace, name) for name in BODY}
    number = -1 if trace.column is None else columns.add(trace.column)
    n = 0 if trace.column is None else len(trace.column)
    parameters = json.dumps(score.parameters, sort_keys=True)
    return {"key": cell.key, **head, "parameters": parameters, **body, "n": n, "column": number}


def _scores(table: pd.DataFrame, arrays: Mapping[str, NDArray[Any]]) -> dict[str, list[FrozenScore]]:
    """Measurements by the cell's key."""
    found: dict[str, list[FrozenScore]] = {}
    for names, lines in table.groupby(["key", *HEAD], sort=False):
        key, metric, version, parameters, ablation, clusters = (str(name) for name in names)
        traces = tuple(_trace(line, arrays) for line in lines.to_dict("records"))
        score = FrozenScore(metric, version, json.loads(parameters), ablation, clusters, traces)
        found.setdefault(key, []).append(score)
    return found


def _trace(line: Mapping[Any, Any], arrays: Mapping[str, NDArray[Any]]) -> Trace:
    body = {name: line[name] for name in BODY}
    number = int(line["column"])
    column = None if number < 0 else arrays[f"columns/{int(line['n'])}"][number].astype(np.float64)
    return Trace(**{**body, "direction": int(body["direction"])}, column=column)
