"""Principal components as a dictionary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.dictionary.dictionary import Dictionary
from bench.dictionary.quality import Quality
from bench.dictionary.training.recording import Recorded
from bench.method import Job
from methods.dictionaries.base import DictionaryMethod, held_out
from methods.dictionaries.trained import TRAINING

KEPT = ("first", "largest")


@dataclass
class Pca(DictionaryMethod):
    """The first ``l0`` principal components, dense and signed: what as many numbers per token reach without sparsity.

    With ``kept=largest`` all components are there, and each token keeps its ``l0`` largest. Source: Sharkey et al. 2022
    and the baselines of Cunningham et al. 2023, arXiv:2309.08600.
    No sign: the one score is the explained variance on held-out text. Cost: one forward per context of the text, or
    per example of the task where it is the text, once where ``buffer`` holds it all, else once per pass over it.
    """

    name: ClassVar[str] = "dictionary_pca"
    control: ClassVar[bool] = True
    stochastic: ClassVar[bool] = False
    ignored: ClassVar[tuple[str, ...]] = TRAINING
    kept: str = "first"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kept not in KEPT:
            raise ValueError(f"kept={self.kept}: use first or largest")

    def make(self, job: Job, stream: Recorded, site: str) -> tuple[Dictionary, Quality, dict[str, Any]]:
        mean, axes = principal(stream)
        k = min(len(mean), max(1, round(self.l0)))
        rows = axes[:k] if self.kept == "first" else axes
        tensors = {"W_enc": rows.T.contiguous(), "W_dec": rows, "b_enc": torch.zeros_like(rows[:, 0]), "b_dec": mean}
        activation = "linear" if self.kept == "first" else "abstopk"
        dictionary = Dictionary("linear", site, tensors, activation, k=k, l0=float(k))
        return dictionary, held_out(dictionary, stream), {}


def principal(stream: Recorded) -> tuple[Tensor, Tensor]:
    """The mean ``[d]`` and the principal axes ``[d, d]`` (rows, largest first) of one pass over the training text."""
    n, total, squares = 0, torch.zeros(()), torch.zeros(())
    for _, made_from in stream.order(0):
        x = stream.chunk(made_from)[1].double()
        n, total, squares = n + len(x), total.to(x) + x.sum(dim=0), squares.to(x) + x.T @ x
    mean = total / n
    _, axes = torch.linalg.eigh(squares / n - mean.outer(mean))
    return mean.float(), axes.T.flip(0).float().contiguous()
