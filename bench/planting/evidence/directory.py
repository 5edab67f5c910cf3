"""Planted models as directories: making one, checking one, and the table of several."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.planting.evidence.circuit import Circuit, draft
from bench.planting.evidence.figures import Fresh, classify, evidence
from bench.planting.evidence.measure import Measure
from bench.planting.evidence.table import markdown
from bench.planting.export import save
from bench.planting.model import PlantedModel, load
from bench.planting.spec import Pairs, PlantSpec
from bench.planting.train import Progress, code_hash, train

Sampler = Callable[[int, int, dict[str, float]], list[Pairs]]
FLIPS = ("s2_io_flip", "s1_io_flip", "s1_io_flip_s2_io_flip")
MIXED = {"random": 0.4} | dict.fromkeys(FLIPS, 0.2)
CLASSIFY_SEED, VERIFY_SEED, PAIRS = 1, 2, 120


def plant(
    spec: PlantSpec,
    seed: int,
    out: Path,
    vocabulary: list[str],
    code_files: Iterable[Path],
    fresh: Sampler,
    progress: Progress | None = None,
    steps: int | None = None,
) -> None:
    """Train, sort the edges, measure, and put the directory in its place by one rename."""
    work = out.parent / f".{out.name}.planting"
    ready = work / "model"
    code = code_hash(code_files)
    model = train(spec, seed, work / "checkpoint.pt", progress, steps, code)
    shutil.rmtree(ready, ignore_errors=True)
    save(model, vocabulary, ready)
    circuit = draft(spec, seed)
    circuit.code, circuit.steps = code, steps or spec.steps
    classify(circuit, Measure(load(ready), fresh(CLASSIFY_SEED, PAIRS, MIXED)))
    circuit.evidence = evidence(circuit, _measures(load(ready), fresh))
    circuit.write(ready / "circuit.json")
    if out.exists():
        os.replace(out, work / "old")
    os.replace(ready, out)
    shutil.rmtree(work)


def _measures(model: PlantedModel, fresh: Sampler, pairs: int = PAIRS) -> Fresh:
    """The model on fresh prompts: mixed, random and odd sources."""
    kinds = (MIXED, {"random": 1.0}, {"abc": 1.0})
    mixed, random, odd = (Measure(model, fresh(VERIFY_SEED + i, pairs, k)) for i, k in enumerate(kinds))
    alone = {
        kind: Measure(model, fresh(VERIFY_SEED + 3, pairs // 2, {kind: 1.0})) for kind in ("random", *FLIPS, "abc")
    }
    return Fresh(mixed, random, odd, alone)


def verify(directory: Path, fresh: Sampler, pairs: int = PAIRS) -> dict[str, Any]:
    """Measure the claim of a directory's circuit.json again from its weights."""
    content = (directory / "model.safetensors").read_bytes() + (directory / "circuit.json").read_bytes()
    return copy.deepcopy(_verified(directory, hash(content), fresh, pairs))


@lru_cache(maxsize=16)
def _verified(directory: Path, content: int, fresh: Sampler, pairs: int) -> dict[str, Any]:
    """The evidence of a directory with some content, kept so that a table after a check costs nothing."""
    return evidence(Circuit.read(directory / "circuit.json"), _measures(load(directory), fresh, pairs))


def table(directories: list[Path], fresh: Sampler) -> str:
    """Markdown of the evidence of several directories."""
    rows = {d.name: (Circuit.read(d / "circuit.json"), verify(d, fresh)) for d in directories}
    return markdown(rows)
