"""How far a dictionary's decompositions are the only ones that are so sparse: coherence against active latents.

With coherence mu < 1 / (2 K - 1), a sum of K atoms is the only one of at most K (Donoho and Elad 2003). Cosines are
taken in the atomic inner product, <u, v> = u' S v with S = E[y y']^-1 over activations y: a linear map of the
activations does not change it. Source: Hu et al. 2025, "Towards Atoms of Large Language Models", arXiv:2509.20784.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

GRID = 10_001
"""Quantiles of the coherences that are kept."""
FLAT = 1e-10
"""Eigenvalues of the second moment under this share of the largest are directions that activations never take."""


def coherences(rows: Tensor, moment: Tensor, most: int = GRID) -> NDArray[np.float64]:
    """Absolute cosines of all pairs of decoder rows ``[n, d]``, ascending, at most ``most`` quantiles of them.

    ``moment`` ``[d, d]`` is the mean of y y' over activations. Rows of no length are left out.
    """
    values, vectors = torch.linalg.eigh(moment.double())
    kept = values > FLAT * values[-1]
    whitened = rows.double() @ (vectors[:, kept] / values[kept].sqrt())
    length = whitened.norm(dim=1)
    unit = whitened[length > 0] / length[length > 0, None]
    first, second = torch.triu_indices(len(unit), len(unit), offset=1)
    found = np.sort((unit @ unit.T)[first, second].abs().cpu().numpy())
    if len(found) <= most:
        return found
    return found[_index(np.linspace(0, 1, most), len(found))]


def stability(coherence: NDArray[np.float64], active: NDArray[np.int64]) -> float:
    """q* = sup {q: mu_q < 1 / (2 K_q - 1)}, in [0, 1].

    mu_q is the q-quantile of ``coherence`` (ascending, over pairs of atoms), K_q that of the number of active atoms per
    token; ``active`` ``[K + 1]`` counts the tokens with 0, 1, .. K of them. Both grow with q, so that what holds at q
    holds below it. No or one active atom is always told apart where atoms differ.
    """
    tokens = int(active.sum())
    if tokens == 0 or len(coherence) == 0:
        return float("nan")
    reached = np.cumsum(active)
    ends = np.unique(np.concatenate([reached[active > 0] / tokens, np.arange(1, len(coherence) + 1) / len(coherence)]))
    k = np.searchsorted(reached, _index(ends, tokens) + 1)
    bound = np.where(k > 0, 1 / np.maximum(2 * k - 1, 1), np.inf)
    holds = coherence[_index(ends, len(coherence))] < bound
    return float(ends[holds][-1]) if holds.any() else 0.0


def _index(q: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Where the q-quantile of ``n`` ascending numbers is: the smallest with a share q of them at or below it."""
    return np.clip(np.ceil(q * n - 1e-9).astype(np.int64) - 1, 0, n - 1)
