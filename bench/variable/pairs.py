"""Pairs of a base and a source prompt, and what the causal model says of the base with the source's variable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.task import CausalModel

CAUSE, ISOLATE, ACROSS = KINDS = ("cause", "isolate", "across")
TRIES = 64
"""Sources that are tried for a base before it is given up."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Pairs:
    """``m`` pairs from one split, at most one per base."""

    base: NDArray[np.int64]
    """``[m]`` rows of the split."""
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    """``[m]`` token ids: what would be said."""
    n: int
    """Rows that the split has."""

    def __len__(self) -> int:
        return len(self.base)


def answers(examples: Mapping[str, Sequence[Row]]) -> dict[str, int]:
    """Token id of every answer and wrong answer that occurs, by its text."""
    known: dict[str, int] = {}
    for rows in examples.values():
        for row in rows:
            known |= {str(row["answer"]): int(row["answer_id"]), str(row["wrong"]): int(row["wrong_id"])}
    return known


def make_pairs(
    rows: Sequence[Row], model: CausalModel, variable: str, known: Mapping[str, int], kind: str, seed: int
) -> Pairs:
    """For each row a partner of the same split as its source, drawn with ``seed`` among those that tell something.

    Partners of the row's own template come first, others only where none of these tells anything: a model need not
    carry a variable in one code in all templates (planted ones are trained and accepted on sources of the base's
    template). ``across`` is ``cause`` with partners of other templates alone.

    ``cause``: setting the variable to the source's value changes the answer. ``isolate``: it does not, as both prompts
    have the same value, but the source's own answer differs, so what else is carried over would be seen. Variables that
    depend on this one are no part of what must stay (the causal model sets them). Rows for which no partner is found,
    or whose target is no known token, have no pair.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    templates = np.array([str(row.get("template", "")) for row in rows])
    found: list[tuple[int, int, int]] = []
    for index, base in enumerate(rows):
        for source in _partners(rng.permutation(len(rows)), templates, index, kind):
            target = _target(base, rows[source], model, variable, known, kind) if source != index else None
            if target is not None:
                found.append((index, int(source), target))
                break
    columns = np.array(found, dtype=np.int64).reshape(-1, 3).T
    return Pairs(columns[0], columns[1], columns[2], len(rows))


def _partners(order: NDArray[np.int64], templates: NDArray[np.str_], index: int, kind: str) -> list[int]:
    """The rows to try for one, in order."""
    same = templates[order] == templates[index]
    own, others = order[same][:TRIES].tolist(), order[~same][:TRIES].tolist()
    return others if kind == ACROSS else own + others


def _target(
    base: Row, source: Row, model: CausalModel, variable: str, known: Mapping[str, int], kind: str
) -> int | None:
    """The token that a pair aims at; None where the pair tells nothing of this kind."""
    mine, theirs = base["values"], source["values"]
    if not mine or not theirs or mine.get(variable) is None or theirs.get(variable) is None:
        return None
    if kind == ISOLATE:
        same = mine[variable] == theirs[variable] and source["answer_id"] != base["answer_id"]
        return int(base["answer_id"]) if same else None
    said = model.interchange(mine, theirs, variable).get("answer", "")
    target = known.get(said)
    return target if target is not None and target != int(base["answer_id"]) else None
