"""On target and off target: what setting the decision, or cutting each kind of node, does to hallucinations and to
plain recall and plain copying, measured on planted models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.planting.evidence.circuit import Circuit
from bench.planting.evidence.measure import Measure
from bench.planting.evidence.planting import PAIRS, Planting
from bench.planting.export import load
from bench.planting.spec import Pairs
from bench.planting.train import one_thread
from tasks.hallucination.plant_prompts import sample, serves, vocabulary
from tasks.hallucination.templates import (
    CONFLICT,
    CONTEXT,
    COPY,
    MEMORY,
    PLANTED_TEMPLATES,
    PREMISE,
    RECALL,
    TEMPLATES,
)

SEED = 7
SWITCHED = 4
"""How many of the first parts have another source to switch to."""
GROUPS = {"copying heads": "C", "memory nodes": "M", "false-premise heads": "F", "deciding nodes": "G"}
PARTS = {
    "conflict, answered from the text": (CONFLICT, CONTEXT),
    "conflict, hallucinated (from memory)": (CONFLICT, MEMORY),
    "false premise, hallucinated (followed)": (PREMISE, PREMISE),
    "false premise, denied by the cue (from memory)": (PREMISE, MEMORY),
    "plain recall": (RECALL, MEMORY),
    "plain copying": (COPY, CONTEXT),
}
"""Prompts by what the generator says of them: setting and source of the answer."""


def pairs(kind: str, n: int = PAIRS, seed: int = SEED) -> list[Pairs]:
    """n pairs of a kind for each template that serves it, from random numbers that no training reads."""
    names = [name for name in PLANTED_TEMPLATES if serves(name, kind)]
    streams = [np.random.default_rng([seed, PLANTED_TEMPLATES.index(name), 2**32]) for name in names]
    return [sample(rng, n, {kind: 1.0}, name) for rng, name in zip(streams, names, strict=True)]


def decided(found: Pairs, source: str) -> Tensor:
    """Whether a base's cue decides for ``source``, ``[n]`` bool; read off the token at CUE."""
    cues = {cue.split()[-1] for name in PLANTED_TEMPLATES for cue in TEMPLATES[name].cues.get(source, ())}
    ids = torch.tensor([i for i, word in enumerate(vocabulary()) if word in cues])
    rows = torch.arange(len(found.base))
    return torch.isin(found.base[rows, found.positions["CUE"][0]], ids)


def switched(circuit: Circuit, measure: Measure, source: str) -> float:
    """Share of prompts that ``source`` answers which give the other source's answer once the deciding nodes are set.

    ``measure`` holds pairs whose sources differ from their bases in the cue alone.
    """
    entry = circuit.variables["G"]
    logits = measure.logits(entry["nodes"], places=dict.fromkeys(entry["nodes"], entry["position"]))
    hits = [(x.argmax(-1) == p.targets["G"])[decided(p, source)] for x, p in zip(logits, measure.pairs, strict=True)]
    return float(torch.cat(hits).double().mean())


def kept(circuit: Circuit, measure: Measure, source: str, variable: str | None, ablation: str) -> float:
    """Share of prompts that ``source`` answers which keep it with a variable's nodes, and all backups, cut."""
    nodes = () if variable is None else (*circuit.variables[variable]["nodes"], *circuit.by_role("backup"))
    logits = measure.logits(nodes, ablation=ablation)
    hits = [(x.argmax(-1) == p.answer)[decided(p, source)] for x, p in zip(logits, measure.pairs, strict=True)]
    return float(torch.cat(hits).double().mean())


def effects(directory: Path, n: int = PAIRS) -> dict[str, float]:
    """All figures of a planted model, by what they say."""
    circuit, model = Circuit.read(directory / "circuit.json"), load(directory)
    found: dict[str, float] = {}
    for part, (setting, source) in list(PARTS.items())[:SWITCHED]:
        found[part] = switched(circuit, Measure(model, pairs(f"{setting}_cue", n)), source)
    measures = {setting: Measure(model, pairs(setting, n)) for setting in (CONFLICT, PREMISE, RECALL, COPY)}
    cuts: list[tuple[str, str | None, str]] = [("nothing cut", None, "resample")]
    cuts += [(f"{group} {how}", name, how) for how in ("resample", "zero") for group, name in GROUPS.items()]
    for part, (setting, source) in PARTS.items():
        for label, variable, how in cuts:
            found[f"{part}: {label}"] = kept(circuit, measures[setting], source, variable, how)
    return found


@dataclass(frozen=True)
class WithEffects(Planting):
    """Planted models whose evidence also says what interventions do on target and off target."""

    def verify(self, directory: Path, pairs: int = PAIRS) -> dict[str, Any]:
        """See :class:`Planting`; ``effects`` are :func:`effects`."""
        figures = super().verify(directory, pairs)
        with one_thread():
            return {**figures, "effects": effects(Path(directory), pairs)}

    def details(self, found: Mapping[Path, dict[str, Any]]) -> str:
        """See :class:`Planting`."""
        return super().details(found) + section({path.name: figures["effects"] for path, figures in found.items()})


def section(models: Mapping[str, Mapping[str, float]]) -> str:
    """Effects by model as Markdown, with a line per figure and a column per model."""
    names = list(next(iter(models.values()), {}))
    lines = [[name, *(f"{figures[name]:.3f}" for figures in models.values())] for name in names]
    return f"""
## On target and off target

The deciding nodes taken from a prompt that differs in the cue alone: share of prompts that then give the other source's
answer (on target: of the hallucinations, those that stop).

{_table(["deciding nodes set to the other source", *models], lines[:SWITCHED])}

Nodes of one kind, and all backups, cut: share of prompts that keep the answer that the generator says. Plain recall and
plain copying are off target. Resampled: from another prompt of the same setting, whose cue may decide otherwise; zero:
nothing is written.

{_table(["nodes cut", *models], lines[SWITCHED:])}
"""


def _table(head: list[str], lines: list[list[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
