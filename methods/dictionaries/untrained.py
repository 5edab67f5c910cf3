"""Random directions as a dictionary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from bench.dictionary.dictionary import Dictionary
from bench.dictionary.quality import Quality
from bench.dictionary.sites import parse
from bench.dictionary.training.recording import Recorded
from bench.dictionary.training.streaming import generator
from bench.method import Job
from methods.dictionaries.base import DictionaryMethod, held_out
from methods.dictionaries.pca import principal
from methods.dictionaries.trained import TRAINING


@dataclass
class Untrained(DictionaryMethod):
    """Random unit directions that write what they read, nothing trained but the mean: the floor of the track.

    Each token keeps its ``l0`` largest, signed, and all are scaled by one least-squares factor, so that a random basis
    is not judged by its gain. As a baseline it is called ``random``. Source: the null of frozen components.
    No sign: the one score is the explained variance on held-out text. Cost: one forward per context of the text, or
    per example of the task where it is the text, once where ``buffer`` holds it all, else once per pass over it.
    """

    name: ClassVar[str] = "dictionary_random"
    control: ClassVar[bool] = True
    ignored: ClassVar[tuple[str, ...]] = tuple(name for name in TRAINING if name != "expansion")
    expansion: float = 4.0
    """Latents per dimension of the site."""

    def make(self, job: Job, stream: Recorded, site: str) -> tuple[Dictionary, Quality, dict[str, Any]]:
        mean, _ = principal(stream)
        d = parse(site).width(job.engine)
        n = max(2, round(self.expansion * d))
        rows = torch.randn(n, d, generator=generator(job.seed, 5)).to(mean)
        rows /= rows.norm(dim=1, keepdim=True)
        k = min(n, max(1, round(self.l0)))
        tensors = {"W_enc": rows.T.contiguous(), "W_dec": rows, "b_enc": torch.zeros(n).to(mean), "b_dec": mean}
        dictionary = Dictionary("linear", site, tensors, "abstopk", k=k, l0=float(k))
        x = stream.first()[1]
        change = dictionary.reconstruct(x) - mean
        gain = float(((x - mean) * change).sum() / change.square().sum().clamp(min=1e-12))
        scaled = Dictionary("linear", site, {**tensors, "W_dec": rows * gain}, "abstopk", k=k, l0=float(k))
        return scaled, held_out(scaled, stream), {}
