"""The Hilbert-Schmidt independence criterion of two scalars, with its permutation null."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def centred_kernel(values: Floats) -> Floats:
    """Gaussian kernel ``[n, n]`` of scalars ``[n]``, centred in rows and columns.

    Its width is the median distance of two different examples (the mean one where the median is 0); for values that
    are all equal the kernel is 0.
    """
    distance = np.abs(values[:, None] - values[None, :])
    apart = distance[np.triu_indices(len(values), 1)]
    width = float(np.median(apart)) or float(apart.mean())
    if width == 0:
        return np.zeros_like(distance)
    kernel = np.exp(-((distance / width) ** 2) / 2)
    return kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean()


def dependence(x: Floats, y: Floats, permutations: int = 0, seed: int = 0) -> tuple[float, Floats]:
    """Normalised HSIC of paired scalars ``[n]``, and ``[permutations]`` of it with the pairs broken up at random.

    HSIC(x, y) / sqrt(HSIC(x, x) HSIC(y, y)), in [0, 1]: 0 where the sample's centred kernels are orthogonal (or one
    variable does not vary), 1 where they are the same up to scale.
    """
    k, other = centred_kernel(x), centred_kernel(y)
    scale = float(np.linalg.norm(k) * np.linalg.norm(other))
    if scale == 0:
        return 0.0, np.zeros(permutations)
    rng = np.random.default_rng([seed, len(x)])
    orders = (rng.permutation(len(y)) for _ in range(permutations))
    null = np.array([float((k * other[np.ix_(o, o)]).sum()) for o in orders])
    return float((k * other).sum()) / scale, null / scale
