"""The committed board of all methods: who is on it, and what the docstrings of those say who never beat chance."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bench.registry import discover

BOARD = Path(__file__).parents[2] / "leaderboards" / "methods"
REGISTERED = discover().methods
CIRCUIT = {
    m.name: m for m in map(REGISTERED.load, REGISTERED.names())
    if m.track == "circuit" and m.level != "feature" and m.__module__.startswith("methods.")
}  # fmt: skip
"""Those of nodes and edges: a planted truth says nothing of latents."""
NEVER = "never better than a random ranking"


@pytest.fixture(scope="module")
def board() -> pd.DataFrame:
    return pd.read_csv(BOARD / "circuit.csv", keep_default_na=False, na_values=[""])


def test_every_method_has_a_figure_on_it(board):
    found = board[(board.status == "ok") & board.planted.eq("yes")]
    assert set(CIRCUIT) == {label.split("[")[0] for label in found.method}


def test_trained_methods_took_500_steps_and_all_methods_with_chance_five_seeds_on_the_missions_tasks(board):
    mission = board[board.task.isin(["ioi", "entity_tracking", "hallucination", "recall_reasoning"])]
    found = mission[(mission.status == "ok") & (mission.model == "planted") & (mission.metric == "auroc")]
    assert set(found.seeds) == {"0;1;2;3;4"}
    steps = {label for label in found.method if "steps=" in label}
    assert steps and all("steps=500" in label for label in steps)


def test_a_method_that_never_beats_a_random_ranking_says_so(board):
    found = pd.read_csv(BOARD / "circuit_random.csv")
    better = {label.split("[")[0] for label in found[found.beats].method}
    tried = {label.split("[")[0] for label in found.method}
    said = {name for name, method in CIRCUIT.items() if NEVER in " ".join((method.__doc__ or "").split())}
    assert said == tried - better
