"""The clauses of the contract, from what the probe saw."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract.probe import BATCHES
from bench.graph import ComponentGraph
from bench.harness.errors import CallError

TOLERANCE = 1e-5
"""Between batch sizes, relative to the largest score: the project's own for fp32."""
Found = Mapping[str, Any]


@dataclass(frozen=True)
class Clause:
    """One line of the verdict."""

    name: str
    kept: bool
    text: str

    def __str__(self) -> str:
        return f"{'ok  ' if self.kept else 'FAIL'}  {self.name:12} {self.text}"


def check(overrides: Sequence[str]) -> list[Clause]:
    """Run the method that ``overrides`` name in a watched process; its verdict, a clause each.

    Raises :class:`CallError` where the process could not answer.
    """
    (found,) = ask([overrides])
    return list(judge(found))


def ask(calls: Sequence[Sequence[str]]) -> list[Found]:
    """What the probe sees of each call, in one process with an empty folder to work in."""
    with tempfile.TemporaryDirectory() as home:
        return _ask([list(overrides) for overrides in calls], Path(home))


def judge(found: Found) -> Iterator[Clause]:
    """The clauses in order; after one that keeps the method from running at all, only what was seen outside."""
    if problem := found.get("problem"):
        yield Clause("runs", False, problem)
    else:
        yield Clause("runs", True, f"{len(_scores(found, 'first')):,} {found['level']} scores of {found['on']}")
        for clause in (_determinism, _batch_size, _signs, _passes):
            yield clause(found)
    read, wrote = found["peeked"], found["wrote"]
    yield Clause("truth", not read, f"reads {', '.join(read)}" if read else "reads no planted model's files")
    yield Clause("writing", not wrote, "; ".join(wrote) if wrote else "writes nothing outside its folder")


def _determinism(found: Found) -> Clause:
    first, again, other = (_scores(found, run) for run in ("first", "again", "other_seed"))
    if not np.array_equal(first, again):
        return Clause(
            "determinism", False, f"two runs with method.seed=0 differ by {_apart(first, again):.2g} of the largest"
        )
    if found["stochastic"]:
        return Clause("determinism", True, "the same seed gives the same scores")
    if not np.array_equal(first, other):
        text = f"scores depend on method.seed (by {_apart(first, other):.2g} of the largest): say stochastic = True"
        return Clause("determinism", False, text)
    return Clause("determinism", True, "the same scores whatever the seed, as it says")


def _batch_size(found: Found) -> Clause:
    if not np.array_equal(_scores(found, "first"), _scores(found, "again")):
        return Clause("batch size", True, "not asked of scores that differ from run to run")
    apart = _apart(_scores(found, "first"), _scores(found, "small_batches"))
    text = f"batches of {BATCHES[0]} and {BATCHES[1]} differ by {apart:.1g} of the largest score"
    return Clause("batch size", apart <= TOLERANCE, f"{text}; {TOLERANCE:g} is allowed")


def _signs(found: Found) -> Clause:
    """A positive score is one that helps, so scores must point the way of exact effects, nodes' sums from edges."""
    if found["baseline"]:
        return Clause("signs", True, "not asked of a baseline")
    scores, effects = _node_scores(found), np.array(found["effects"])
    norm = np.linalg.norm(scores) * np.linalg.norm(effects)
    cosine = float(scores @ effects / norm) if norm > 0 else 0.0
    text = f"cosine with exact effects of the {len(effects)} nodes is {cosine:.2f}"
    wrong = "" if cosine > 0 else "; positive must mean that a component helps the answer"
    return Clause("signs", cosine > 0, text + wrong)


def _passes(found: Found) -> Clause:
    run = found["runs"]["first"]
    counted = (run["forwards"], run["backwards"])
    shown = f"{counted[0]:g} forwards and {counted[1]:g} backwards per example"
    if found["direct"]:
        return Clause(
            "passes", False, f"the model is run {found['direct']} times past the engine, which counts the passes"
        )
    if found["declared"] is None:
        return Clause("passes", False, f"takes {shown} and declares none: add `def passes(self, graph)`")
    if not np.allclose(found["declared"], counted):
        declared = " and ".join(f"{n:g}" for n in found["declared"])
        return Clause("passes", False, f"takes {shown}, but declares {declared}")
    return Clause("passes", True, f"{shown}, as declared")


def _scores(found: Found, run: str) -> NDArray[np.float64]:
    return np.array(found["runs"][run]["scores"], dtype=np.float64)


def _apart(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The largest difference, relative to the largest score of either."""
    return float(np.abs(a - b).max() / max(np.abs(a).max(), np.abs(b).max(), 1e-30))


def _node_scores(found: Found) -> NDArray[np.float64]:
    scores = _scores(found, "first")
    if found["level"] == "node":
        return scores
    layers = 1 + max(int(name[1:].split(".")[0]) for name in found["nodes"])
    heads = sum(name.startswith("a0.") for name in found["nodes"])
    graphs = (ComponentGraph(layers, heads, parallel) for parallel in (False, True))
    graph = next(graph for graph in graphs if graph.n_edges == found["n_edges"])
    _, source = graph.edge_index
    return np.asarray(np.bincount(source, weights=scores, minlength=len(graph.sources))[1:], dtype=np.float64)


def _ask(calls: list[list[str]], home: Path) -> list[Found]:
    scratch = home / "tmp"
    scratch.mkdir()
    paths = [str(Path(path).resolve()) for path in sys.path if path]
    environment = {**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": os.pathsep.join(paths)}
    request = json.dumps({"calls": calls, "home": str(home)})
    call = [sys.executable, "-m", "bench.contract.probe"]
    done = subprocess.run(call, input=request, capture_output=True, text=True, cwd=home, env=environment)
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        last = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        raise CallError(f"the method could not be tried: {last[-1]}") from None
