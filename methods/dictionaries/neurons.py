"""The coordinates themselves as a dictionary."""

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
class Neurons(DictionaryMethod):
    """The identity: each token keeps its ``l0`` coordinates that are furthest from their means, the others get theirs.

    At ``n2`` these are the neurons of layer 2. Source: the neuron baseline of Cunningham et al. 2023, arXiv:2309.08600.
    No sign: the one score is the explained variance on held-out text. Cost: one forward per context of the text, or
    per example of the task where it is the text, once where ``buffer`` holds it all, else once per pass over it.
    """

    name: ClassVar[str] = "dictionary_neurons"
    control: ClassVar[bool] = True
    stochastic: ClassVar[bool] = False
    ignored: ClassVar[tuple[str, ...]] = TRAINING

    def make(self, job: Job, stream: Recorded, site: str) -> tuple[Dictionary, Quality, dict[str, Any]]:
        mean, _ = principal(stream)
        k = min(len(mean), max(1, round(self.l0)))
        eye = torch.eye(len(mean), device=mean.device)
        tensors = {"W_enc": eye, "W_dec": eye.clone(), "b_enc": torch.zeros_like(mean), "b_dec": mean}
        dictionary = Dictionary("linear", site, tensors, "abstopk", k=k, l0=float(k))
        return dictionary, held_out(dictionary, stream), {}
