"""The board at a fixed budget of passes: only methods that cost no more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from bench.board.record import CellRecord


class Budget(NamedTuple):
    """What fits into a budget, and what was left out for it."""

    kept: list[CellRecord]
    left_out: list[CellRecord]
    passes: float

    def __str__(self) -> str:
        methods = ", ".join(sorted({record.method for record in self.left_out})) or "none"
        cells = f"{len(self.left_out)} cell{'' if len(self.left_out) == 1 else 's'}"
        return f"budget of {self.passes:g} passes per example (forwards + backwards): {cells} left out ({methods})"


def within(records: Iterable[CellRecord], passes: float) -> Budget:
    """The records that cost at most ``passes`` (forwards + backwards per example); those of unknown cost stay.

    A method whose cost differs by cell is left out of a task as a whole where one of its cells is beyond the budget, so
    that no row is a mean over the cheap seeds alone.
    """
    every = list(records)
    beyond = {_row(record) for record in every if _cost(record) > passes}
    return Budget(
        [r for r in every if _row(r) not in beyond], [r for r in every if _row(r) in beyond], passes
    )  # fmt: skip


def _cost(record: CellRecord) -> float:
    return (record.forwards or 0.0) + (record.backwards or 0.0)


def _row(record: CellRecord) -> tuple[object, ...]:
    return (
        record.track, record.task, record.model, record.planted, record.method, record.level, record.counterfactual,
        record.split,
    )  # fmt: skip
