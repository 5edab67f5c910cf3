"""How submissions stand on the boards: the store's records with author, link, date and mark from the entries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from bench.board.record import CellRecord
from bench.explanation import TRACKS
from bench.harness.records import read_records
from bench.harness.store import Store
from bench.submit.entries import Entry, read_entries
from bench.submit.scoring import store_of


def with_submissions(records: Iterable[CellRecord], store: str | Path, out: str | Path) -> list[CellRecord]:
    """``records``, marked where an entry in ``out`` verifies them, and those of submissions that have an entry.

    Their floors and ceilings come with them as ``beside``: they belong to no row but these. A submission whose cell is
    not in the store is ``missing``.
    """
    entries = {key: entry for entry in read_entries(Path(out)) for key in entry.keys}
    own = [_marked(record, entries.pop(record.key, None)) for record in records]
    root = store_of(store)
    handed = read_records(Store(root)) if root.is_dir() else []
    theirs = [_marked(record, entries.pop(record.key)) for record in handed if record.key in entries]
    places = {(r.task, r.model, r.model_seed, r.data_seed) for r in theirs}
    beside = [
        replace(record, beside=True) for record in handed
        if record.method_baseline and (record.task, record.model, record.model_seed, record.data_seed) in places
    ]  # fmt: skip
    return [*own, *theirs, *beside, *(_missing(key, entry) for key, entry in entries.items())]


def _marked(record: CellRecord, entry: Entry | None) -> CellRecord:
    if entry is None:
        return record
    return replace(record, author=entry.author, link=entry.link, date=entry.date, mark=entry.mark)


def _missing(key: str, entry: Entry) -> CellRecord:
    """A row for an entry whose cell is not here."""
    seed, data = (None if value < 0 else value for value in (entry.model_seed, entry.data_seed))
    record = CellRecord(
        TRACKS.get(entry.level, ""), entry.task, entry.model, seed, data, None, entry.method, False, entry.level,
        entry.counterfactual, "test", "missing",
        "hand its files to `bench submit` again: they are scored on the examples drawn then", key, seed is not None,
    )  # fmt: skip
    return _marked(record, entry)
