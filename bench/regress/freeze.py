"""From a store to frozen boards, and back to cells that can be scored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.board.record import CellRecord
from bench.harness.cells import Cell, MetricChoice, Settings
from bench.harness.errors import CallError
from bench.harness.models import NotShipped, find_model
from bench.harness.planning import cell_of, with_scores
from bench.harness.provenance import code
from bench.harness.records import read_records
from bench.harness.store import Store
from bench.metric import Measurement
from bench.registry import PluginError, Registries, UnknownName
from bench.regress.frozen import Frozen, FrozenCell, FrozenScore, clusters_digest
from bench.regress.trace import traces

Plain = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What a call asks for; None asks for all."""

    tasks: frozenset[str] | None = None
    methods: frozenset[str] | None = None
    seeds: frozenset[int] | None = None
    """Of the planted model."""
    data_seeds: frozenset[int] | None = None
    """Of the examples."""
    metrics: frozenset[str] | None = None
    ablations: frozenset[str] | None = None

    def cell(self, cell: Cell) -> bool:
        """Whether a cell is asked for."""
        return (
            _in(cell.task.name, self.tasks)
            and _in(cell.method.name, self.methods)
            and _in(cell.model.seed, self.seeds)
            and _in(cell.task.seed, self.data_seeds)
        )

    def score(self, metric: str, ablation: str) -> bool:
        """Whether a measurement is; those that run no circuit belong to every ablation."""
        return _in(metric, self.metrics) and (ablation == "none" or _in(ablation, self.ablations))


def _in(value: Any, wanted: frozenset[Any] | None) -> bool:
    return wanted is None or value in wanted


def freeze(store: Store, wanted: Wanted, settings: Settings) -> Frozen:
    """The finished cells of planted models that are on the store's boards, examples of one's own aside."""
    cells, codes = [], defaultdict[str, set[str]](set)
    for record in read_records(store):
        stored = store.cell(record.key)
        if record.status != "ok" or not record.planted or not stored:
            continue
        cell = cell_of(stored, settings)
        if not wanted.cell(cell) or cell.task.data is not None:
            continue
        kept = [m for m in record.measurements if wanted.score(m.metric, m.ablation)]
        scores = tuple(frozen_score(record, m) for m in kept)
        configuration = {**stored["configuration"], "model": {**stored["configuration"]["model"], "path": ""}}
        cells.append(
            FrozenCell(record.key, stored["record"], configuration, record.n, store.explanation(record.key), scores)
        )
        codes[record.track].add(stored["provenance"]["versions"].get("code", ""))
    if not cells:
        raise CallError(f"the store {store.root} has no finished cell on a planted model; run something first")
    made = {track: {"frozen_by": code(), "cells": {"code": sorted(found)}} for track, found in codes.items()}
    return Frozen(tuple(cells), made)


def frozen_score(record: CellRecord, found: Measurement) -> FrozenScore:
    """A measurement's traces."""
    made = tuple(traces(record, found))
    clusters = clusters_digest(found.clusters)
    return FrozenScore(found.metric, found.version, dict(found.parameters), found.ablation, clusters, made)


def thaw(cell: FrozenCell, settings: Settings, registries: Registries) -> tuple[Cell | None, str]:
    """The cell as it is with the current code and models; None and why where it cannot be had any more."""
    kept = cell_of({"key": cell.key, "configuration": cell.configuration}, settings)
    model: Mapping[str, Any] = {"kind": "planted", "seed": kept.model.seed, "variant": kept.model.variant}
    try:
        task = registries.tasks.load(kept.task.name)
        found = find_model(model, task(), kept.model.dtype)
    except (UnknownName, PluginError, NotShipped, CallError) as error:
        return None, str(error.args[0])
    if (found.revision, found.config_digest) != (kept.model.revision, kept.model.config_digest):
        return None, (
            f"the planted model of {kept.task.name}, seed {kept.model.seed}, has other weights or another tokenizer "
            f"than when this was frozen ({kept.model.revision[:12]}): run and freeze again"
        )
    return replace(kept, model=replace(kept.model, path=found.path)), ""


def choices(scores: Iterable[FrozenScore], registries: Registries) -> list[MetricChoice]:
    """The metrics of frozen measurements, in their current versions."""
    found = []
    for score in scores:
        try:
            cls = registries.metrics.load(score.metric)
            version, problem = cls.version, ""
        except (UnknownName, PluginError) as error:
            version, problem = score.version, str(error.args[0])
        found.append(MetricChoice(score.metric, score.metric, version, score.ablation, score.parameters, problem))
    return found


def to_score(cell: Cell, scores: Iterable[FrozenScore], registries: Registries) -> Cell:
    """The cell with the frozen measurements wanted again."""
    return with_scores(cell, choices(scores, registries), registries)
