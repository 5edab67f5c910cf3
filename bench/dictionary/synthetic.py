"""Activations whose dictionary is known: sparse sums of unit directions, and a constant bias."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor


@dataclass(frozen=True)
class Synthetic:
    """x = a D + bias: ``a`` ``[n, n_features]`` sparse and positive, ``D`` ``[n_features, d]`` unit rows."""

    x: Tensor
    codes: Tensor
    features: Tensor
    bias: Tensor


def synthetic(
    n: int, d: int = 32, n_features: int = 64, active: float = 3.0, bias: float = 1.0, noise: float = 0.0, seed: int = 0
) -> Synthetic:
    """``n`` activations, of which each has ``active`` features on average, independent of each other.

    Feature i is on with a probability falling as a power of its rank, (i + 1)^-0.5, with a size 1 + \\|N(0, 1)\\| / 2.
    ``bias`` is the length of the constant vector, ``noise`` the standard deviation per dimension.
    """
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n_features, d))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    falling = np.arange(1, n_features + 1) ** -0.5
    chance = np.minimum(1.0, active * falling / falling.sum())
    codes = (rng.random((n, n_features)) < chance) * (1 + np.abs(rng.standard_normal((n, n_features))) / 2)
    shift = rng.standard_normal(d)
    shift *= bias / np.linalg.norm(shift)
    x = codes @ features + shift + noise * rng.standard_normal((n, d))
    return Synthetic(*(torch.tensor(part, dtype=torch.float32) for part in (x, codes, features, shift)))


def hierarchical(
    n: int, d: int = 32, parents: int = 10, children: int = 3, active: float = 1.5, bias: float = 1.0, seed: int = 0
) -> Synthetic:
    """``n`` activations of features of which some are there only where another is, as kinds are where their genus is.

    Features come parents first, then each parent's children in turn; all are orthogonal where ``d`` allows it. Each of
    ``parents`` is on with the same probability, ``active`` of them on average; of a parent's ``children`` one at most,
    in three quarters of the cases and never without it. Sizes as in :func:`synthetic`.
    Source: the toy model of Bussmann et al. 2025 (arXiv:2503.17547), in which sparsity alone is best served by latents
    that write parent and child at once, and by a parent's latent that is silent there (absorption).
    """
    rng = np.random.default_rng(seed)
    n_features = parents * (1 + children)
    features = rng.standard_normal((n_features, d))
    if n_features <= d:
        features = np.linalg.qr(features.T)[0].T
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    on = np.zeros((n, n_features), dtype=bool)
    on[:, :parents] = rng.random((n, parents)) < active / parents
    chosen = rng.integers(0, children, (n, parents))
    with_child = on[:, :parents] & (rng.random((n, parents)) < 0.75)
    rows, parent = with_child.nonzero()
    on[rows, parents + parent * children + chosen[rows, parent]] = True
    codes = on * (1 + np.abs(rng.standard_normal((n, n_features))) / 2)
    shift = rng.standard_normal(d)
    shift *= bias / np.linalg.norm(shift)
    x = codes @ features + shift
    return Synthetic(*(torch.tensor(part, dtype=torch.float32) for part in (x, codes, features, shift)))


def absorption(found: Tensor, codes: Tensor, data: Synthetic, parents: int, children: int) -> float:
    """How often a parent's latent is silent where the parent is on with a child, less where it is on alone.

    ``found`` ``[d_sae, d]`` decoder rows, ``codes`` ``[n, d_sae]`` of ``data``; a parent's latent is the one nearest to
    it in cosine. 0 is a latent that does not care; it is 1 where each child takes its parent over.
    Source: Chanin et al. 2024 (arXiv:2409.14507), on planted features.
    """
    latent = cosines(found, data.features[:parents]).argmax(axis=1)
    active, planted = (codes > 0).cpu().numpy(), (data.codes > 0).cpu().numpy()
    gaps = []
    for parent in range(parents):
        own = slice(parents + parent * children, parents + (parent + 1) * children)
        silent, on = ~active[:, latent[parent]], planted[:, parent]
        child = planted[:, own].any(axis=1)
        gaps.append(silent[on & child].mean() - silent[on & ~child].mean())
    return float(np.mean(gaps))


def cosines(found: Tensor, planted: Tensor) -> NDArray[np.float64]:
    """``[n_planted, n_found]`` cosines of two sets of directions (rows)."""
    rows = [part.double() / part.double().norm(dim=1, keepdim=True).clamp(min=1e-12) for part in (planted, found)]
    return (rows[0] @ rows[1].T).cpu().numpy()


def mean_max_cosine(found: Tensor, planted: Tensor) -> float:
    """Mean over planted features of the largest cosine with any found one (Sharkey et al. 2022)."""
    return float(cosines(found, planted).max(axis=1).mean())


def mean_matched_cosine(found: Tensor, planted: Tensor) -> float:
    """The same with every found direction given to one planted feature at most (Hungarian)."""
    similar = cosines(found, planted)
    rows, columns = linear_sum_assignment(-similar)
    return float(similar[rows, columns].sum() / len(planted))
