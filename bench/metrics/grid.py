"""What the metrics over sizes share: the grids, and the measurement of circuits on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metric import Arrays, ScoreContext
from bench.scoring.circuits import circuit_values
from bench.scoring.selection import Ranking
from bench.scoring.space import EdgeSpace, Space

MIB_SIZES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def log_grid(n_edges: int) -> tuple[float, ...]:
    """Sizes from one edge to all: MIB's steps of 1, 2, 5 carried on down, and one edge itself; ascending."""
    steps = [mantissa * 10.0**-power for power in range(1, 9) for mantissa in (1, 2, 5)]
    inner = sorted(round(s, 9) for s in steps if 1 / n_edges < s)
    return (1 / n_edges, *inner, 1.0)


def within(ranking: Ranking, size: float) -> int:
    """How many components make the largest circuit whose real size is at most ``size``."""
    return ranking.largest_within(size * ranking.total + 1e-9)


def circuit_within(ranking: Ranking, size: float) -> NDArray[np.bool_]:
    """The largest circuit whose real size is at most ``size``: the empty one where even the smallest is larger."""
    circuit = ranking.circuit(within(ranking, size))
    return circuit if circuit.mean() <= size + 1e-9 else np.zeros_like(circuit)


def measure_circuits(
    context: ScoreContext, chosen: list[list[NDArray[np.bool_]]], objective: str, space: Space | None = None
) -> Arrays:
    """Per-example values of the whole model, the empty circuit and the circuits of each order.

    ``chosen`` is ``[n_orders][n_sizes]``, circuits of ``space`` (of edges, where there is none). Returns ``whole`` and
    ``empty`` ``[n_examples]``, ``circuits`` ``[n_examples, n_orders, n_sizes]`` and ``edges`` ``[n_orders, n_sizes]``,
    the real sizes (kept / all edges, or components).
    """
    space = space or EdgeSpace(context.engine)
    flat = [circuit for circuits in chosen for circuit in circuits]
    values = circuit_values(context, [space.whole(), space.empty(), *flat], objective, space)
    n_edges = space.size
    shape = (len(chosen), len(chosen[0]))
    return {
        "whole": values[:, 0],
        "empty": values[:, 1],
        "circuits": values[:, 2:].reshape(len(values), *shape),
        "edges": np.array([c.sum() / n_edges for c in flat]).reshape(shape),
        "n_edges": np.array(n_edges),
    }


def measure_nominal(orders: Sequence[Ranking], context: ScoreContext, objective: str) -> Arrays:
    """Circuits of MIB's nominal sizes: the first ``int(size * n)`` of the ``n`` scored components, then pruned."""
    chosen = [[ranking.circuit(int(size * len(ranking))) for size in MIB_SIZES] for ranking in orders]
    return measure_circuits(context, chosen, objective)
