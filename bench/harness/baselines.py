"""Baselines take the level of the rows that they accompany, and a board without floor or ceiling gets them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.explanation import TRACKS
from bench.harness.cells import Cell, MethodChoice, with_variable
from bench.harness.cells import identity as cell_identity
from bench.harness.keys import digest, explanation_key

Place = tuple[str, str, str]
"""A level, in the `variable` track a variable, and of latents the dictionaries: what baselines accompany."""
Choose = Callable[[Mapping[str, Any]], MethodChoice]
"""Makes a method from its configuration."""
CARRIED = "dictionaries"
"""The parameter of rows of latents that their baselines take on, since it says which components there are."""
BASELINES = {"random": False, "oracle": True}
"""The methods behind floor and ceiling, and whether they need a planted model."""
NO_CEILING = ("readout",)
"""Tracks without an oracle: the last layer's readout is the model's own, so the only perfect one says nothing."""
NO_TRUTH = ("feature",)
"""Levels without one: a planted circuit names no latents."""


def _board(cell: Cell) -> str:
    """Cells with equal values here share floor and ceiling, where they are of one place."""
    return digest([cell.task.seed, cell.model.identity(), cell.task.identity()])


def _place(cell: Cell) -> Place:
    return _place_of(cell.method)


def _place_of(method: MethodChoice) -> Place:
    named = method.parameters.get(CARRIED, "") if method.level in NO_TRUTH else ""
    return method.level, method.variable, str(named)


def _levels(cells: Iterable[Cell]) -> dict[str, list[Place]]:
    """Places of the rows that are no baselines, by board; baselines' own where a board has nothing else."""
    own: dict[str, list[Place]] = {}
    others: dict[str, list[Place]] = {}
    for cell in cells:
        kind = others if cell.method.baseline else own
        places = kind.setdefault(_board(cell), [])
        if cell.method.level and _place(cell) not in places:
            places.append(_place(cell))
    return {**others, **{board: places for board, places in own.items() if places}}


def spread_baselines(cells: Sequence[Cell], choose: Choose) -> list[Cell]:
    """Baselines at the level of every other row of their board."""
    levels = _levels(cells)
    spread = []
    for cell in cells:
        wanted = levels[_board(cell)] if cell.method.baseline and "level" in cell.method.parameters else None
        spread += [cell] if wanted is None else [_at(cell, place, choose) for place in wanted]
    return spread


def _at(cell: Cell, place: Place, choose: Choose) -> Cell:
    level, variable, named = place
    parameters = {**cell.method.parameters, "level": level}
    method = replace(cell.method, level=level, parameters=parameters, track=TRACKS[level], variable=variable)
    if named:
        method = choose({"name": method.name, "seed": method.asked_seed, **parameters, CARRIED: named})
    task = replace(cell.task, label=with_variable(cell.task.label, variable))
    return replace(cell, task=task, method=method, key=explanation_key(cell_identity(task, cell.model, method)))


def add_baselines(cells: Sequence[Cell], choose: Choose, known: set[str]) -> tuple[list[Cell], tuple[str, ...]]:
    """The cells, and behind them the floor and ceiling of every board and level that lacks them; and what to say.

    ``known`` are the registered names.
    """
    result, added = list(cells), []
    keys = {(cell.key, cell.settings.store) for cell in cells}
    for name, needs_truth in BASELINES.items():
        for cell in cells:
            if name not in known or cell.reason or not cell.method.level or (needs_truth and not _planted(cell)):
                continue
            level, _, named = _place(cell)
            asked = {"name": name, "seed": cell.method.asked_seed, "level": level}
            method = choose({**asked, CARRIED: named} if named else asked)
            method = replace(method, variable=cell.method.variable)
            key = explanation_key(cell_identity(cell.task, cell.model, method))
            if (key, cell.settings.store) not in keys and not _has(cells, cell, method):
                keys.add((key, cell.settings.store))
                result.append(replace(cell, key=key, method=method, added=True))
                if name not in added:
                    added.append(name)
    return result, (f"added for floor and ceiling: {', '.join(added)}",) if added else ()


def _planted(cell: Cell) -> bool:
    """Whether there is a truth for an oracle to read."""
    return cell.model.planted and cell.method.track not in NO_CEILING and cell.method.level not in NO_TRUTH


def _has(cells: Sequence[Cell], like: Cell, method: MethodChoice) -> bool:
    """Whether the call itself asks for this baseline on the same board and level (with whatever seeds)."""
    wanted = (_board(like), method.name, _place_of(method))
    return any((_board(cell), cell.method.name, _place(cell)) == wanted for cell in cells)
