"""What the papers say of two architectures, held against paired differences over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tests.synthetic.measuring import FLAT, TREE, Case

LOWER_IS_BETTER = {"fvu", "dead", "absorption", "ev_error"}
YES, NO, OPEN = "yes", "no", "open"


@dataclass(frozen=True)
class Claim:
    """``first`` is better than ``second`` by ``figure``."""

    data: str
    figure: str
    first: str
    second: str
    source: str


CLAIMS = (
    Claim(FLAT, "fvu", "gated", "relu", "Rajamanoharan et al. 2024 (arXiv:2404.16014)"),
    Claim(FLAT, "fvu", "topk", "relu", "Gao et al. 2024 (arXiv:2406.04093)"),
    Claim(FLAT, "fvu", "batchtopk", "topk", "Bussmann et al. 2024 (arXiv:2412.06410)"),
    Claim(FLAT, "fvu", "jumprelu", "gated", "Rajamanoharan et al. 2024 (arXiv:2407.14435)"),
    Claim(FLAT, "fvu", "jumprelu", "topk", "Rajamanoharan et al. 2024 (arXiv:2407.14435)"),
    Claim(FLAT, "fvu", "batchtopk", "matryoshka", "Bussmann et al. 2025 (arXiv:2503.17547)"),
    Claim(TREE, "absorption", "matryoshka", "batchtopk", "Bussmann et al. 2025 (arXiv:2503.17547)"),
    Claim(TREE, "recovery", "matryoshka", "batchtopk", "Bussmann et al. 2025 (arXiv:2503.17547)"),
)


@dataclass(frozen=True)
class Judged:
    """A claim at one L0 target: first less second, the mean over seeds with its 95 % Student-t interval."""

    claim: Claim
    target: float
    difference: float
    low: float
    high: float

    @property
    def holds(self) -> str:
        """``yes`` or ``no`` where the whole interval is on one side of 0."""
        if self.low <= 0 <= self.high or np.isnan(self.low):
            return OPEN
        return YES if (self.high < 0) == (self.claim.figure in LOWER_IS_BETTER) else NO


def judge(found: Mapping[Case, Mapping[str, float]]) -> list[Judged]:
    """Each claim at each target; seeds are paired, since they have the same data."""
    judged = []
    for claim in CLAIMS:
        own = [case for case in found if (case.data, case.architecture) == (claim.data, claim.first)]
        for target in sorted({case.target for case in own}):
            pairs = [(found[c], found[Case(c.data, claim.second, target, c.seed)]) for c in own if c.target == target]
            values = np.array([a[claim.figure] - b[claim.figure] for a, b in pairs])
            judged.append(Judged(claim, target, *interval(values)))
    return judged


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean, low and high of a 95 % Student-t interval; no bounds of fewer than two values."""
    mean = float(values.mean())
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half
