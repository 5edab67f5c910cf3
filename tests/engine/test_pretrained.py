"""A really pretrained model: single-head patching finds the heads that others found, with about their effects.

``INTERPASSAY_MODEL`` names the directory of tinystories-instruct-3m, with ``ioi_prompts.csv`` in it.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.data import Tokens, pad
from bench.engine import Engine

KNOWN = {"a5.h4": 1.09, "a6.h11": 0.54, "a3.h3": 0.15, "a3.h4": 0.12, "a7.h1": 0.09}
"""Shares of the gap that single heads move, from 180 prompts."""
EVERY = 4
"""Use every fourth prompt."""

pytestmark = pytest.mark.skipif("INTERPASSAY_MODEL" not in os.environ, reason="INTERPASSAY_MODEL is not set")


def examples(engine: Engine, folder: Path) -> tuple[Tokens, Tokens, Tensor, Tensor]:
    """Clean prompts, the same with S2 replaced by IO, and the ids of IO and S."""
    with (folder / "ioi_prompts.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if "there was a girl named" in row["prompt"]][::EVERY]
    clean, corrupt, answers = [], [], []
    for row in rows:
        (io,), (s,) = (engine.tokenizer(row[key]).input_ids for key in ("correct", "wrong"))
        ids = engine.tokenizer(row["prompt"]).input_ids
        second = max(i for i, token in enumerate(ids) if token == s)
        clean.append(ids)
        corrupt.append([io if i == second else token for i, token in enumerate(ids)])
        answers.append((io, s))
    io_ids, s_ids = torch.tensor(answers).T
    return pad(clean), pad(corrupt), io_ids, s_ids


def test_single_head_patching_finds_the_known_heads() -> None:
    folder = Path(os.environ["INTERPASSAY_MODEL"])
    engine = Engine.load(folder)
    clean, corrupt, io, s = examples(engine, folder)

    def read(logits: Tensor) -> Tensor:
        return (logits.gather(1, io[:, None]) - logits.gather(1, s[:, None]))[:, 0]

    heads = [name for name in engine.graph.components if name.startswith("a")]
    top, bottom = read(engine.logits(clean)).mean(), read(engine.logits(corrupt)).mean()
    assert top > 5 and bottom < -5
    patched = engine.patch_nodes(clean, engine.sources(corrupt), heads, read).double().mean(dim=1)
    effects = dict(zip(heads, ((top - patched) / (top - bottom)).tolist(), strict=True))
    ranked = sorted(heads, key=lambda head: -effects[head])
    assert ranked[:2] == ["a5.h4", "a6.h11"]
    for head, known in KNOWN.items():
        assert effects[head] == pytest.approx(known, abs=0.03)
    assert 7 <= sum(effect > 0.02 for effect in effects.values()) <= 11
