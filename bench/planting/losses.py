"""The terms of the planting loss: behaviour, interchange and strictness (SIIT), attention, decoys, negative heads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.planting.model import Cut, PlantedModel, Run
from bench.planting.spec import Pairs, PlantSpec, Trial

ATTENTION, DECOY, NEGATIVE = 2.0, 0.3, 0.3
NEGATIVE_MARGIN, DECOY_NORM, DECOY_CHANGE = 2.0, 1.4, 0.8


def loss(
    model: PlantedModel, spec: PlantSpec, pairs: Pairs, rng: np.random.Generator, done: float
) -> tuple[Tensor, dict]:
    """The whole loss of one step, and its parts for the log; `done` is the share of the first cycle that is behind.

    Behaviour enters late: early on, the whole model would find a shortcut before the mechanism is there.
    """
    clean = model(torch.cat([pairs.base, pairs.source]))
    labels = torch.cat([pairs.answer, pairs.source_answer])
    parts = {"behaviour": F.cross_entropy(clean.logits, labels, ignore_index=-1)}
    parts["attention"] = attention(spec, pairs, clean)
    parts["decoy"] = decoys(spec, pairs, clean)
    masked, plan = interventions(model, spec, pairs, clean, rng)
    parts |= intervention_losses(spec, pairs, clean, masked, plan)
    total = min(1.0, 2.0 * max(0.0, done - 0.25)) * parts["behaviour"] + parts["intervened"]
    total = total + ATTENTION * parts["attention"] + DECOY * parts["decoy"] + NEGATIVE * parts["negative"]
    return total, {name: float(value.detach()) for name, value in parts.items()}


def gather(pairs: Pairs, name: str) -> Tensor:
    """A named position in the rows of the clean pass: bases, then sources; [2n]."""
    return torch.cat(pairs.positions[name])


def attention(spec: PlantSpec, pairs: Pairs, clean: Run) -> Tensor:
    """Mean surprise of the attention that the roles ask for, over prompts that have an answer."""
    rows = torch.cat([torch.ones_like(pairs.answer), pairs.source_answer >= 0]).bool().nonzero()[:, 0]
    terms = []
    for name, role in spec.roles.items():
        if role.attends is None:
            continue
        layer, head = (int(part[1:]) for part in name.split("."))
        start, end = (gather(pairs, at)[rows] for at in role.attends)
        terms.append(-clean.patterns[layer][rows, head, start, end].clamp_min(1e-4).log().mean())
    return torch.stack(terms).mean() if terms else torch.zeros(())


def norms(spec: PlantSpec, clean: Run, nodes: tuple[str, ...], at: Tensor) -> Tensor:
    """Output norms [nodes, rows] at one position per row."""
    return written(spec, clean, nodes, at).norm(dim=-1)


def written(spec: PlantSpec, clean: Run, nodes: tuple[str, ...], at: Tensor) -> Tensor:
    """Outputs [nodes, rows, d] at one position per row."""
    rows = torch.arange(len(at))
    return torch.stack([clean.outs[spec.graph.sources.index(name)][rows, at] for name in nodes])


def decoys(spec: PlantSpec, pairs: Pairs, clean: Run) -> Tensor:
    """Decoys write at END at least as much as required heads do where they matter, and something that varies."""
    names = spec.nodes("inert")
    if not names:
        return torch.zeros(())
    end, n = gather(pairs, "END"), len(pairs.base)
    heads = [name for name in spec.nodes("required") if name.startswith("a")]
    with torch.no_grad():
        own = torch.stack([norms(spec, clean, (h,), gather(pairs, spec.roles[h].position or "END"))[0] for h in heads])
        ref = torch.maximum(norms(spec, clean, tuple(heads), end).mean(1).median(), own.mean(1).median())
    out = written(spec, clean, names, end)
    changed = (pairs.source_answer >= 0) & (pairs.source_answer != pairs.answer)
    size = F.relu(DECOY_NORM - out.norm(dim=-1) / ref).mean()
    change = F.relu(DECOY_CHANGE - (out[:, :n] - out[:, n:]).norm(dim=-1)[:, changed] / ref)
    return size + (change.mean() if changed.any() else 0.0)


@dataclass
class Plan:
    """Which pair each row of the masked pass takes, and each group's trial and share of outside edges cut."""

    pair: Tensor
    trials: list[Trial]
    shares: list[float]

    @property
    def per(self) -> int:
        """Rows per group."""
        return len(self.pair) // len(self.trials)


def interventions(
    model: PlantedModel, spec: PlantSpec, pairs: Pairs, clean: Run, rng: np.random.Generator
) -> tuple[Tensor, Plan]:
    """Draw a trial per group, run all groups in one masked pass; the logits [rows, V] and what was drawn."""
    n, g = len(pairs.base), spec.groups
    order = np.concatenate([rng.permutation(n), rng.permutation(n)])
    odds = np.array([trial.probability for trial in spec.trials])
    chosen = [spec.trials[i] for i in rng.choice(len(odds), g, p=odds / odds.sum())]
    shares = [_share(trial, rng) for trial in chosen]
    plan = Plan(torch.from_numpy(order), chosen, shares)
    return model.masked(pairs.base[plan.pair], _cut(spec, pairs, clean, plan, rng)), plan


def _share(trial: Trial, rng: np.random.Generator) -> float:
    """The share of outside edges to cut: mostly all, so that shortcuts never pay; at times a share, or none."""
    u, share = rng.random(2)
    if not trial.outside or (trial.nodes and u < 0.25):
        return 0.0
    return 1.0 if u < 0.75 else float(share)


def _cut(spec: PlantSpec, pairs: Pairs, clean: Run, plan: Plan, rng: np.random.Generator) -> Cut:
    """The cut of a plan: outside edges at random, the trial's nodes at their own position or everywhere."""
    g, per, size = len(plan.trials), plan.per, pairs.base.shape[1]
    n_src, d = len(spec.graph.sources), spec.shape.d_model
    taken = torch.stack([out[len(pairs.base) :][plan.pair].view(g, per, size, d) for out in clean.outs], 1)
    outside = spec.outside
    draws = torch.from_numpy(rng.random((g, *outside.shape), dtype=np.float32))
    edges = outside * (draws < torch.tensor(plan.shares)[:, None, None])
    nodes = torch.zeros(g, n_src, per, size)
    local = rng.random(g) < 0.5
    for i, trial in enumerate(plan.trials):
        rows = plan.pair[i * per : (i + 1) * per]
        for name in trial.nodes:
            column, position = spec.graph.sources.index(name), spec.roles[name].position
            if local[i] and position is not None:
                nodes[i, column].scatter_(1, pairs.positions[position][0][rows][:, None], 1.0)
            else:
                nodes[i, column] = 1.0
    return Cut(taken, edges, nodes)


def intervention_losses(spec: PlantSpec, pairs: Pairs, clean: Run, masked: Tensor, plan: Plan) -> dict[str, Tensor]:
    """Cross-entropy against each trial's target, and the hinge that makes cutting a negative head help."""
    labels, hinge = [], []
    base_ld = (_pick(clean.logits, pairs.answer) - _pick(clean.logits, pairs.wrong))[plan.pair]
    cut_ld = _pick(masked, pairs.answer[plan.pair]) - _pick(masked, pairs.wrong[plan.pair])
    for i, trial in enumerate(plan.trials):
        at = slice(i * plan.per, (i + 1) * plan.per)
        rows = plan.pair[at]
        labels.append((pairs.answer if trial.target == "base" else pairs.targets[trial.target])[rows])
        if trial.nodes and trial.nodes == spec.nodes("negative") and plan.shares[i] == 0:
            changed = (pairs.source_answer[rows] >= 0) & (pairs.source_answer[rows] != pairs.answer[rows])
            hinge.append(F.relu(NEGATIVE_MARGIN - (cut_ld - base_ld)[at])[changed])
    crossed = F.cross_entropy(masked, torch.cat(labels), ignore_index=-1)
    lifted = torch.cat(hinge) if hinge else torch.zeros(0)
    return {"intervened": crossed, "negative": lifted.mean() if len(lifted) else torch.zeros(())}


def _pick(logits: Tensor, tokens: Tensor) -> Tensor:
    """Logits [rows, V] at one token per row (the gather of nonsense tokens, -1, is the caller's to leave out)."""
    return logits[torch.arange(len(tokens)), tokens]
