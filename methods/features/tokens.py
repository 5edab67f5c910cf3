"""Codes of every latent on tokens of text or of the training prompts, for scores that look at when latents fire."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from bench.data import Tokens
from bench.dictionary.text import TextError, pack, read_texts
from bench.features.latents import Latents
from bench.method import Job
from methods.common import SPLIT

ROWS = 16
"""Contexts of text per batch."""


def prompts(job: Job) -> Iterator[tuple[Tokens, tuple[str, ...]]]:
    """The clean training prompts, with each one's template (empty where templates are not known)."""
    for batch in job.batches(SPLIT):
        here = batch.to(job.engine.device)
        yield here.clean, here.templates


def contexts(job: Job, text: str, length: int, most: int | None) -> Iterator[Tokens]:
    """Contexts packed from a source of :mod:`bench.dictionary.text`."""
    if job.engine.tokenizer is None:
        raise TextError("the model has no tokenizer to read text with")
    for ids in pack(job.engine.tokenizer, read_texts(text), length, most).split(ROWS):
        yield Tokens(ids, torch.ones_like(ids, dtype=torch.bool)).to(job.engine.device)


def codes(job: Job, latents: Latents, tokens: Tokens) -> Tensor:
    """``[B, T, n_components]``: the codes of all latents, 0 in the place of each error. 1 forward."""
    recorded = latents.record(job.engine, tokens)
    parts = []
    for which, found in enumerate(recorded.found):
        own = latents.split(which, found).codes
        parts += [own, torch.zeros_like(own[..., :1])]
    return torch.cat(parts, dim=-1)
