"""`effects.csv`: everything that was measured of a model, so that roles and reports can be made from it again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from bench.planting.natural.effects import Costs, Effects

NAME = "effects.csv"
KINDS = ("node", "pair", "excess", "edge")
BETWEEN = "+"
"""Between the two names of a pair."""
COLUMNS = ("setting", "n", "kind", "name", *Costs._fields)
DIGITS = 6


def write(path: Path, settings: dict[str, Effects]) -> None:
    """One line per setting and cut; `whole` holds accuracy, mean margin and what of it is lost when all is cut."""
    lines = [line for name, effects in settings.items() for line in _lines(name, effects)]
    pd.DataFrame(lines, columns=list(COLUMNS)).to_csv(path, index=False, lineterminator="\n")


def read(path: Path) -> dict[str, Effects]:
    """Effects by setting."""
    table = pd.read_csv(path, dtype={"setting": str, "name": str})
    return {str(name): _effects(part) for name, part in table.groupby("setting", sort=False)}


def _lines(setting: str, effects: Effects) -> Iterator[tuple[object, ...]]:
    yield setting, effects.n, "whole", "", effects.accuracy, 0.0, effects.margin, effects.span
    pairs = [BETWEEN.join(pair) for pair in effects.pairs]
    for kind, names in zip(KINDS, (effects.nodes, pairs, pairs, effects.edges), strict=True):
        for i, name in enumerate(names):
            yield setting, effects.n, kind, name, *(round(float(x[i]), DIGITS) for x in getattr(effects, kind))


def _effects(table: pd.DataFrame) -> Effects:
    parts = {kind: table[table["kind"] == kind] for kind in KINDS}
    costs = {kind: Costs(*(part[f].to_numpy(dtype=np.float64) for f in Costs._fields)) for kind, part in parts.items()}
    whole = table[table["kind"] == "whole"].iloc[0]
    pairs = tuple((a, b) for a, _, b in (name.partition(BETWEEN) for name in parts["pair"]["name"]))
    return Effects(
        int(whole["n"]), float(whole["accuracy"]), float(whole["margin"]), float(whole["margin_se"]),
        tuple(parts["node"]["name"]), costs["node"], pairs, costs["pair"], costs["excess"],
        tuple(parts["edge"]["name"]), costs["edge"],
    )  # fmt: skip
