"""Trajectory continuity: how straight a token's way through the layers is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data import Tokens
from bench.readout.measure import Measure, MeasureError, Sums, count
from bench.readout.streams import POSITIONS, points, stream_names

if TYPE_CHECKING:
    from bench.engine import Engine

FORMS = ("line_shape", "cosine")
CONTROLS = ("orthogonal", "order")


@dataclass
class Continuity(Measure):
    """Straightness of the path of a token's streams x_0, x_1, ..., through the layers.

    ``line_shape``, at stream l: length of the mean unit step, |sum_{j <= l} (x_j - x_{j-1}) / |x_j - x_{j-1}|| / l,
    the reciprocal of the published line-shape score LSS = l / |sum of unit steps|; 1 on a line walked in one
    direction, about 1 / sqrt(l) where steps are at right angles.
    Control: as many steps at right angles, 1 / sqrt(l), which is what blocks that know nothing of each other take in
    a wide stream; ``order``: the same streams 0 to l in random order (``draws`` orders), which every residual network
    is far above, with shuffled weights too, since a step there and the next one share a stream.
    ``cosine``, at block l: cosine of what blocks l - 1 and l add.
    Control: the mean cosine of what block l adds and every other block does, which is what a random order of the
    blocks has on average.

    Source: Gai and Zhang 2021 (arXiv:2102.09235) for the score; Aubry et al. 2024 (arXiv:2407.07810) for its use on
    language models.
    """

    name: ClassVar[str] = "trajectory_continuity"
    direction: ClassVar[int] = 1
    form: str = field(default="line_shape", metadata={"allowed": FORMS})
    positions: str = field(default="last", metadata={"allowed": POSITIONS})
    draws: int = 20
    seed: int = 0
    control: str = field(default="orthogonal", metadata={"allowed": CONTROLS})
    """Of ``line_shape``."""

    def components(self, n_layers: int) -> tuple[str, ...]:
        if self.form == "line_shape":
            return stream_names(n_layers, first=2)
        return tuple(f"block{layer}" for layer in range(1, n_layers))

    def sums(self, engine: Engine, prompts: Sequence[Tokens], fitted: Mapping[str, NDArray[Any]]) -> Sums:
        n, places = count(prompts), len(self.components(engine.graph.n_layers))
        if not places:
            raise MeasureError("needs two blocks or more")
        rng = np.random.default_rng(self.seed)
        draws = max(1, self.draws) if self.control == "order" else 0
        orders = [[rng.permutation(3 + i) for _ in range(draws)] for i in range(places)]
        top, bottom = np.zeros((n, places, 2)), np.zeros((n, places, 2))
        for x, owner in points(engine, prompts, self.positions):
            pair = line_shapes(x.double(), orders) if self.form == "line_shape" else cosines(x.double())
            np.add.at(top, owner.numpy(), pair.transpose(0, 1).cpu().numpy())
            np.add.at(bottom, owner.numpy(), 1.0)
        return Sums(top, bottom)


def line_shapes(x: Tensor, orders: Sequence[Sequence[NDArray[np.int64]]]) -> Tensor:
    """``[L - 1, m, 2]`` of streams ``[L + 1, m, d]``: straightness up to stream 2, 3, ..., and in other orders.

    Without orders the control is that of steps at right angles.
    """
    rows = []
    for last, drawn in enumerate(orders, start=2):
        if drawn:
            control = torch.stack([straightness(x[torch.as_tensor(order)]) for order in drawn]).mean(dim=0)
        else:
            control = _moves(x[: last + 1]).rsqrt()
        rows.append(torch.stack([straightness(x[: last + 1]), control], dim=-1))
    return torch.stack(rows)


def straightness(x: Tensor) -> Tensor:
    """``[m]``: length of the mean unit step along points ``[n, m, d]``; steps that do not move do not count."""
    return _units(x.diff(dim=0)).sum(dim=0).norm(dim=-1) / _moves(x)


def _moves(x: Tensor) -> Tensor:
    """``[m]``: steps that go anywhere; 1 where none does."""
    return _units(x.diff(dim=0)).norm(dim=-1).sum(dim=0).clamp(min=1.0)


def cosines(x: Tensor) -> Tensor:
    """``[L - 1, m, 2]``: cosine of what consecutive blocks add, and the mean over all other blocks."""
    units = _units(x.diff(dim=0))
    table = torch.einsum("imd,jmd->mij", units, units)
    others = (table.sum(dim=-1) - table.diagonal(dim1=1, dim2=2)) / max(1, len(units) - 1)
    return torch.stack([table.diagonal(-1, 1, 2), others[:, 1:]], dim=-1).transpose(0, 1)


def _units(steps: Tensor) -> Tensor:
    return torch.nn.functional.normalize(steps, dim=-1, eps=1e-30)
