"""One look through a reader at all prompts of a split: figures per prompt and layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.readout.data import ReadoutData, States
from bench.readout.head_readers import HeadReader
from bench.readout.readers import Reader

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Swept:
    """Arrays of ``[n, n_read]``; a column per layer that is read."""

    layers: NDArray[np.int64]
    """``[n_read]``"""
    kl: Floats
    """KL(final || readout), in nats."""
    agrees: Floats
    """1 where both have the same arg-max, else 0."""
    confidence: Floats
    """The readout's largest probability."""
    expected: Floats
    """The final distribution's probability of the readout's arg-max."""
    right: Floats
    """1 where the readout's arg-max is the right answer, else 0."""
    margin: Floats
    """The readout's logit of the right answer less that of the wrong one."""
    crossed_kl: Floats | None = None
    """``[n_read, n, n]``: KL(final of prompt i || readout of prompt j), where it was asked for."""
    crossed_agrees: Floats | None = None
    """``[n_read, n, n]``: 1 where the two have the same arg-max."""


@torch.no_grad()
def sweep(reader: Reader, data: ReadoutData, split: str, crossed: bool = False) -> Swept:
    """What a reader says at the read position of each prompt, against the model's final distribution.

    Softmax and sums in fp64. No passes beyond recording; a patchscope takes one per prompt and layer. ``crossed`` holds
    each prompt's readout against every prompt's final distribution, too.
    """
    states = data.at_end(split)
    answer, wrong = data.answers(split)
    parts = []
    against = _Crossed(data, states, len(reader.layers)) if crossed else None
    for rows in data.chunks(len(states)):
        here = states.select(rows).to(data.engine.device)
        final = data.lens(here.final).double().log_softmax(dim=-1)
        tokens = answer[rows].to(final.device), wrong[rows].to(final.device)
        figures = []
        for column, layer in enumerate(reader.layers):
            read = reader.logits(layer, here).double()
            figures.append(_compare(read, final, *tokens))
            if against is not None:
                against.take(column, rows, read.log_softmax(dim=-1))
        parts.append(torch.stack(figures))
    table = torch.cat(parts, dim=2).permute(1, 2, 0).cpu().numpy()
    more = () if against is None else (against.kl.numpy(), against.agrees.numpy())
    return Swept(np.array(reader.layers), *table, *more)


class _Crossed:
    """Every prompt's final distribution against every prompt's readout."""

    def __init__(self, data: ReadoutData, states: States, n_read: int) -> None:
        final = [states.final[rows].to(data.engine.device) for rows in data.chunks(len(states))]
        logs = torch.cat([data.lens(part).double().log_softmax(dim=-1) for part in final])
        self.final, self.top = logs.exp(), logs.argmax(dim=-1)
        self.negentropy = (self.final * logs).sum(dim=-1)
        self.kl, self.agrees = (torch.zeros(n_read, len(logs), len(logs), dtype=torch.float64) for _ in range(2))

    def take(self, column: int, rows: slice, read: Tensor) -> None:
        """Log-probabilities ``[n_rows, V]`` at one layer."""
        self.kl[column, :, rows] = (self.negentropy[:, None] - self.final @ read.T).clamp(min=0.0).cpu()
        self.agrees[column, :, rows] = (self.top[:, None] == read.argmax(dim=-1)).double().cpu()


def _compare(logits: Tensor, final: Tensor, answer: Tensor, wrong: Tensor) -> Tensor:
    """``[6, n]``, in the order of :class:`Swept`."""
    read = logits.log_softmax(dim=-1)
    top = read.argmax(dim=-1)
    kl = (final.exp() * (final - read)).sum(dim=-1).clamp(min=0.0)  # rounding can take it below
    margin = _at(logits, answer) - _at(logits, wrong)
    agrees, right = (top == final.argmax(dim=-1)).double(), (top == answer).double()
    return torch.stack([kl, agrees, _at(read, top).exp(), _at(final, top).exp(), right, margin])


def _at(values: Tensor, ids: Tensor) -> Tensor:
    return values.gather(1, ids[:, None])[:, 0]


def contributions(reader: Reader, data: ReadoutData, split: str) -> Floats:
    """What the readout says that each layer, or head, adds to the answer, mean over a split's prompts.

    Layers: from one to the next, the increase of the mean logit difference, ``[L]``. Heads: each one's own logit
    difference, ``[n_read * H]``.
    """
    if isinstance(reader, HeadReader):
        return _of_heads(reader, data, split)
    return np.diff(sweep(reader, data, split).margin.mean(axis=0))


@torch.no_grad()
def _of_heads(reader: HeadReader, data: ReadoutData, split: str) -> Floats:
    states: States = data.at_end(split).to(data.engine.device)
    answer, wrong = (ids.to(data.engine.device) for ids in data.answers(split))
    found = [reader.differences(layer, states, answer, wrong).double().mean(dim=0) for layer in reader.layers]
    return torch.cat(found).cpu().numpy()
