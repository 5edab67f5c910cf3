"""The double dissociation of recall and reasoning on a model: each circuit's own nodes cut, in equal doses.

A dose is a number of nodes: as many of each circuit as the smallest has (a larger one stands for by subsets of that
size, outcomes averaged), and as many of neither, for control. Cut nodes carry what they do on the counterfactual
`random`, the same question about other words: it says nothing of the answer, so that what is lost leads to chance, .5
between the answer and the wrong one. Sets of as many nodes need not write as much: the norm of what each writes and
loses stands beside the figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data import Batch, batches
from bench.engine import Engine
from bench.engine.sources import written_delta
from bench.planting.evidence.circuit import Circuit
from bench.scoring.dissociation import Dissociation, Figure, dissociation, drops, matched_sets
from bench.task import DataRequest
from tasks.recall_reasoning.task import RecallReasoning
from tasks.recall_reasoning.templates import MODES

Floats = NDArray[np.float64]
CHANCE, CONTROL, COUNTERFACTUAL = (0.5, 0.5), "neither", "random"


@dataclass(frozen=True)
class Report:
    """What cutting nodes does. nodes: how many at once. accuracy: of recall and reasoning, with nothing cut.

    control: drops of recall and reasoning with as many nodes of neither circuit cut; None where there are too few.
    norms: by circuit, how much less a set writes: norm over positions and dimensions, mean over prompts and sets.
    """

    found: Dissociation
    nodes: int
    accuracy: tuple[float, float]
    control: tuple[float, float] | None
    norms: Mapping[str, float]


def report(
    engine: Engine, rows: Sequence[dict[str, Any]], own: Mapping[str, Sequence[str]], others: Sequence[str] = ()
) -> Report:
    """Measure rows in matched pairs (a split of the task, both modes).

    own: by mode, the nodes of that circuit which the other does not share. others: nodes of neither circuit.
    Raises ValueError where the rows are not in pairs.
    """
    by_mode = [[row for row in rows if row["values"]["mode"] == mode] for mode in MODES]
    clusters = [row["cluster"] for row in by_mode[0]]
    if [row["cluster"] for row in by_mode[1]] != clusters:
        raise ValueError("the rows are not in matched pairs; build the task with task.mode=both")
    size = min(len(own[mode]) for mode in MODES)
    parts = {mode: own[mode] for mode in MODES} | ({CONTROL: others} if len(others) >= size else {})
    sets = matched_sets(parts)
    found = [next(batches(part, COUNTERFACTUAL, len(part), engine.pad_id)) for part in by_mode]
    right = {name: np.stack([_right(engine, batch, chosen) for batch in found], 1) for name, chosen in sets.items()}
    intact = np.stack([_right(engine, batch, [()]) for batch in found], 1)
    ablated = np.stack([right[mode] for mode in MODES], 1)
    control = _pair(drops(intact, right[CONTROL][:, None], CHANCE)[0, 0]) if CONTROL in right else None
    norms = {name: float(np.mean([_norms(engine, batch, chosen) for batch in found])) for name, chosen in sets.items()}
    judged = dissociation(intact, ablated, CHANCE, clusters)
    return Report(judged, size, _pair(intact.mean(axis=0)), control, norms)


def planted(directory: Path) -> Report:
    """The report of a planted model, on the test split of the task."""
    engine, circuit = Engine.load(directory), Circuit.read(Path(directory) / "circuit.json")
    shared = circuit.groups["shared"]
    own = {mode: [node for node in circuit.groups[mode] if node not in shared] for mode in MODES}
    rows = list(RecallReasoning().build(engine.tokenizer, DataRequest()).split("test"))
    return report(engine, rows, own, circuit.by_role("free", "inert"))


def table(directories: Iterable[Path]) -> str:
    """The reports of planted models as Markdown."""
    reports = {Path(d).name: planted(Path(d)) for d in directories}
    cells = [_cells(found) for found in reports.values()]
    rows = [["figure", *reports], ["---"] * (len(reports) + 1)]
    rows += [[label, *(column[label] for column in cells)] for label in (cells[0] if cells else ())]
    return f"\n## Double dissociation\n{_ABOUT}\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _pair(values: Floats) -> tuple[float, float]:
    """Figures of recall and reasoning."""
    return float(values[0]), float(values[1])


def _right(engine: Engine, batch: Batch, sets: Sequence[Sequence[str]]) -> Floats:
    """Share of the sets with which cut the answer stays above the wrong one, ``[B]``."""

    def read(logits: Tensor) -> Tensor:
        times = len(logits) // len(batch)
        rows = torch.arange(len(logits))
        return (logits[rows, batch.answer.repeat(times)] > logits[rows, batch.wrong.repeat(times)]).double()

    return engine.patch_sets(batch.clean, engine.sources(batch.corrupt), sets, read).double().mean(dim=0).numpy()


def _norms(engine: Engine, batch: Batch, sets: Sequence[Sequence[str]]) -> float:
    """Norm of what the sets write less on the counterfactual prompt, mean over prompts and sets."""
    change = written_delta(engine.sources(batch.corrupt), engine.sources(batch.clean))
    writes: dict[str, Tensor] = {}
    for layer, mlp in enumerate(change.mlp):
        heads = torch.einsum("bthk,hkd->hbtd", change.z[layer], engine.wiring.w_out(layer))
        writes |= {f"a{layer}.h{i}": head for i, head in enumerate(heads)} | {f"m{layer}": mlp}
    sums = [torch.stack([writes[name] for name in nodes]).sum(dim=0) for nodes in sets]
    return float(np.mean([total.flatten(1).norm(dim=1).mean().item() for total in sums]))


def _cells(report: Report) -> dict[str, str]:
    """A report's figures by what they are called."""
    out = {"nodes cut at once": str(report.nodes)}
    for accuracy, mode in zip(report.accuracy, MODES, strict=True):
        out[f"accuracy of {mode}, nothing cut"] = f"{accuracy:.3f}"
    for c, cut in enumerate(MODES):
        for t, mode in enumerate(MODES):
            out[f"drop of {mode}, {cut} cut"] = _show(report.found.drops[c][t])
        out[f"S, {cut} cut"] = _show(report.found.selectivity[c])
    for drop, mode in zip(report.control or (), MODES, strict=bool(report.control)):
        out[f"drop of {mode}, as many of neither cut"] = f"{drop:.2f}"
    out["interaction"] = _show(report.found.interaction)
    out["p of the interaction"] = f"{report.found.p_interaction:.4f}"
    out["p of the double dissociation"] = f"{report.found.p_double:.4f}"
    return out | {f"norm of what is cut, {name}": f"{size:.2f}" for name, size in report.norms.items()}


def _show(figure: Figure) -> str:
    return figure.reason or f"{figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f})"


_ABOUT = """
On the task's test split, with the engine. Nodes that serve one circuit alone are cut, as many of each as the smaller
circuit has (of the larger, subsets of that size, averaged); cut nodes carry what they do on the counterfactual
`random`. Drops are shares of the way to chance (.5 between the two answers). S is 1 where recall alone is lost, -1
where reasoning alone is; the interaction is 1 where each circuit takes its own question to chance and spares the
other. In brackets 95 % intervals over clusters; p by exchanging the two questions within matched pairs, whole clusters
at once.
"""
