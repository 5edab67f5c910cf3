"""Faithfulness and the areas under its curve, as pure functions of per-example values.

``weights`` is ``[n_draws, n_examples]``, how often each example is drawn. Numerator and denominator are always
resampled together, and means are taken over the data before the ratio, never the ratio before the mean.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
REACH = 2.5
CLOSENESS_BENDS = {0.0: 1.0, 1.0: 2.0, 2.0: 1.0}
"""Where the slope of :func:`closeness` changes, and by how much."""


def means(values: Floats, weights: Floats | None = None) -> Floats:
    """Weighted means over the examples: ``[n_examples, ...]`` to ``[n_draws, ...]``; one draw without weights."""
    if weights is None:
        return values.mean(axis=0, keepdims=True)
    flat = values.reshape(len(values), -1)
    averaged = weights @ flat / weights.sum(axis=1, keepdims=True)
    return averaged.reshape(len(weights), *values.shape[1:])


def gap(whole: Floats, empty: Floats, weights: Floats | None = None) -> Floats:
    """The denominator of faithfulness, m(whole) - m(empty), ``[n_draws]``; arguments ``[n_examples]``."""
    return means(whole, weights) - means(empty, weights)


def faithfulness(values: Floats, whole: Floats, empty: Floats, weights: Floats | None = None) -> Floats:
    """f = (m(C) - m(empty)) / (m(whole) - m(empty)), of data-set means.

    ``values`` is ``[n_examples, ...]`` (one entry per circuit), the result ``[n_draws, ...]``.
    """
    below = gap(whole, empty, weights)
    floor = means(empty, weights)
    expand = (slice(None),) + (None,) * (values.ndim - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (means(values, weights) - floor[expand]) / below[expand]


def at_zero(whole: Floats, empty: Floats, weights: Floats | None = None) -> Floats:
    """f of a circuit with m = 0 (at logit difference: one that tells nothing), ``[n_draws]``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return -means(empty, weights) / gap(whole, empty, weights)


def trapezoid(y: Floats, x: Floats) -> Floats:
    """Area under ``y`` (``[..., n_points]``), linear between the points ``x`` (``[n_points]``)."""
    return ((y[..., 1:] + y[..., :-1]) / 2 * np.diff(x)).sum(axis=-1)


def closeness(f: Floats) -> Floats:
    """max(0, 1 - |1 - f|): 1 at f = 1, 0 at f <= 0 and at f >= 2."""
    return np.maximum(0.0, 1.0 - np.abs(1.0 - f))


def bend_bias(f: Floats, draws: Floats, share: Floats, bends: Mapping[float, float]) -> float:
    """The largest bias that bends can give to a weighted sum of a bent function of f.

    ``f`` is ``[n_points]``, ``draws`` ``[n_draws, n_points]``, ``share`` each point's weight ``[n_points]``; ``bends``
    has for each bend how much the slope changes there. Where f may lie at a bend (within `REACH` standard errors), the
    function of the estimate is off by up to E|Z| / 2 = .4 standard errors times that change.
    """
    error = draws.std(axis=0)
    change = np.zeros_like(f)
    for at, by in bends.items():
        change = np.maximum(change, np.where(np.abs(f - at) <= REACH * error, by, 0.0))
    return float((share * change * error).sum() / np.sqrt(2 * np.pi))


def shares(x: Floats) -> Floats:
    """The weight of each point in :func:`trapezoid`."""
    step = np.diff(x)
    return (np.append(step, 0.0) + np.append(0.0, step)) / 2


def area_log(f: Floats, sizes: Floats, n_edges: int) -> Floats:
    """Area under :func:`closeness` over the log of the size, as a share of the log range (one edge to all).

    ``f`` is ``[..., n_points]`` at ``sizes`` (``[n_points]``, kept edges / all edges, ascending); sizes of 0 are left
    out and the last size must be 1. The integrand is 0 below the smallest circuit that has an edge, and linear in the
    log of the size between measured ones. In [0, 1].
    """
    measured = sizes > 0
    if not measured.any() or sizes[measured][-1] != 1 or (np.diff(sizes) < 0).any():
        raise ValueError("sizes must ascend and end at 1")
    return trapezoid(closeness(f[..., measured]), np.log(sizes[measured])) / np.log(n_edges)


def area_log_bias(f: Floats, draws: Floats, sizes: Floats, n_edges: int) -> float:
    """The largest bias of :func:`area_log` from bends; ``f`` is ``[n_points]``, ``draws`` ``[n_draws, n_points]``."""
    measured = sizes > 0
    share = shares(np.log(sizes[measured])) / np.log(n_edges)
    return bend_bias(f[measured], draws[:, measured], share, CLOSENESS_BENDS)
