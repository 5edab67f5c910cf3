"""The evidence: what each role and each edge class of a claim asks for, measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.planting.evidence.circuit import Circuit
from bench.planting.evidence.measure import ABLATIONS, Measure
from bench.planting.spec import PlantSpec

LEAST, NODE_COST, EDGE_COST, LIFT, CHANCE = 0.98, 0.10, 0.05, 0.5, 0.1


@dataclass
class Fresh:
    """Fresh pairs for one model, by what a spec's checks call them.

    `odd` is None where no source lacks an answer. settings: what nodes and edges may show their cost on. kinds:
    smaller sets of each kind by itself. bounds: of each accuracy that is asked for beside the others.
    """

    mixed: Measure
    control: Measure
    odd: Measure | None
    settings: dict[str, Measure]
    kinds: dict[str, Measure]
    bounds: dict[str, Measure]


def classify(circuit: Circuit, settings: Mapping[str, Measure]) -> dict[str, float]:
    """Sort a draft's undetermined edges in place: `in` where cutting costs enough; each edge's cost in accuracy.

    With all `out` edges and every backup node cut, an edge is `in` when cutting it too costs .05 of accuracy in one
    of the settings.
    """
    edges = circuit.edges["in"] + circuit.edges["undetermined"]
    costs = _largest(edge_costs(circuit, m, edges) for m in settings.values())
    found = {edge for edge, cost in costs.items() if cost >= EDGE_COST}
    graph = next(iter(settings.values())).graph
    circuit.edges["in"] = [edge for edge in graph.edges if edge in found]
    circuit.edges["undetermined"] = [edge for edge in graph.edges if edge in costs and edge not in found]
    return costs


def _largest(costs: Iterable[dict[str, float]]) -> dict[str, float]:
    """Name by name, the largest of several costs."""
    out: dict[str, float] = {}
    for part in costs:
        out = {name: max(cost, out.get(name, cost)) for name, cost in part.items()}
    return out


def edge_costs(circuit: Circuit, measure: Measure, edges: list[str], ablation: str = "resample") -> dict[str, float]:
    """What cutting each edge costs in accuracy when all `out` edges and every backup node are cut already."""
    out, backups = circuit.edges["out"], circuit.by_role("backup")
    before = measure.accuracy(measure.logits(backups, out, ablation=ablation))
    return {e: before - measure.accuracy(measure.logits(backups, [*out, e], ablation=ablation)) for e in edges}


def node_costs(circuit: Circuit, measure: Measure, ablation: str = "resample") -> dict[str, float]:
    """What cutting each required node costs in accuracy when every backup node is cut already."""
    backups = circuit.by_role("backup")
    before = measure.accuracy(measure.logits(backups, ablation=ablation))
    cut = {n: measure.logits([n, *backups], ablation=ablation) for n in circuit.by_role("required")}
    return {name: before - measure.accuracy(logits) for name, logits in cut.items()}


def evidence(circuit: Circuit, spec: PlantSpec, fresh: Fresh) -> dict[str, Any]:
    """All figures of a claim; `failed` lists what falls short, and is empty for a model that is accepted."""
    figures = _chances(spec, fresh)
    figures["accuracy"] = fresh.mixed.accuracy()
    figures |= _variables(circuit, spec, fresh.mixed)
    figures |= _strictness(circuit, fresh)
    figures |= _roles(circuit, spec, fresh)
    figures |= _decoys(circuit, spec, fresh.control)
    for ablation in ABLATIONS:
        figures[ablation] = _ablation(circuit, fresh, ablation)
    figures |= _by_kind(circuit, fresh)
    if spec.checks.bounds:
        figures["bounds"] = {name: m.accuracy() for name, m in fresh.bounds.items()}
    figures["failed"] = failures(circuit, spec, figures)
    return _rounded(figures)


def _chances(spec: PlantSpec, fresh: Fresh) -> dict[str, Any]:
    """How many pairs, and what guessing gives."""
    answers = {int(a) for p in fresh.mixed.pairs for a in p.answer}
    expected = spec.checks.vocabulary_chance
    return {
        "n": sum(len(p.base) for p in fresh.mixed.pairs),
        "chance_pair": spec.checks.pair_chance,
        "chance_answers": 1 / len(answers) if expected is None else expected,
        "chance_vocabulary": 1 / fresh.mixed.model.shape.vocab,
    }


def chains(circuit: Circuit, spec: PlantSpec) -> tuple[tuple[str, str], ...]:
    """Pairs of variables for the joint test."""
    names = list(circuit.variables)
    return tuple(zip(names, names[1:], strict=False)) if spec.checks.chains is None else spec.checks.chains


def movers(circuit: Circuit, spec: PlantSpec) -> tuple[str, ...]:
    """Nodes to judge with the backups intact and cut."""
    if spec.checks.movers is not None:
        return spec.checks.movers
    last = list(circuit.variables.values())[-1:]
    return tuple(last[0]["nodes"]) if last and circuit.by_role("backup") else ()


def _places(circuit: Circuit, nodes: Iterable[str]) -> dict[str, str | None]:
    return {name: circuit.nodes[name]["position"] for name in nodes}


def _variables(circuit: Circuit, spec: PlantSpec, measure: Measure) -> dict[str, Any]:
    """Interchange accuracy of each variable at its nodes' positions, and the joint test of each chain."""
    figures: dict[str, Any] = {}
    for name, entry in circuit.variables.items():
        logits = measure.logits(entry["nodes"], places=_places(circuit, entry["nodes"]))
        figures[f"interchange_{name}"] = measure.interchange(logits, name)
    for first, second in chains(circuit, spec):
        nodes, back = (circuit.variables[name]["nodes"] for name in (first, second))
        logits = measure.logits(nodes, places=_places(circuit, nodes), restore=back)
        figures[f"joint_{first}_{second}_restored"] = measure.restored(logits, first)
    return figures


def _strictness(circuit: Circuit, fresh: Fresh) -> dict[str, float]:
    """Accuracy and interchange accuracies with all inert and free nodes, or all `out` edges, resampled at once."""
    figures: dict[str, float] = {}
    idle, out = circuit.by_role("inert", "free"), circuit.edges["out"]
    for label, nodes, edges in (("idle_nodes", idle, []), ("out_edges", (), out)):
        figures[f"{label}_accuracy"] = fresh.mixed.accuracy(fresh.mixed.logits(nodes, edges))
        if fresh.odd is not None:
            figures[f"{label}_odd_accuracy"] = fresh.odd.accuracy(fresh.odd.logits(nodes, edges))
        for name, entry in circuit.variables.items():
            edges_too = edges or _edges_from(fresh.mixed, nodes)
            logits = fresh.mixed.logits(entry["nodes"], edges_too, _places(circuit, entry["nodes"]))
            figures[f"{label}_interchange_{name}"] = fresh.mixed.interchange(logits, name)
    return figures


def _edges_from(measure: Measure, nodes: tuple[str, ...]) -> list[str]:
    """All edges out of some nodes: cutting them is cutting the nodes."""
    return [edge for edge in measure.graph.edges if edge.split("->")[0] in nodes]


def _roles(circuit: Circuit, spec: PlantSpec, fresh: Fresh) -> dict[str, Any]:
    """What negative heads and backups do, where there are any."""
    m, figures = fresh.mixed, {}
    before = _mean(m.difference())
    for name in circuit.by_role("negative"):
        logits = m.logits([name])
        figures[f"negative_{name}_lift"] = _mean(m.difference(logits)) - before
        figures[f"negative_{name}_cut_accuracy"] = m.accuracy(logits)
    if backups := circuit.by_role("backup"):
        figures["backups_cut_accuracy"] = m.accuracy(m.logits(backups))
    for name in movers(circuit, spec):
        figures[f"{name}_cut_backup_intact_accuracy"] = m.accuracy(m.logits([name]))
        figures[f"{name}_cut_backup_cut_accuracy"] = m.accuracy(m.logits([name, *backups]))
    return figures


def _mean(values: list[Any]) -> float:
    return statistics.fmean(float(x) for entry in values for x in entry)


def _decoys(circuit: Circuit, spec: PlantSpec, m: Measure) -> dict[str, float]:
    """Attention and output norm of decoys where they look, beside the median required head's; how much they vary.

    Of decoys that look at different places the least stands beside the largest median.
    """
    required = [name for name in circuit.by_role("required") if name.startswith("a")]
    decoys = circuit.by_role("inert")
    paths = {d: path for d in decoys if (path := spec.roles[d].attends) is not None}
    places = {d: place for d in decoys if (place := spec.roles[d].place) is not None}
    own = {name: place for name in required if (place := spec.roles[name].place) is not None}
    figures = {}
    if paths and required:
        figures["decoy_attention_least"] = min(m.attention(name, *path) for name, path in paths.items())
        medians = [statistics.median(m.attention(h, *path) for h in required) for path in dict.fromkeys(paths.values())]
        figures["required_attention_median"] = max(medians)
    if places and own:
        figures["decoy_norm_least"] = min(m.norm(name, place) for name, place in places.items())
        medians = [statistics.median(m.norm(h, place) for h in required) for place in dict.fromkeys(places.values())]
        figures["required_norm_median"] = max(medians)
        figures["required_norm_at_own_position_median"] = statistics.median(m.norm(*item) for item in own.items())
        figures["decoy_change_least"] = min(m.change(name, place) for name, place in places.items())
        figures["required_change_median"] = statistics.median(m.change(*item) for item in own.items())
    return figures


def _ablation(circuit: Circuit, fresh: Fresh, ablation: str) -> dict[str, Any]:
    """Costs of nodes and edges, and the accuracies of the rest alone and of the circuit cut, under one ablation."""
    m, control, backups = fresh.mixed, fresh.control, circuit.by_role("backup")
    nodes = _largest(node_costs(circuit, setting, ablation) for setting in fresh.settings.values())
    edges = _largest(edge_costs(circuit, s, circuit.edges["in"], ablation) for s in fresh.settings.values())
    idle = m.logits(circuit.by_role("inert", "free"), ablation=ablation)
    out = m.logits((), circuit.edges["out"], ablation=ablation)
    cut = control.logits(circuit.by_role("required", "negative", "backup"), ablation=ablation)
    return {
        "idle_nodes_accuracy": m.accuracy(idle),
        "out_edges_accuracy": m.accuracy(out),
        "backups_cut_accuracy": m.accuracy(m.logits(backups, ablation=ablation)),
        "node_costs": nodes,
        "least_node_cost": min(nodes.values(), default=0.0),
        "edge_costs": edges,
        "least_edge_cost": min(edges.values(), default=0.0),
        "circuit_cut_pair_accuracy": control.pair_accuracy(cut),
        "circuit_cut_accuracy": control.accuracy(cut),
    }


def _by_kind(circuit: Circuit, fresh: Fresh) -> dict[str, Any]:
    """Figures on each kind of pair alone; of a model with several circuits, also with one's own nodes cut."""
    kinds, out = fresh.kinds, circuit.edges["out"]
    figures: dict[str, Any] = {
        "out_edges_accuracy_by_kind": {kind: m.accuracy(m.logits((), out)) for kind, m in kinds.items()},
        "edge_costs_by_kind": {kind: edge_costs(circuit, m, circuit.edges["in"]) for kind, m in kinds.items()},
        "node_costs_by_kind": {kind: node_costs(circuit, m) for kind, m in kinds.items()},
    }
    shared = circuit.groups.get("shared", [])
    own = {g: [n for n in part if n not in shared] for g, part in circuit.groups.items() if g != "shared"}
    if own:
        figures["own_nodes_cut_accuracy_by_kind"] = {
            kind: {group: m.accuracy(m.logits(nodes)) for group, nodes in own.items()} for kind, m in kinds.items()
        }
    return figures


def failures(circuit: Circuit, spec: PlantSpec, figures: dict[str, Any]) -> list[str]:
    """The figures that fall short of what the claim asks for."""
    resample, failed = figures["resample"], []
    least = {"accuracy": 0.99}
    prefixes = ("interchange_", "joint_", "idle_nodes_", "out_edges_", "backups_cut_")
    least |= {key: LEAST for key, value in figures.items() if key.startswith(prefixes) and not isinstance(value, dict)}
    for name in circuit.by_role("negative"):
        least |= {f"negative_{name}_lift": LIFT, f"negative_{name}_cut_accuracy": LEAST}
    for name in movers(circuit, spec):
        least[f"{name}_cut_backup_intact_accuracy"] = LEAST - 0.08
        if figures[f"{name}_cut_backup_intact_accuracy"] - figures[f"{name}_cut_backup_cut_accuracy"] < NODE_COST:
            failed.append(f"{name}_cut_backup_cut_accuracy")
    failed += [key for key, bound in least.items() if not figures[key] >= bound]
    failed += [f"cost of {name}" for name, cost in resample["node_costs"].items() if not cost >= NODE_COST]
    failed += [f"cost of {edge}" for edge, cost in resample["edge_costs"].items() if not cost >= EDGE_COST]
    failed += [f"`out` edges, {k}" for k, v in figures["out_edges_accuracy_by_kind"].items() if not v >= LEAST]
    for name, bound in spec.checks.bounds.items():
        if not bound.least <= figures["bounds"][name] <= bound.most:
            failed.append(f"accuracy, {name}")
    if not circuit.edges["in"]:
        failed.append("no `in` edge")
    return failed + _decoys_short(figures) + _chance_missed(spec, figures)


def _decoys_short(figures: dict[str, Any]) -> list[str]:
    """Decoys that look less, or write less, than the median required head."""
    keys = [key for key in ("attention", "norm") if f"decoy_{key}_least" in figures]
    return [
        f"decoy_{key}_least" for key in keys if not figures[f"decoy_{key}_least"] >= figures[f"required_{key}_median"]
    ]


def _chance_missed(spec: PlantSpec, figures: dict[str, Any]) -> list[str]:
    """What the model still knows with its circuit cut."""
    cut, pair, failed = figures["resample"], spec.checks.pair_chance, []
    if pair is not None and not abs(cut["circuit_cut_pair_accuracy"] - pair) <= CHANCE:
        failed.append("circuit_cut_pair_accuracy")
    if not cut["circuit_cut_accuracy"] <= figures["chance_answers"] + CHANCE:
        failed.append("circuit_cut_accuracy")
    return failed


def _rounded(value: Any) -> Any:
    """Floats to four digits, inside mappings too; not-a-number becomes None, which JSON has."""
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 4)
    return value
