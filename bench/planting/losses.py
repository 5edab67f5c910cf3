"""The terms of the planting loss: behaviour, interchange and strictness (SIIT), attention, decoys, negative heads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.planting.model import Cut, PlantedModel, Run
from bench.planting.spec import Pairs, PlantSpec, Trial

NEGATIVE_MARGIN, DECOY_NORM, DECOY_CHANGE = 2.0, 1.4, 0.8


def loss(
    model: PlantedModel, spec: PlantSpec, pairs: Pairs, rng: np.random.Generator, done: float
) -> tuple[Tensor, dict]:
    """The whole loss of one step, and its parts for the log; `done` is the share of the first cycle that is behind.

    Behaviour enters late: early on, the whole model would find a shortcut before the mechanism is there.
    """
    clean = model(torch.cat([pairs.base, pairs.source]))
    labels = torch.cat([pairs.answer, pairs.source_answer])
    parts = {"behaviour": _surprise(clean.logits, labels)}
    parts["attention"] = attention(spec, pairs, clean)
    parts["decoy"] = decoys(spec, pairs, clean)
    parts |= {"intervened": torch.zeros(()), "negative": torch.zeros(())}
    if spec.trials:
        masked, plan = interventions(model, spec, pairs, clean, rng)
        parts |= intervention_losses(spec, pairs, clean, masked, plan)
    total = spec.behaviour * ramp(spec, done) * parts["behaviour"] + parts["intervened"]
    total = total + spec.attention * parts["attention"] + spec.decoy * parts["decoy"]
    total = total + spec.negative * parts["negative"]
    return total, {name: float(value.detach()) for name, value in parts.items()}


def ramp(spec: PlantSpec, done: float) -> float:
    """Behaviour's share of its weight when a share of the first cycle is behind."""
    first, last = spec.ramp
    return min(1.0, max(0.0, done - first) / (last - first)) if last > first else float(done >= first)


def _surprise(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of logits [rows, V] over the labels that are not -1; 0 where all are."""
    if bool((labels < 0).all()):
        return torch.zeros(())
    return F.cross_entropy(logits, labels, ignore_index=-1)


def gather(pairs: Pairs, name: str) -> Tensor:
    """A named position in the rows of the clean pass: bases, then sources; [2n]."""
    return torch.cat(pairs.positions[name])


def attention(spec: PlantSpec, pairs: Pairs, clean: Run) -> Tensor:
    """Mean surprise of the attention that the roles ask for, over prompts that have an answer and both positions."""
    answered = torch.cat([torch.ones_like(pairs.answer), pairs.source_answer >= 0]).bool()
    terms = []
    for name, look in ((name, look) for name, role in spec.roles.items() for look in role.looks):
        layer, head = (int(part[1:]) for part in name.split("."))
        start, end = (gather(pairs, at) for at in look)
        rows = (answered & (start >= 0) & (end >= 0)).nonzero()[:, 0]
        if len(rows):
            seen = clean.patterns[layer][rows, head, start[rows], end[rows]]
            terms.append(-seen.clamp_min(1e-4).log().mean())
    return torch.stack(terms).mean() if terms else torch.zeros(())


def written(spec: PlantSpec, clean: Run, nodes: tuple[str, ...], at: Tensor) -> Tensor:
    """Outputs [nodes, rows, d] at one position per row (position 0 where it is -1: the caller leaves those out)."""
    rows = torch.arange(len(at))
    return torch.stack([clean.outs[spec.graph.sources.index(name)][rows, at.clamp_min(0)] for name in nodes])


def norms(spec: PlantSpec, clean: Run, nodes: tuple[str, ...], at: Tensor) -> Tensor:
    """Mean output norms [nodes] at one position per row, over rows that have it."""
    return written(spec, clean, nodes, at).norm(dim=-1)[:, at >= 0].mean(1)


def decoys(spec: PlantSpec, pairs: Pairs, clean: Run) -> Tensor:
    """Decoys write at their position as much as required heads do there and at their own, and something that varies."""
    places: dict[str, list[str]] = {}
    for name in spec.nodes("inert"):
        if (place := spec.roles[name].place) is not None:
            places.setdefault(place, []).append(name)
    terms = [_decoys(spec, pairs, clean, tuple(names), place) for place, names in places.items()]
    return torch.stack(terms).mean() if terms else torch.zeros(())


def _decoys(spec: PlantSpec, pairs: Pairs, clean: Run, names: tuple[str, ...], place: str) -> Tensor:
    """:func:`decoys` for those at one place."""
    at, n = gather(pairs, place), len(pairs.base)
    there = at >= 0
    heads = [(name, spec.roles[name].place) for name in spec.nodes("required") if name.startswith("a")]
    if not heads:
        return torch.zeros(())
    with torch.no_grad():
        own = [norms(spec, clean, (h,), gather(pairs, p))[0] for h, p in heads if p is not None]
        same = norms(spec, clean, tuple(h for h, _ in heads), at)
        ref = torch.maximum(*(_median(x) for x in (same, torch.stack(own) if own else same)))
    if not (there.any() and ref > 0):
        return torch.zeros(())
    out = written(spec, clean, names, at)
    changed = (pairs.source_answer >= 0) & (pairs.source_answer != pairs.answer) & there[:n] & there[n:]
    size = F.relu(DECOY_NORM - out.norm(dim=-1)[:, there] / ref).mean()
    change = F.relu(DECOY_CHANGE - (out[:, :n] - out[:, n:]).norm(dim=-1)[:, changed] / ref)
    return size + (change.mean() if changed.any() else 0.0)


def _median(values: Tensor) -> Tensor:
    """The median of what is a number: heads whose position no prompt of the batch has are none."""
    return values[~values.isnan()].median() if not values.isnan().all() else torch.zeros(())


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
    local = rng.random(g) < [trial.local for trial in plan.trials]
    for i, trial in enumerate(plan.trials):
        rows = plan.pair[i * per : (i + 1) * per]
        for name in trial.nodes:
            column, role = spec.graph.sources.index(name), spec.roles.get(name)
            if local[i] and role is not None and role.position is not None:
                at, there = (positions[rows] for positions in pairs.positions[role.position])
                has = ((at >= 0) & (there >= 0)).nonzero()[:, 0]
                nodes[i, column, has, at[has]] = 1.0
                if not torch.equal(at, there):
                    shifted = clean.outs[column][len(pairs.base) :][rows[has], there[has]]
                    taken = taken.index_put((torch.tensor(i), torch.tensor(column), has, at[has]), shifted)
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
        if trial.nodes and set(trial.nodes) == set(spec.nodes("negative")) and plan.shares[i] == 0:
            changed = (pairs.source_answer[rows] >= 0) & (pairs.source_answer[rows] != pairs.answer[rows])
            hinge.append(F.relu(NEGATIVE_MARGIN - (cut_ld - base_ld)[at])[changed])
    crossed = _surprise(masked, torch.cat(labels))
    lifted = torch.cat(hinge) if hinge else torch.zeros(0)
    return {"intervened": crossed, "negative": lifted.mean() if len(lifted) else torch.zeros(())}


def _pick(logits: Tensor, tokens: Tensor) -> Tensor:
    """Logits [rows, V] at one token per row (the gather of nonsense tokens, -1, is the caller's to leave out)."""
    return logits[torch.arange(len(tokens)), tokens]
