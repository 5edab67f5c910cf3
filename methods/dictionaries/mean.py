"""The mean as a dictionary without latents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from bench.dictionary.dictionary import Dictionary
from bench.dictionary.quality import Quality
from bench.dictionary.training.recording import Recorded
from bench.method import Job
from methods.dictionaries.base import DictionaryMethod, held_out
from methods.dictionaries.pca import principal
from methods.dictionaries.trained import TRAINING


@dataclass
class Mean(DictionaryMethod):
    """The mean of the activations at every token, whatever they are: L0 is 0, and one latent is there that never fires.

    It explains no variance, yet its CE-loss score may be far above 0, since zeros in place of the activations do more
    harm than their mean: what a dictionary is to be judged by is what it adds to that. Source: mean ablation, as in
    Wang et al. 2022, arXiv:2211.00593.
    No sign: the one score is the explained variance on held-out text. Cost: one forward per context of the text, or
    per example of the task where it is the text, once where ``buffer`` holds it all, else once per pass over it.
    """

    name: ClassVar[str] = "dictionary_mean"
    control: ClassVar[bool] = True
    stochastic: ClassVar[bool] = False
    ignored: ClassVar[tuple[str, ...]] = TRAINING
    l0: float = 0.0

    def make(self, job: Job, stream: Recorded, site: str) -> tuple[Dictionary, Quality, dict[str, Any]]:
        mean, _ = principal(stream)
        none = torch.zeros(len(mean), 1).to(mean)
        tensors = {"W_enc": none, "W_dec": none.T.contiguous(), "b_enc": none[0].clone(), "b_dec": mean}
        dictionary = Dictionary("linear", site, tensors, "linear", l0=0.0)
        return dictionary, held_out(dictionary, stream), {}
