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


def test_what_a_dictionary_holds_and_misses_of_a_variable(board):
    whole = score(board, D, "interchange", "full_vector")
    holds = score(board, D, "interchange", "sae_latents", chosen="all")
    assert holds > 0.9 * whole
    assert score(board, D, "interchange", "sae_latents", chosen="none", swap_error=True) < 0.1
    for control in ("random", "frozen_decoder"):
        assert score(board, D, "interchange", "sae_latents", chosen="all", dictionary=control) <= holds
    assert score(board, D, "interchange", "sae_latents", chosen="all", dictionary="random") < 0.9 * holds


def test_where_two_variables_pass_latents_are_above_the_whole_vector_and_below_a_subspace_that_is_trained(board):
    whole = score(board, X, "disentangled", "full_vector")
    latents = score(board, X, "disentangled", "sae_latents")
    trained = score(board, X, "disentangled", "dbm_latents", steps=100)
    assert whole < latents < trained < score(board, X, "disentangled", "das", steps=100)
