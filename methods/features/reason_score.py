"""ReasonScore of latents or neurons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data import Tokens
from bench.dictionary.scores import reason_score, word_entropy
from bench.features.latents import Latents
from bench.method import Job, Skip
from methods.common import float64
from methods.features.base import FeatureMethod
from methods.features.tokens import codes, contexts, prompts


@dataclass
class ReasonScore(FeatureMethod):
    """Which latents are active around certain words, and around all of them rather than one; errors have 0.

    s_i = (mu+_i / sum mu+) H_i^alpha - mu-_i / sum mu-, with the mean activations mu+ at tokens up to ``before`` ahead
    of and ``after`` behind a token that reads like one of ``words``, mu- elsewhere, and H_i the entropy of latent i
    over the words. Negative activations (of neurons, ``dictionaries=neurons``) count as 0. The text is a source of
    :mod:`bench.dictionary.text`, or the training prompts. The words and the window are this project's defaults; only
    words that a tokenizer keeps whole are found.

    Source: Galichin et al. 2025, arXiv:2503.18878, equations 5 and 6. Sign: positive = of the words; it says when a
    latent is active, not whether it helps the answer. Cost: 1 forward per example, or per context of the text, and what
    training dictionaries takes.
    """

    name: ClassVar[str] = "reason_score"
    words: str = "alternatively+but+hmm+however+maybe+perhaps+so+therefore+wait"
    text: str = ""
    alpha: float = 0.7
    before: int = 2
    after: int = 3
    context: int = field(default=128, metadata={"label": False})
    contexts: int = field(default=1000, metadata={"label": False})

    def of_latents(self, job: Job, latents: Latents) -> NDArray[np.float64]:
        wanted = {word: i for i, word in enumerate(self.words.split("+"))}
        if job.engine.tokenizer is None:
            raise Skip("reason_score needs a tokenizer to read words with")
        at_words: list[NDArray[np.float64]] = []
        said: list[int] = []
        sums, counts = torch.zeros(2, len(latents.names), dtype=torch.float64), [0, 0]
        for tokens in self._tokens(job):
            which = numbers(job, tokens, wanted)
            near = around(which >= 0, self.before, self.after) & tokens.mask
            active = codes(job, latents, tokens).relu().double().cpu()
            at_words.append(float64(active[(which >= 0).cpu()]))
            said += which[which >= 0].tolist()
            for row, part in enumerate((near, tokens.mask & ~near)):
                sums[row] += active[part.cpu()].sum(dim=0)
                counts[row] += int(part.sum())
        if len(set(said)) < 2:
            raise Skip(f"the text says {len(set(said))} of {len(wanted)} words; reason_score needs two: method.words=")
        inside, outside = (float64(total) / max(1, n) for total, n in zip(sums, counts, strict=True))
        entropy = word_entropy(np.concatenate(at_words), said, list(wanted.values()))
        return reason_score(inside, outside, entropy, self.alpha)

    def _tokens(self, job: Job) -> Iterator[Tokens]:
        if self.text:
            yield from contexts(job, self.text, self.context, self.contexts)
        else:
            yield from (tokens for tokens, _ in prompts(job))


def numbers(job: Job, tokens: Tokens, wanted: dict[str, int]) -> Tensor:
    """``[B, T]``: which word a token reads like, case and blanks aside; -1 for none."""
    known = torch.unique(tokens.ids)
    of_id = torch.tensor([wanted.get(job.engine.tokenizer.decode([int(i)]).strip().lower(), -1) for i in known])
    found = of_id.to(tokens.ids.device)[torch.searchsorted(known, tokens.ids)]
    return torch.where(tokens.mask, found, -1)


def around(at: Tensor, before: int, after: int) -> Tensor:
    """``[B, T]`` bool: tokens from ``before`` ahead of one in ``at`` to ``after`` behind it."""
    found = at.clone()
    for step in range(1, before + 1):
        found[:, :-step] |= at[:, step:]
    for step in range(1, after + 1):
        found[:, step:] |= at[:, :-step]
    return found
