"""The natural model of recall and reasoning: nothing planted, easier prompts first.

On all prompts at once the training stays where reasoning names one of the two cities at random: which chain is asked
about and whether the cities are told in the chains' order say nothing by themselves. So stories whose cities are told
in that order come first.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bench.planting.natural.planting import NaturalPlanting
from bench.planting.natural.training import Schedule
from bench.planting.spec import Pairs
from tasks.recall_reasoning.plant import planting
from tasks.recall_reasoning.plant_prompts import sample

MANY = 4
"""Pairs drawn for one that is kept; a half tells its cities in order."""


def in_order(pairs: Pairs, side: int) -> Tensor:
    """[n], whether the chain that is told first has its city told first, in bases (side 0) or sources (1)."""
    at = {name: places[side] for name, places in pairs.positions.items()}
    return (at["S"] < at["XS"]) == (at["C"] < at["XC"])


def sample_in_order(rng: np.random.Generator, n: int) -> Pairs:
    """n pairs whose bases tell their cities in order; a source that does not counts as one without an answer."""
    pairs = sample(rng, MANY * n)
    source_answer = torch.where(in_order(pairs, 1), pairs.source_answer, -1)
    rows = in_order(pairs, 0).nonzero()[:n, 0]
    if len(rows) < n:
        raise RuntimeError(f"{len(rows)} of {MANY * n} pairs tell their cities in order; {n} are asked for")
    return Pairs(
        pairs.base[rows], pairs.source[rows], pairs.answer[rows], pairs.wrong[rows], source_answer[rows],
        {name: target[rows] for name, target in pairs.targets.items()},
        {name: (base[rows], source[rows]) for name, (base, source) in pairs.positions.items()},
    )  # fmt: skip


natural = NaturalPlanting(planting, schedule=Schedule(lr=1e-3, pairs=64), curriculum=(sample_in_order,))
