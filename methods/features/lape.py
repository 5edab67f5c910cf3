"""Language activation probability entropy of latents or neurons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data import Tokens
from bench.dictionary.scores import language_units, lape
from bench.features.latents import Latents
from bench.method import Job, Skip
from methods.common import float64
from methods.features.base import FeatureMethod
from methods.features.tokens import codes, contexts, prompts


@dataclass
class Lape(FeatureMethod):
    """How much of one language a latent is: log(number of languages) - LAPE, in nats; errors have 0.

    LAPE_i = - sum_k p'_ik log p'_ik, p'_ik the share of the tokens of language k at which latent i is above 0,
    normalized over the languages. The languages are texts, ``text=en=FILE+de=FILE`` (:mod:`bench.dictionary.text`);
    without them they are the templates of the training prompts. The units that the paper would choose, those of the
    ``share`` with the lowest entropy among those that fire often, are listed by language in ``extra``. Of neurons:
    ``dictionaries=neurons``.

    Source: Tang et al. 2024, arXiv:2402.16438, equations 3 to 5. No sign: it says when a latent fires, not what for.
    Cost: 1 forward per example, or per context of the text, and what training dictionaries takes.
    """

    name: ClassVar[str] = "lape"
    text: str = ""
    context: int = field(default=128, metadata={"label": False})
    contexts: int = field(default=200, metadata={"label": False})
    """How many are read of each language at most."""
    share: float = field(default=0.01, metadata={"label": False})

    def of_latents(self, job: Job, latents: Latents) -> NDArray[np.float64]:
        fired: dict[str, Tensor] = {}
        seen: dict[str, int] = {}
        for tokens, labels in self._labelled(job):
            on = ((codes(job, latents, tokens) > 0) & tokens.mask[..., None]).sum(dim=1).double()
            for row, label in enumerate(labels):
                fired[label] = fired.get(label, torch.zeros_like(on[row])) + on[row]
                seen[label] = seen.get(label, 0) + int(tokens.mask[row].sum())
        if len(fired) < 2:
            raise Skip(f"lape needs two languages or templates; there is {len(fired)}: text=en=FILE+de=FILE")
        languages = sorted(fired)
        rates = np.stack([float64(fired[name]) / seen[name] for name in languages], axis=1)
        self._found = {
            language: [latents.names[i] for i in units]
            for language, units in zip(languages, language_units(rates, self.share).values(), strict=True)
        }
        return np.log(len(languages)) - lape(rates)

    def extra(self, job: Job) -> dict[str, Any]:
        return {**super().extra(job), "of_language": self._found, "ties": "random"}

    def _labelled(self, job: Job) -> Iterator[tuple[Tokens, tuple[str, ...]]]:
        if not self.text:
            for tokens, templates in prompts(job):
                yield tokens, templates
            return
        for part in self.text.split("+"):
            language, _, source = part.partition("=")
            for tokens in contexts(job, source, self.context, self.contexts):
                yield tokens, (language,) * len(tokens)
