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
"""Between batch sizes, relative to the largest value: the project's own for fp32."""
TRAINED = 1e-2
"""The same where many steps of an optimiser carry the last bits of the first one on."""
Found = Mapping[str, Any]
Parts = Mapping[str, NDArray[np.float64]]


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
        yield Clause(
            "runs", True, f"{len(_parts(found, 'first')['scores']):,} {found['level']} scores of {found['on']}"
        )
        for clause in (_determinism, _batch_size, _signs, _passes):
            yield clause(found)
    read, wrote = found["peeked"], found["wrote"]
    yield Clause("truth", not read, f"reads {', '.join(read)}" if read else "reads no planted model's files")
    yield Clause("writing", not wrote, "; ".join(wrote) if wrote else "writes nothing outside its folder")


def _determinism(found: Found) -> Clause:
    first, again, other = (_parts(found, run) for run in ("first", "again", "other_seed"))
    if not _same(first, again):
        return Clause("determinism", False, f"two runs with method.seed=0 differ by {_shown(*_apart(first, again))}")
    if found["stochastic"]:
        return Clause("determinism", True, f"the same seed gives the same {_what(found)}")
    if not _same(first, other):
        by = _shown(*_apart(first, other))
        return Clause(
            "determinism", False, f"{_what(found)} depend on method.seed (by {by}): say stochastic = True"
        )  # fmt: skip
    return Clause("determinism", True, f"the same {_what(found)} whatever the seed, as it says")


def _batch_size(found: Found) -> Clause:
    if not _same(_parts(found, "first"), _parts(found, "again")):
        return Clause("batch size", True, f"not asked of {_what(found)} that differ from run to run")
    apart, name = _apart(_parts(found, "first"), _parts(found, "small_batches"))
    allowed = TRAINED if found["runs"]["first"]["backwards"] and found["track"] != "circuit" else TOLERANCE
    text = f"batches of {BATCHES[0]} and {BATCHES[1]} differ by {_shown(apart, name, 1)}"
    return Clause("batch size", apart <= allowed, f"{text}; {allowed:g} is allowed")


def _signs(found: Found) -> Clause:
    """A positive score is one that helps, so scores must point the way of exact effects, nodes' sums from edges."""
    if found["baseline"]:
        return Clause("signs", True, "not asked of a baseline")
    if found["track"] != "circuit":
        return Clause(
            "signs", True, f"not asked of a {found['level']}: what is judged is what is handed over beside it"
        )
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
    if found["declared"] is None and found["track"] != "circuit":
        return Clause("passes", True, f"{shown}, all through the engine; a {found['level']} need not declare them")
    if found["declared"] is None:
        return Clause("passes", False, f"takes {shown} and declares none: add `def passes(self, graph)`")
    if not np.allclose(found["declared"], counted):
        declared = " and ".join(f"{n:g}" for n in found["declared"])
        return Clause("passes", False, f"takes {shown}, but declares {declared}")
    return Clause("passes", True, f"{shown}, as declared")


def _parts(found: Found, run: str) -> Parts:
    return {name: np.array(part, dtype=np.float64) for name, part in found["runs"][run]["parts"].items()}


def _what(found: Found) -> str:
    """What runs are compared by, in words."""
    return "scores" if found["track"] == "circuit" else "scores and tensors"


def _same(a: Parts, b: Parts) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def _apart(a: Parts, b: Parts) -> tuple[float, str]:
    """The largest difference, relative to the largest value of either in the same part, and the part that has it."""
    found = {name: _relative(a[name], b[name]) if name in a and name in b else np.inf for name in a.keys() | b.keys()}
    worst = max(sorted(found), key=found.__getitem__)
    return found[worst], worst


def _relative(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    if a.shape != b.shape:
        return float("inf")
    return float(np.abs(a - b).max(initial=0) / max(np.abs(a).max(initial=0), np.abs(b).max(initial=0), 1e-30))


def _shown(apart: float, name: str, digits: int = 2) -> str:
    """A relative difference in words."""
    if np.isinf(apart):
        return f"all of {name}, which is there or has its shape in one of them alone"
    return f"{apart:.{digits}g} of the largest " + ("score" if name == "scores" else f"value of {name}")


def _node_scores(found: Found) -> NDArray[np.float64]:
    scores = _parts(found, "first")["scores"]
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
