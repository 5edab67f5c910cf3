"""A task's natural model: trained on the task alone, its circuit measured. The counterpart of `Planting`."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.engine import Engine
from bench.harness.opening import quiet
from bench.planting.evidence.circuit import Circuit
from bench.planting.evidence.planting import CLASSIFY_SEED, VERIFY_SEED, Planting
from bench.planting.evidence.shipped import shipped
from bench.planting.export import save
from bench.planting.natural import stored
from bench.planting.natural.effects import Ablation, Costs, Effects, measure
from bench.planting.natural.table import markdown
from bench.planting.natural.training import Schedule, train
from bench.planting.natural.truth import COST, NOTHING, edge_classes, node_roles
from bench.planting.spec import PlantSpec, Sampler
from bench.planting.train import Progress, code_hash, one_thread

VARIANT, EXAMPLES, LEAST, DRIFT = "natural", 480, 0.99, 4.0


@dataclass(frozen=True)
class NaturalPlanting:
    """The natural models beside a task's planted ones: of the same shape, on the same prompts.

    task: how its planted models are made. of: the planted variant whose shape and prompts are taken (None: the
    default one). schedule, curriculum: how to train. n: pairs on which each cut is measured.
    """

    task: Planting
    of: str | None = None
    schedule: Schedule = Schedule()
    curriculum: tuple[Sampler, ...] = ()
    n: int = EXAMPLES

    def spec(self) -> PlantSpec:
        """Shape, sampler and checks; nothing else of the planted spec is looked at."""
        return self.task.spec_of(0, self.of)

    def code_files(self) -> list[Path]:
        """The files that make a model; their hash is recorded in its circuit.json."""
        own = [path for path in [self.task.here / "natural.py"] if path.is_file()]
        return [*self.task.code_files(), *own, Path(__file__).parent / "training.py"]

    def shipped(self) -> dict[int, Path]:
        """Directories of the shipped models by seed."""
        return shipped(self.task.here, VARIANT)

    def plant(self, seed: int, out: Path, progress: Progress | None = None) -> None:
        """Train the model of a seed, measure its circuit, and write both to the directory `out`, whole or not at all.

        A call that was killed goes on from its last checkpoint, beside `out`.
        """
        spec, code, out = self.spec(), code_hash(self.code_files()), Path(out)
        work = out.parent / f".{out.name}.planting"
        ready = work / "model"
        model, steps = train(spec, seed, work / "checkpoint.pt", self.schedule, progress, code, self.curriculum)
        shutil.rmtree(ready, ignore_errors=True)
        save(model, self.task.vocabulary(), ready)
        found = self.measure(ready, CLASSIFY_SEED)
        stored.write(ready / stored.NAME, found)
        circuit = measured(spec, seed, list(found.values()))
        circuit.code, circuit.steps = code, steps
        circuit.evidence = self._evidence(circuit, ready, found)
        circuit.write(ready / "circuit.json")
        if out.exists():
            os.replace(out, work / "old")
        os.replace(ready, out)
        shutil.rmtree(work)

    def ablations(self, directory: Path, seed: int, n: int | None = None) -> dict[str, Ablation]:
        """The model of a directory on fresh pairs, by setting."""
        quiet()
        checks, engine = self.spec().checks, Engine.load(directory)
        settings = checks.settings or {"mixed": checks.mixed}
        return {name: Ablation(engine, self._fresh(seed, kinds, n or self.n)) for name, kinds in settings.items()}

    def measure(self, directory: Path, seed: int, edges: bool = True, n: int | None = None) -> dict[str, Effects]:
        """All costs in a directory's model, by setting."""
        with one_thread():
            return {name: measure(a, edges) for name, a in self.ablations(directory, seed, n).items()}

    def _fresh(self, seed: int, kinds: dict[str, float], n: int) -> list[Any]:
        """About n pairs, all lengths alike."""
        lengths = len(self.task.fresh(seed, 1, kinds))
        return self.task.fresh(seed, math.ceil(n / lengths), kinds)

    def _evidence(self, circuit: Circuit, directory: Path, found: dict[str, Effects]) -> dict[str, Any]:
        """What the claim rests on; figures of single edges and pairs are in effects.csv."""
        with one_thread():
            figures = {name: self._setting(circuit, a, found[name]) for name, a in self._again(directory).items()}
        return {
            "truth": "ablation",
            "ablation": "resample",
            "thresholds": {"cost": COST, "nothing": NOTHING},
            "settings": figures,
            "failed": failures(figures),
        }

    def _again(self, directory: Path) -> dict[str, Ablation]:
        return self.ablations(directory, VERIFY_SEED)

    def _setting(self, circuit: Circuit, ablation: Ablation, claim: Effects) -> dict[str, Any]:
        """Figures of one setting: the nodes' costs as claimed, and the rest on prompts that the claim did not see."""
        again = ablation.costs(ablation.nodes([(node,) for node in claim.nodes]))
        free = ablation.costs(ablation.nodes([circuit.by_role("free")]))
        out = ablation.costs(ablation.together(circuit.edges["out"]))
        return {
            "n": claim.n,
            "accuracy": round(float(ablation.whole.right.mean()), 4),
            "margin": round(float(ablation.whole.margin.mean()), 4),
            "margin_everything_cut": round(float(ablation.gone.margin.mean()), 4),
            "free_nodes_together": _named(free, 0),
            "out_edges_together": _named(out, 0),
            "largest_drift": round(float(drift(claim.node, again, claim.n).max()), 2),
            "nodes": {node: _named(claim.node, i) for i, node in enumerate(claim.nodes)},
        }

    def verify(self, directory: Path) -> dict[str, Any]:
        """The evidence of a shipped model, measured again: single nodes, and what is claimed to do nothing together."""
        circuit = Circuit.read(Path(directory) / "circuit.json")
        return self._evidence(circuit, Path(directory), stored.read(Path(directory) / stored.NAME))

    def table(self, directories: Iterable[Path]) -> str:
        """Markdown of the evidence of several directories, measured again."""
        found = [(Circuit.read(Path(d) / "circuit.json"), self.verify(Path(d))) for d in directories]
        return markdown(found)


def measured(spec: PlantSpec, seed: int, settings: list[Effects]) -> Circuit:
    """The circuit that the costs say; a natural model's nodes carry no variable of ours."""
    roles = node_roles(settings)
    nodes: dict[str, dict[str, str | None]] = {
        name: {"role": role, "variable": None, "position": None} for name, role in roles.items()
    }
    return Circuit(spec.task, seed, nodes, edge_classes(settings), {}, variant=VARIANT)


def drift(claim: Costs, again: Costs, n: int) -> np.ndarray:
    """How far two measurements of the same costs [k] lie apart, in standard errors (of 1 / n at least)."""
    gaps = []
    for value, se in (("accuracy", "accuracy_se"), ("margin", "margin_se")):
        spread = np.hypot(getattr(claim, se), getattr(again, se))
        gaps.append(np.abs(getattr(claim, value) - getattr(again, value)) / np.maximum(spread, 1 / n))
    return np.maximum(*gaps)


def failures(figures: dict[str, dict[str, Any]]) -> list[str]:
    """What falls short: a model that has not learnt the task, or costs that other prompts do not give again."""
    failed = [f"accuracy, {name}" for name, found in figures.items() if not found["accuracy"] >= LEAST]
    return failed + [f"drift, {name}" for name, found in figures.items() if not found["largest_drift"] <= DRIFT]


def _named(costs: Costs, i: int) -> dict[str, float]:
    return {field: round(float(values[i]), 4) for field, values in zip(Costs._fields, costs, strict=True)}
