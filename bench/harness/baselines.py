"""Baselines take the level of the rows that they accompany, and a board without floor or ceiling gets them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.harness.cells import Cell, MethodChoice
from bench.harness.cells import identity as cell_identity
from bench.harness.keys import digest, explanation_key

BASELINES = {"random": False, "oracle": True}
"""The methods behind floor and ceiling, and whether they need a planted model."""


def _board(cell: Cell) -> str:
    """Cells with equal values here share floor and ceiling."""
    seeds = (cell.task.seed, cell.model.identity(), cell.task.identity())
    return digest([*seeds, cell.method.track])


def _levels(cells: Iterable[Cell]) -> dict[str, list[str]]:
    """Levels of the rows that are no baselines, by board; baselines' own where a board has nothing else."""
    own: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for cell in cells:
        kind = others if cell.method.baseline else own
        levels = kind.setdefault(_board(cell), [])
        if cell.method.level and cell.method.level not in levels:
            levels.append(cell.method.level)
    return {**others, **{board: levels for board, levels in own.items() if levels}}


def spread_baselines(cells: Sequence[Cell]) -> list[Cell]:
    """Baselines at the level of every other row of their board."""
    levels = _levels(cells)
    spread = []
    for cell in cells:
        wanted = levels[_board(cell)] if cell.method.baseline and "level" in cell.method.parameters else None
        spread += [cell] if wanted is None else [_at_level(cell, level) for level in wanted]
    return spread


def _at_level(cell: Cell, level: str) -> Cell:
    method = replace(cell.method, level=level, parameters={**cell.method.parameters, "level": level})
    return replace(cell, method=method, key=explanation_key(cell_identity(cell.task, cell.model, method)))


def add_baselines(
    cells: Sequence[Cell], choose: Callable[[Mapping[str, Any]], MethodChoice], known: set[str]
) -> tuple[list[Cell], tuple[str, ...]]:
    """The cells, and behind them the floor and ceiling of every board and level that lacks them; and what to say.

    ``choose`` makes a method from its configuration; ``known`` are the registered names.
    """
    result, added = list(cells), []
    keys = {(cell.key, cell.settings.store) for cell in cells}
    for name, needs_truth in BASELINES.items():
        for cell in cells:
            if name not in known or cell.reason or not cell.method.level or (needs_truth and not cell.model.planted):
                continue
            method = choose({"name": name, "seed": cell.method.asked_seed, "level": cell.method.level})
            key = explanation_key(cell_identity(cell.task, cell.model, method))
            if (key, cell.settings.store) not in keys and not _has(cells, cell, method):
                keys.add((key, cell.settings.store))
                result.append(replace(cell, key=key, method=method, added=True))
                if name not in added:
                    added.append(name)
    return result, (f"added for floor and ceiling: {', '.join(added)}",) if added else ()


def _has(cells: Sequence[Cell], like: Cell, method: MethodChoice) -> bool:
    """Whether the call itself asks for this baseline on the same board and level (with whatever seeds)."""
    wanted = (_board(like), method.name, method.level)
    return any((_board(cell), cell.method.name, cell.method.level) == wanted for cell in cells)
