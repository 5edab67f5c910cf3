"""Disjoint parts for train, validation and test: of a pool of fillers, or of somebody's examples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from bench.task import SPLITS, TaskError
from tasks._common.tables import Row

T = TypeVar("T")

SHARES = {"train": 0.5, "validation": 0.2, "test": 0.3}
SHARES_OF_OWN = {"train": 0.4, "validation": 0.2, "test": 0.4}


def divide(
    items: Sequence[T],
    rng: np.random.Generator,
    least: Mapping[str, int],
    what: str,
    shares: Mapping[str, float] = SHARES,
    remedy: str = "take another model or give examples of your own (task.data=FILE)",
) -> dict[str, list[T]]:
    """Shuffle ``items`` and deal them to the splits: ``least`` to each, the rest as ``shares`` say.

    Raises :class:`TaskError` with the counts where there are fewer than ``least`` in total; ``what`` names the items.
    """
    needed = sum(least[split] for split in SPLITS)
    if len(items) < needed:
        parts = ", ".join(f"{least[split]} for {split}" for split in SPLITS)
        raise TaskError(f"{needed} {what} are needed ({parts}), {len(items)} are there; {remedy}")
    counts = {split: least[split] for split in SPLITS}
    for _ in range(len(items) - needed):
        wanting = max(SPLITS, key=lambda split: shares[split] * len(items) - counts[split])
        counts[wanting] += 1
    order = iter(rng.permutation(len(items)))
    return {split: [items[next(order)] for _ in range(counts[split])] for split in SPLITS}


def given(rows: Sequence[Row], columns: Sequence[str]) -> dict[str, list[int]] | None:
    """Rows per split as the data say, or None where they do not."""
    named = [row.text("split") if "split" in columns else row.split for row in rows]
    if "split" not in columns and not any(named):
        return None
    parts: dict[str, list[int]] = {split: [] for split in SPLITS}
    owners: dict[str, str] = {}
    for i, (row, split) in enumerate(zip(rows, named, strict=True)):
        if split not in SPLITS:
            raise TaskError(f"{row.label}, column 'split': {split!r} is none of {', '.join(SPLITS)}")
        if "cluster" in columns and owners.setdefault(row.text("cluster"), split) != split:
            raise TaskError(f"{row.label}, column 'cluster': {row.text('cluster')!r} is in more than one split")
        parts[split].append(i)
    empty = [split for split in SPLITS if not parts[split]]
    if empty:
        raise TaskError(f"no rows for {', '.join(empty)}; give rows for all of {', '.join(SPLITS)}, or no split at all")
    return parts


def deal(clusters: Sequence[str], rng: np.random.Generator) -> dict[str, list[int]]:
    """Deal whole clusters, shuffled, to the split that is furthest below its share of the rows."""
    members: dict[str, list[int]] = defaultdict(list)
    for i, cluster in enumerate(clusters):
        members[cluster].append(i)
    if len(members) < len(SPLITS):
        raise TaskError(
            f"{len(members)} clusters cannot be dealt to {len(SPLITS)} splits; give more examples, or a column 'split'"
        )
    parts: dict[str, list[int]] = {split: [] for split in SPLITS}
    labels = sorted(members)
    for i in rng.permutation(len(labels)):
        wanting = max(SPLITS, key=lambda split: SHARES_OF_OWN[split] * len(clusters) - len(parts[split]))
        parts[wanting].extend(members[labels[i]])
    if not all(parts.values()):
        raise TaskError("one cluster holds so many rows that a split would be empty; give a column 'split'")
    return {split: sorted(found) for split, found in parts.items()}
