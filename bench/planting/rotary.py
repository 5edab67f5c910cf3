"""Rotary positions (Su et al. 2021, arXiv:2104.09864) as transformers has them: halves of a head rotated as pairs."""

from __future__ import annotations

import torch
from torch import Tensor

THETA = 10000.0


def tables(n_positions: int, width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines [n_positions, width] for the `width` first dimensions of a head (an even number)."""
    if width % 2 or width < 2:
        raise ValueError(f"{width} rotated dimensions: rotary positions need an even number above 0")
    rates = 1.0 / (THETA ** (torch.arange(0, width, 2, dtype=torch.float) / width))
    angles = torch.arange(n_positions).float()[:, None] * rates
    angles = torch.cat([angles, angles], -1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [..., T, d_head] with its first dimensions rotated by its positions."""
    size, width = x.shape[-2], cos.shape[-1]
    turned = x[..., :width] if width < x.shape[-1] else x
    first, second = turned.chunk(2, -1)
    out = turned * cos[:size] + torch.cat([-second, first], -1) * sin[:size]
    return torch.cat([out, x[..., width:]], -1) if width < x.shape[-1] else out
