"""The null of a readout: that it says of one prompt what it might as well say of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DRAWS = 999
TIE = 1e-9
"""By how much a draw may be worse than the figure and still count: readouts that are all the same tie with rounding."""


def dealt(crossed: Floats, seed: int) -> Floats:
    """``[999, n_read]``: means of ``crossed`` ``[n_read, n, n]`` over prompts i with the readout of prompt pi(i).

    ``crossed[l, i, j]`` is a figure of the final distribution of prompt i and the readout at layer l of prompt j; the
    same order pi for all layers, so that their mean has a null too.
    """
    n = crossed.shape[1]
    rng = np.random.default_rng([seed, n])
    rows = np.arange(n)
    return np.stack([crossed[:, rows, rng.permutation(n)].mean(axis=1) for _ in range(DRAWS)])
