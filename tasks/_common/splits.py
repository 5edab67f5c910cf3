"""Disjoint parts of a pool for train, validation and test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from bench.task import SPLITS, TaskError

T = TypeVar("T")

SHARES = {"train": 0.5, "validation": 0.2, "test": 0.3}


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
