"""Double dissociation of two tasks by two ablations, as pure functions of per-example outcomes.

The design: ``n`` matched pairs, each a prompt of task 0 and one of task 1 on the same material; outcomes (right or
wrong, or a logit difference) with nothing ablated, and with circuit 0 or circuit 1 ablated. Circuit c is said to serve
task c. Ablations have to be of one dose: :func:`matched_sets` takes as many nodes of each circuit.

- drop of a task = (m - m_ablated) / (m - chance), of means: the share of the way to chance that is lost. 1 is chance.
- S of a circuit = (drop_0 - drop_1) / (|drop_0| + |drop_1|): 1 hurts task 0 alone, -1 task 1 alone. It is missing where
  the interval of drop_0 + drop_1 contains 0: an ablation that does nothing has no preference, but noise gives it one.
- interaction = ((drop_0 - drop_1 under circuit 0) - (drop_0 - drop_1 under circuit 1)) / 2: 1 where each circuit takes
  its own task to chance and leaves the other alone; 0 where the ablations do the same, or one task suffers more from
  both, or one ablation does more to both.

An interaction alone can come from one circuit. A *double* dissociation is that each circuit hurts its own task more
(Shallice 1988): its p is the larger of the two circuits' own (an intersection-union test).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from bench.metric import Undefined
from bench.scoring.bootstrap import MIN_CLUSTERS, cluster_weights, contains_zero, interval, n_clusters
from bench.scoring.curves import means

Floats = NDArray[np.float64]
PERMUTATIONS = 9999
OWN = np.array([1.0, -1.0])
"""By circuit, the sign of drop_0 - drop_1 when it hurts its own task more."""


@dataclass(frozen=True)
class Figure:
    """A figure with its bootstrap interval; NaN, and why, where it is missing."""

    value: float
    low: float = float("nan")
    high: float = float("nan")
    reason: str = ""


@dataclass(frozen=True)
class Dissociation:
    """What two ablations do to two tasks. Indices are circuits, and tasks within ``drops``."""

    drops: tuple[tuple[Figure, Figure], tuple[Figure, Figure]]
    selectivity: tuple[Figure, Figure]
    interaction: Figure
    p_interaction: float
    p_own: tuple[float, float]
    """Of each circuit: does its ablation hurt its own task more than the other."""

    @property
    def p_double(self) -> float:
        """Of the double dissociation: the larger of ``p_own``."""
        return max(self.p_own)


def drops(intact: Floats, ablated: Floats, chance: Sequence[float], weights: Floats | None = None) -> Floats:
    """Normalised drops ``[n_draws, circuits, tasks]``, of means over the pairs; one draw without ``weights``.

    intact: ``[n, tasks]``. ablated: ``[n, circuits, tasks]``. weights: ``[n_draws, n]``.
    """
    whole = means(intact, weights)[:, None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        return (whole - means(ablated, weights)) / (whole - np.asarray(chance))


def selectivity(drop: Floats) -> Floats:
    """S of each circuit, ``[..., circuits, tasks]`` to ``[..., circuits]``; NaN where both drops are 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return (drop[..., 0] - drop[..., 1]) / np.abs(drop).sum(axis=-1)


def interaction(drop: Floats) -> Floats:
    """The double difference, ``[..., circuits, tasks]`` to ``[...]``."""
    return ((drop[..., 0] - drop[..., 1]) * OWN).sum(axis=-1) / 2


def dissociation(
    intact: Floats, ablated: Floats, chance: Sequence[float], clusters: Sequence[str], seed: int = 0
) -> Dissociation:
    """All figures of the design, with 95 % cluster-bootstrap intervals and permutation p-values.

    intact: ``[n, tasks]``, the outcome of each matched pair's prompts. ablated: ``[n, circuits, tasks]``. chance: by
    task, the mean outcome of guessing (.5 of two answers; 0 for a logit difference). clusters: ``[n]`` labels.
    Raises ValueError for shapes that do not fit or fewer clusters than an interval needs, and
    :class:`bench.metric.Undefined` where a task with nothing ablated is not above chance.
    """
    intact, ablated = np.asarray(intact, dtype=np.float64), np.asarray(ablated, dtype=np.float64)
    if intact.shape != (len(clusters), 2) or ablated.shape != (len(clusters), 2, 2):
        raise ValueError(
            f"{len(clusters)} pairs need intact [n, 2] and ablated [n, 2, 2], not {intact.shape} and {ablated.shape}"
        )
    if n_clusters(clusters) < MIN_CLUSTERS:
        raise ValueError(f"{n_clusters(clusters)} clusters; {MIN_CLUSTERS} are needed for an interval")
    weights = cluster_weights(clusters, seed)
    for task, above in enumerate((means(intact, weights) - np.asarray(chance)).T):
        if contains_zero(above) or above.mean() < 0:
            raise Undefined(f"task {task} is not above chance with nothing ablated")
    drop, draws = drops(intact, ablated, chance)[0], drops(intact, ablated, chance, weights)
    lost = (intact[:, None, :] - ablated) / (intact.mean(axis=0) - np.asarray(chance))
    own = (lost[..., 0] - lost[..., 1]) * OWN
    return Dissociation(
        tuple(tuple(_figure(drop[c, t], draws[:, c, t]) for t in (0, 1)) for c in (0, 1)),  # type: ignore[arg-type]
        tuple(_selectivity(drop[c], draws[:, c]) for c in (0, 1)),  # type: ignore[arg-type]
        _figure(float(interaction(drop)), interaction(draws)),
        permutation_p(own.sum(axis=1), clusters, seed),
        tuple(permutation_p(own[:, c], clusters, seed) for c in (0, 1)),  # type: ignore[arg-type]
    )


def permutation_p(contrast: Floats, clusters: Sequence[str], seed: int = 0, n: int = PERMUTATIONS) -> float:
    """One-sided p of mean contrast > 0; null: in each matched pair the two prompts' tasks can be exchanged.

    contrast: ``[n_pairs]``, each a difference between a pair's prompts, so that exchanging their tasks turns its sign.
    Tasks are what can be exchanged: the two prompts of a pair share their material, and under the null nothing but the
    label tells which of them an ablation hurts, once losses are shares of each task's way to chance. Circuits cannot:
    they are fixed sets, the same for all pairs. Pairs of a cluster are not independent, so they are turned together.
    The observed labelling counts as one of the permutations.
    """
    _, member = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.bincount(member, weights=contrast)
    signs = np.random.default_rng([seed, len(sums)]).integers(0, 2, size=(n, len(sums))) * 2.0 - 1.0
    observed = sums.sum()
    # sums of the same terms in other order differ in their last digits; a tie counts
    reached = signs @ sums >= observed - 1e-9 * np.abs(sums).sum()
    return float((1 + reached.sum()) / (1 + n))


def matched_sets(
    circuits: Mapping[str, Sequence[str]], seed: int = 0, most: int = 32
) -> dict[str, list[tuple[str, ...]]]:
    """Sets of nodes of one size, the smallest circuit's, of each circuit: one dose for all.

    All subsets of that size where there are at most ``most``, else so many different ones at random. The outcome of a
    circuit is the mean over its sets. Raises ValueError for an empty circuit.
    """
    for name, nodes in circuits.items():
        if not nodes:
            raise ValueError(f"circuit {name} has no nodes to ablate")
    size = min(len(set(nodes)) for nodes in circuits.values())
    out = {}
    for i, (name, nodes) in enumerate(circuits.items()):
        unique = sorted(set(nodes))
        if comb(len(unique), size) <= most:
            out[name] = list(combinations(unique, size))
            continue
        rng, chosen = np.random.default_rng([seed, i]), set[tuple[str, ...]]()
        while len(chosen) < most:
            chosen.add(tuple(unique[j] for j in sorted(rng.choice(len(unique), size, replace=False))))
        out[name] = sorted(chosen)
    return out


def _figure(value: float, draws: Floats) -> Figure:
    return Figure(float(value), *interval(draws))


def _selectivity(drop: Floats, draws: Floats) -> Figure:
    """S of one circuit from drops ``[tasks]`` and their draws ``[n_draws, tasks]``."""
    if contains_zero(draws.sum(axis=1)):
        nan = float("nan")
        return Figure(nan, nan, nan, "the interval of the sum of the drops contains 0")
    return _figure(float(selectivity(drop)), selectivity(draws))
