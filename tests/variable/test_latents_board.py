"""The committed board of variables in latents: its seeds and ranks, what must be equal, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

FILE = Path(__file__).parents[2] / "leaderboards" / "latents" / "variable.csv"
D, X = "ioi[variable=D]", "arithmetic[variable=X]"
METRICS = ("interchange", "isolation", "disentangled")


@pytest.fixture(scope="module")
def board() -> pd.DataFrame:
    if not FILE.exists():
        pytest.skip("the board is not there; leaderboards/latents.sh makes it")
    return pd.read_csv(FILE, keep_default_na=False, na_values=[""])


def label(task: str, name: str, **parameters: object) -> str:
    """A method's name on the board; at X all are at one point of the stream."""
    shown = {**({"site": "stream2@END"} if task == X else {}), **parameters}
    return name + (f"[{','.join(f'{key}={value}' for key, value in sorted(shown.items()))}]" if shown else "")


def score(board: pd.DataFrame, task: str, metric: str, name: str, **parameters: object) -> float:
    at = (board.task == task) & (board.metric == metric) & (board.method == label(task, name, **parameters))
    (found,) = board[at & (board.status == "ok")].score
    return float(found)


def test_methods_with_chance_in_them_have_five_seeds(board):
    without = "full_vector|identity|oracle|pca"
    found = board[(board.status == "ok") & ~board.method.str.fullmatch(rf"({without})(\[.*\])?")]
    assert len(found) and set(found.seeds) == {"0;1;2;3;4"}


def test_ranks_are_what_they_are_called(board):
    named = board[(board.status == "ok") & board.method.str.contains("rank=")]
    for text, rank in zip(named.method, named["rank"], strict=True):
        assert f"rank={rank}" in text.rstrip("]").partition("[")[2].split(",")


@pytest.mark.parametrize("task", [D, X])
@pytest.mark.parametrize("metric", METRICS)
def test_all_latents_and_the_error_are_the_full_vector_and_none_of_either_is_nothing(board, task, metric):
    both = score(board, task, metric, "sae_latents", chosen="all", swap_error=True)
    assert both == score(board, task, metric, "full_vector")
    assert score(board, task, metric, "sae_latents", chosen="none") == score(board, task, metric, "identity")
