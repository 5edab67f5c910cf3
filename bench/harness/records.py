"""From the store to what boards are made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from bench.board.record import CellRecord
from bench.harness.keys import canonical
from bench.harness.store import Store
from bench.metric import Measurement

IDENTITY = ("track", "task", "model", "model_seed", "data_seed", "method_seed", "method", "level", "counterfactual")


def read_records(
    store: Store, cells: Collection[str] | None = None, scores: Collection[str] | None = None
) -> list[CellRecord]:
    """Records of the store's cells and measurements, or of those named by key; cells that were asked for and are
    not there are ``missing``. Of several records for one place on a board the current one stays: a finished cell
    before any other, then the one that was asked for last."""
    stored = [cell for cell in store.cells() if cells is None or cell["key"] in cells]
    known = {cell["key"] for cell in stored}
    trained: dict[str, Any] = {}
    for plan in store.plans():
        trained |= {plan["key"]: plan["trained_on"]} if "trained_on" in plan else {}
        if plan["key"] not in known and (cells is None or plan["key"] in cells):
            known.add(plan["key"])
            stored.append({"key": plan["key"], "record": plan, "status": "missing", "reason": "has not been run"})
    current = _current(stored)
    for cell in current:  # one that was run before its method said so is marked too, once it is asked for again
        cell["record"].setdefault("trained_on", trained.get(cell["key"], ()))
    return [_record(store, cell, scores) for cell in sorted(current, key=lambda cell: _place(cell))]


def _place(cell: Mapping[str, Any]) -> str:
    """The same for all records of one place on a board, whatever their versions."""
    return canonical([cell["record"][name] for name in IDENTITY])


def _current(cells: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    best: dict[str, Mapping[str, Any]] = {}
    for cell in cells:
        place = _place(cell)
        if place not in best or _rank(cell) > _rank(best[place]):
            best[place] = cell
    return list(best.values())


def _rank(cell: Mapping[str, Any]) -> tuple[bool, bool, float, str]:
    return (cell["status"] == "ok", cell["status"] != "missing", cell.get("written", 0.0), cell["key"])


def _record(store: Store, cell: Mapping[str, Any], scores: Collection[str] | None) -> CellRecord:
    measured = _latest(store, cell["key"], scores) if cell["status"] == "ok" else []
    cost = cell.get("cost", {})
    return CellRecord(
        **cell["record"], status=cell["status"], reason=cell["reason"] if cell["status"] != "ok" else "",
        n=cell.get("n", 0), forwards=cost.get("forwards"), backwards=cost.get("backwards"),
        seconds=cost.get("seconds"), measurements=tuple(m for _, m in measured),
        score_keys=tuple(key for key, _ in measured), site=cell.get("site", ""), rank=cell.get("rank"),
        l0=cell.get("l0"), control=bool(cell.get("control")),
    )  # fmt: skip


def _latest(store: Store, key: str, scores: Collection[str] | None) -> list[tuple[str, Measurement]]:
    """Measurements by key; of two versions of one metric the one that was written last."""
    best: dict[str, tuple[float, str, Measurement]] = {}
    for score_key, measurement, meta in store.scores(key):
        if scores is not None and score_key not in scores:
            continue
        place = canonical([measurement.metric, measurement.parameters, measurement.ablation])
        entry = (meta.get("written", 0.0), score_key, measurement)
        if place not in best or entry[:2] > best[place][:2]:
            best[place] = entry
    return [(score_key, measurement) for _, score_key, measurement in best.values()]
