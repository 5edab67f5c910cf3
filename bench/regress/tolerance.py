"""How far a figure may be from the frozen one before it has moved: the one place that says so."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TOLERANCE = {"float32": 1e-4, "float64": 1e-4, "bfloat16": 5e-2, "float16": 1e-2}
"""By the model's dtype, relative to the largest value of the tensor.

Scoring is deterministic: selection works on the stored scores, and on one machine the values are the same to the bit.
Across machines the kernels add in another order. That leaves 1e-6 to 1e-5 of the largest value in fp32 (1e-5 is also
what batches and padding may cost), so 1e-4 has a factor of ten to spare, while a wrong sign, a circuit of one component
more or another ablation moves values by 1e-2 and more. Stored values are fp32, so fp64 gains nothing. In half precision
one rounding is 4e-3 (bfloat16) or 5e-4 (float16) of a value, and a dozen of them meet.
"""
LEAST = 1e-12
"""Absolute, for tensors that are 0 throughout."""


def bar(dtype: str, scale: float) -> float:
    """The largest difference that is none, for a tensor whose largest absolute value is ``scale``."""
    return TOLERANCE[dtype] * scale + LEAST


def largest(values: NDArray[np.float64] | float) -> float:
    """The largest absolute value; 0 of nothing."""
    found = np.abs(np.asarray(values, dtype=np.float64))
    return float(found.max()) if found.size else 0.0
