"""How often intervals and tests hold what they say, on synthetic scores whose truth is known.

``python -m tests.scoring.coverage [trials]`` prints the table. The scores go through the same code as a board's:
:func:`bench.scoring.curves`, :func:`cluster_weights`, :mod:`bench.scoring.estimate`, :mod:`bench.scoring.significance`.
Sizes of clusters are those of the boards' test splits (`BOARDS`), five seeds as on committed boards; noise is skewed
(exponential) and half of it is shared by a cluster. Share of intervals that held the truth, over 48, 96, 100, 171 and
200 clusters, 600 trials each (binomial standard error .009 a figure), methods whose f rises from 0 to 1:

====================  =========================  =========================
kind                  one seed                   five seeds
====================  =========================  =========================
ratio (f at a size)   .942 .938 .945 .937 .955   .950 .960 .938 .932 .935
area                  .952 .937 .955 .942 .950   .935 .950 .948 .930 .922
difference of ratios  .952 .945 .958 .947 .972   .948 .937 .952 .950 .948
difference of areas   .953 .955 .947 .945 .950   .952 .938 .960 .947 .945
====================  =========================  =========================

Paired tests under the null rejected in .028 to .063 of trials (in .007 for areas over 48 clusters and one seed, where
nearly all intervals are refused). What is hard is a figure at a bend (f exactly 1, or 0,
at most sizes). There the plain percentile interval of the area held .12 to .18 and Student's t .84 to .95, so nearly
all of those are refused: with one seed .985 and .92 of trials, with five seeds and noisy examples (.3) .92 and all.
With little noise (.05) five seeds keep .98 of their intervals, and .92 of these hold: the spread between models is
itself folded. Percentiles over five resampled seeds, which boards had before, are narrower than Student's t by a
factor of 1.58 (the standard error by sqrt(4/5), the quantile 1.96 for 2.78).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.scoring.bootstrap import DRAWS, cluster_weights
from bench.scoring.curves import area_log, area_log_bias, faithfulness
from bench.scoring.estimate import Estimate, over_examples, over_units
from bench.scoring.significance import holm, signed_rank
from bench.scoring.ties import open_ranks

Floats = NDArray[np.float64]
BOARDS = {
    "arithmetic": {1: 48},
    "identity_rules": {1: 42, 2: 22, 3: 19, 4: 9, 5: 3, 6: 1},
    "recall_reasoning": {2: 100},
    "hallucination": {1: 146, 2: 22, 3: 2, 4: 1},
    "ioi": {1: 200},
}
"""Clusters of each size in the test splits of planted boards (data seed 0), the most different ones."""
EDGES = 1000
SIZES = np.array([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0])
CURVES = {
    "rising": np.array([0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.6, 0.75, 0.9, 1.0]),
    "plateau": np.array([0.0, 0.0, 0.3, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
    "nothing": np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 1.0]),
    "overshoot": np.array([0.0, 0.1, 0.5, 1.2, 1.3, 1.2, 1.1, 1.05, 1.02, 1.0]),
}
"""f by size: an ordinary method, and those that lie at a bend of the area over most sizes."""
MIDDLE = 4
LEVELS = 4001


class Design(NamedTuple):
    """A board's examples and the noise on them."""

    board: str = "ioi"
    seeds: int = 1
    shared: bool = False
    """Whether all seeds are scored on the same examples (method seeds of one model)."""
    noise: float = 0.3
    """Standard deviation of a circuit's value per example, in units of the whole model's effect."""
    between: float = 0.05
    """Standard deviation of f between models."""
    draws: int = DRAWS


class Held(NamedTuple):
    """How often an interval was given, and of those how often it held the truth."""

    given: float
    held: float
    trials: int

    @property
    def tolerance(self) -> float:
        """Three binomial standard errors at .95."""
        return 3 * float(np.sqrt(0.95 * 0.05 / max(1.0, self.given * self.trials)))


def members(board: str) -> NDArray[np.int64]:
    """The cluster of each example, ``[n_examples]``."""
    sizes = [size for size, count in BOARDS[board].items() for _ in range(count)]
    return np.repeat(np.arange(len(sizes)), sizes)


def noise(rng: np.random.Generator, member: NDArray[np.int64], *shape: int) -> Floats:
    """Skewed noise of mean 0 and variance 1, half of it shared by a cluster, ``[n_examples, *shape]``."""
    own, common = rng.exponential(size=(len(member), *shape)), rng.exponential(size=(member.max() + 1, *shape))
    return ((own - 1) + (common - 1)[member]) / np.sqrt(2)


class Seed(NamedTuple):
    """One model's scores: whole and empty ``[n]``, and the noise that all methods share ``[n]``."""

    whole: Floats
    empty: Floats
    common: Floats


def seed(rng: np.random.Generator, member: NDArray[np.int64]) -> Seed:
    """Per-example scores whose effect of the whole model is 1 in the mean, and varies by example."""
    empty = -0.5 + 0.3 * noise(rng, member)
    return Seed(empty + 1 + 0.4 * noise(rng, member), empty, noise(rng, member))


def circuits(rng: np.random.Generator, at: Seed, curve: Floats, member: NDArray[np.int64], sd: float) -> Floats:
    """Values of one method's circuits, ``[n, n_sizes]``: in the mean f times the whole effect; the last is whole."""
    added = sd * (np.sqrt(0.7) * at.common[:, None] + np.sqrt(0.3) * noise(rng, member, len(curve)))
    values = at.empty[:, None] + curve * (at.whole - at.empty)[:, None] + added * np.where(curve == 0, 0.3, 1.0)
    values[:, -1] = at.whole
    return values


Reduce = Callable[[Floats], Floats]
KINDS: dict[str, Reduce] = {
    "ratio": lambda f: f[:, MIDDLE],
    "area": lambda f: area_log(f, SIZES, EDGES),
}


def truth(kind: str, curve: Floats, between: float) -> float:
    """The mean figure over models, by quadrature over their normal effect on f."""
    effects = between * stats.norm.ppf((np.arange(LEVELS) + 0.5) / LEVELS)
    return float(KINDS[kind](_with_effect(curve, effects)).mean())


def _with_effect(curve: Floats, effects: Floats) -> Floats:
    """f of models whose circuits inside (not the empty or whole one) are better or worse, ``[n, n_sizes]``."""
    inside = (curve != 0) & (np.arange(len(curve)) < len(curve) - 1)
    return curve + effects[:, None] * inside


def boards(
    design: Design, curves: list[Floats], trials: int, rng: np.random.Generator
) -> Iterator[list[list[tuple[Floats, Floats]]]]:
    """Trial boards: per method and seed f on the examples ``[1, n_sizes]`` and under the bootstrap ``[draws, ...]``."""
    member = members(design.board)
    names = [str(cluster) for cluster in member]
    weights = [cluster_weights(names, 0 if design.shared else s, design.draws) for s in range(design.seeds)]
    for _ in range(trials):
        at = seed(rng, member)
        found: list[list[tuple[Floats, Floats]]] = [[] for _ in curves]
        for w in weights:
            at = at if design.shared else seed(rng, member)
            for method, curve in enumerate(curves):
                effect = design.between * rng.standard_normal(1) if design.seeds > 1 else np.zeros(1)
                values = circuits(rng, at, _with_effect(curve, effect)[0], member, design.noise)
                f = faithfulness(values, at.whole, at.empty)
                found[method].append((f, faithfulness(values, at.whole, at.empty, w)))
        yield found


def estimates(design: Design, curves: list[Floats], kind: str, trials: int, rng: int = 0) -> Iterator[list[Estimate]]:
    """Per trial each method's pooled figure, and for two methods their difference behind them."""
    reduce, fewest = KINDS[kind], int(members(design.board).max()) + 1
    for board in boards(design, curves, trials, np.random.default_rng(rng)):
        values = [[float(reduce(f)[0]) for f, _ in method] for method in board]
        draws = [[reduce(f) for _, f in method] for method in board]
        bends = [[_bend(kind, f, d) for f, d in method] for method in board]
        found = [over_examples(v, d, fewest, bends=b) for v, d, b in zip(values, draws, bends, strict=True)]
        if len(curves) == 2:
            apart = [a - b for a, b in zip(draws[0], draws[1], strict=True)]
            found.append(over_examples(np.subtract(*values), apart, fewest, False, np.add(*bends)))
        yield found


def _bend(kind: str, f: Floats, draws: Floats) -> float:
    return area_log_bias(f[0], draws, SIZES, EDGES) if kind == "area" else 0.0


def coverage(found: list[Estimate], true: float) -> Held:
    """Share of estimates with an interval, and of these the share that holds the truth."""
    given = [e for e in found if np.isfinite(e.low)]
    return Held(len(given) / len(found), float(np.mean([e.low <= true <= e.high for e in given] or [1])), len(found))


def size(p_values: list[float], level: float = 0.05) -> float:
    """How often a test rejects."""
    return float(np.mean(np.asarray(p_values) <= level))


def truth_figures(units: int, spread: float, centre: float, trials: int, rng: int = 0) -> Held:
    """Student's t over planted models whose figures are Beta, as AUROCs are."""
    k = centre * (1 - centre) / spread**2 - 1
    sample = np.random.default_rng(rng).beta(centre * k, (1 - centre) * k, size=(trials, units))
    return coverage([over_units(row) for row in sample], centre)


def over_tasks(tasks: int, trials: int, skew: bool, rng: int = 0) -> Held:
    """The mean over tasks of differences that vary by task."""
    draw = np.random.default_rng(rng)
    sample = draw.gamma(4, 1, (trials, tasks)) / 4 - 1 if skew else draw.standard_normal((trials, tasks))
    return coverage([over_units(row, "tasks") for row in sample], 0.0)


def rank_sets(methods: int, gap: float, seeds: int, trials: int, rng: int = 0) -> float:
    """How often all true ranks lie in those that Holm-corrected paired tests leave open, at once."""
    draw, true = np.random.default_rng(rng), -gap * np.arange(methods)
    first, second = np.triu_indices(methods, 1)
    held = []
    for _ in range(trials):
        values = true + draw.standard_normal((seeds, 1)) + draw.standard_normal((seeds, methods))
        adjusted = holm([over_units(values[:, a] - values[:, b]).p for a, b in zip(first, second, strict=True)])
        better = np.zeros((methods, methods), dtype=bool)
        for a, b, p in zip(first, second, adjusted, strict=True):
            if p <= 0.05:
                better[(a, b) if values[:, a].mean() > values[:, b].mean() else (b, a)] = True
        low, high = open_ranks(better).T
        held.append(bool(((low <= np.arange(1, methods + 1)) & (np.arange(1, methods + 1) <= high)).all()))
    return float(np.mean(held))


def tasks_under_the_null(tasks: int, design: Design, trials: int, rng: int = 0) -> tuple[float, float]:
    """How often the signed-rank test rejects at .05, and the most that it can: methods that are equal on every task."""
    p = []
    curve = CURVES["rising"]
    draws = estimates(design, [curve, curve], "area", trials * tasks, rng)
    for _ in range(trials):
        p.append(signed_rank([next(draws)[2].value for _ in range(tasks)]).p)
    exact = [signed_rank(np.where(np.arange(tasks) < k, 1, -1) * np.arange(1, tasks + 1)).p for k in range(tasks + 1)]
    return size(p), max([e for e in exact if e <= 0.05], default=0.0)


def main(trials: int) -> None:
    """Print the table."""
    print(f"{'what':34} {'board':16} {'seeds':7} {'curve':10} {'noise':>5}  given   held")
    for design, name in _designs():
        curve = CURVES[name]
        for kind in KINDS:
            true = truth(kind, curve, design.between if design.seeds > 1 else 0.0)
            found = list(estimates(design, [curve, curve], kind, trials))
            seeds = f"{design.seeds}{' shared' if design.shared else ''}"
            for what, held in (
                (f"{kind}", coverage([e[0] for e in found], true)),
                (f"difference of {kind}s", coverage([e[2] for e in found], 0.0)),
            ):
                where = f"{what:34} {design.board:16} {seeds:7} {name:10} {design.noise:5}"
                print(f"{where} {held.given:6.3f} {held.held:6.3f}")
            rejected = size([e[2].p for e in found])
            print(f"{'its test under the null, rejected':34} {'':48} {rejected:.3f}", flush=True)


def _designs() -> Iterator[tuple[Design, str]]:
    for board in BOARDS:
        yield Design(board), "rising"
        yield Design(board, seeds=5, draws=500), "rising"
    for name in ("plateau", "nothing", "overshoot"):
        yield Design("ioi"), name
        yield Design("ioi", seeds=5, draws=500), name
    yield Design("ioi", noise=1.0), "rising"
    yield Design("identity_rules", seeds=3, between=0.0, draws=500), "rising"
    yield Design("identity_rules", seeds=5, shared=True, draws=500), "rising"
    yield Design("identity_rules", seeds=5, shared=True, between=0.0, draws=500), "rising"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
