"""The evidence: what each role and each edge class of a claim asks for, measured."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

from bench.planting.evidence.circuit import Circuit
from bench.planting.evidence.measure import ABLATIONS, Measure

LEAST, NODE_COST, EDGE_COST, LIFT = 0.98, 0.10, 0.05, 0.5


@dataclass
class Fresh:
    """Fresh pairs for one model: `mixed` over the kinds of sources, `random` ones alone, and `odd` ones (no answer).

    kinds: smaller sets of each kind by itself.
    """

    mixed: Measure
    random: Measure
    odd: Measure
    kinds: dict[str, Measure]


def classify(circuit: Circuit, mixed: Measure) -> dict[str, float]:
    """Sort a draft's undetermined edges in place: `in` where cutting costs enough; each edge's cost in accuracy.

    With all `out` edges and every backup node cut, an edge is `in` when cutting it too costs .05 of accuracy.
    """
    costs = edge_costs(circuit, mixed, circuit.edges["in"] + circuit.edges["undetermined"])
    found = {edge for edge, cost in costs.items() if cost >= EDGE_COST}
    circuit.edges["in"] = [edge for edge in mixed.graph.edges if edge in found]
    circuit.edges["undetermined"] = [edge for edge in mixed.graph.edges if edge in costs and edge not in found]
    return costs


def edge_costs(circuit: Circuit, measure: Measure, edges: list[str], ablation: str = "resample") -> dict[str, float]:
    """What cutting each edge costs in accuracy when all `out` edges and every backup node are cut already."""
    out, backups = circuit.edges["out"], circuit.by_role("backup")
    before = measure.accuracy(measure.logits(backups, out, ablation=ablation))
    return {e: before - measure.accuracy(measure.logits(backups, [*out, e], ablation=ablation)) for e in edges}


def evidence(circuit: Circuit, fresh: Fresh) -> dict[str, Any]:
    """All figures of a claim; `failed` lists what falls short, and is empty for a model that is accepted."""
    answers = {int(a) for p in fresh.mixed.pairs for a in p.answer}
    figures: dict[str, Any] = {"n": sum(len(p.base) for p in fresh.mixed.pairs)}
    figures |= {"chance_pair": 0.5, "chance_answers": 1 / len(answers)}
    figures["chance_vocabulary"] = 1 / fresh.mixed.model.shape.vocab
    figures["accuracy"] = fresh.mixed.accuracy()
    figures |= _variables(circuit, fresh.mixed)
    figures |= _strictness(circuit, fresh)
    figures |= _roles(circuit, fresh)
    figures |= _decoys(circuit, fresh.random)
    for ablation in ABLATIONS:
        figures[ablation] = _ablation(circuit, fresh, ablation)
    figures["out_edges_accuracy_by_kind"] = {
        kind: m.accuracy(m.logits((), circuit.edges["out"])) for kind, m in fresh.kinds.items()
    }
    figures["edge_costs_by_kind"] = {
        kind: edge_costs(circuit, m, circuit.edges["in"]) for kind, m in fresh.kinds.items()
    }
    figures["failed"] = failures(circuit, figures)
    return _rounded(figures)


def _variables(circuit: Circuit, measure: Measure) -> dict[str, Any]:
    """Interchange accuracy of each variable at its position, and D with I's site put back."""
    figures: dict[str, Any] = {}
    for name, entry in circuit.variables.items():
        logits = measure.logits(entry["nodes"], position=entry["position"])
        figures[f"interchange_{name}"] = measure.interchange(logits, name)
    names = list(circuit.variables)
    for first, second in zip(names, names[1:], strict=False):
        sites = circuit.variables[first], circuit.variables[second]
        logits = measure.logits(sites[0]["nodes"], position=sites[0]["position"], restore=sites[1]["nodes"])
        figures[f"joint_{first}_{second}_restored"] = measure.restored(logits, first)
    return figures


def _strictness(circuit: Circuit, fresh: Fresh) -> dict[str, float]:
    """Accuracy and interchange accuracies with all inert and free nodes, or all `out` edges, resampled at once."""
    figures: dict[str, float] = {}
    idle, out = circuit.by_role("inert", "free"), circuit.edges["out"]
    for label, nodes, edges in (("idle_nodes", idle, []), ("out_edges", (), out)):
        figures[f"{label}_accuracy"] = fresh.mixed.accuracy(fresh.mixed.logits(nodes, edges))
        figures[f"{label}_odd_accuracy"] = fresh.odd.accuracy(fresh.odd.logits(nodes, edges))
        for name, entry in circuit.variables.items():
            edges_too = edges or _edges_from(fresh.mixed, nodes)
            logits = fresh.mixed.logits(entry["nodes"], edges_too, entry["position"])
            figures[f"{label}_interchange_{name}"] = fresh.mixed.interchange(logits, name)
    return figures


def _edges_from(measure: Measure, nodes: tuple[str, ...]) -> list[str]:
    """All edges out of some nodes: cutting them is cutting the nodes."""
    return [edge for edge in measure.graph.edges if edge.split("->")[0] in nodes]


def _roles(circuit: Circuit, fresh: Fresh) -> dict[str, Any]:
    """What the negative head and the backups do, and what the whole circuit leaves behind when cut."""
    m, figures = fresh.mixed, {}
    before = _mean(m.difference())
    for name in circuit.by_role("negative"):
        logits = m.logits([name])
        figures[f"negative_{name}_lift"] = _mean(m.difference(logits)) - before
        figures[f"negative_{name}_cut_accuracy"] = m.accuracy(logits)
    backups = circuit.by_role("backup")
    figures["backups_cut_accuracy"] = m.accuracy(m.logits(backups))
    movers = list(circuit.variables.values())[-1]["nodes"]
    for name in movers:
        figures[f"{name}_cut_backup_intact_accuracy"] = m.accuracy(m.logits([name]))
        figures[f"{name}_cut_backup_cut_accuracy"] = m.accuracy(m.logits([name, *backups]))
    return figures


def _mean(values: list[Any]) -> float:
    return statistics.fmean(float(x) for entry in values for x in entry)


def _decoys(circuit: Circuit, measure: Measure) -> dict[str, float]:
    """Attention to the answer and output norm of decoys, beside the median required head's; how much they vary."""
    required = [name for name in circuit.by_role("required") if name.startswith("a")]
    decoys = circuit.by_role("inert")
    look = {name: measure.attention(name, "END", "IO") for name in (*required, *decoys)}
    size = {name: measure.norm(name, "END") for name in (*required, *decoys)}
    own = [measure.norm(name, str(circuit.nodes[name]["position"])) for name in required]
    change = [measure.change(name, str(circuit.nodes[name]["position"])) for name in required]
    return {
        "decoy_attention_least": min(look[name] for name in decoys),
        "required_attention_median": statistics.median(look[name] for name in required),
        "decoy_norm_least": min(size[name] for name in decoys),
        "required_norm_median": statistics.median(size[name] for name in required),
        "required_norm_at_own_position_median": statistics.median(own),
        "decoy_change_least": min(measure.change(name, "END") for name in decoys),
        "required_change_median": statistics.median(change),
    }


def _ablation(circuit: Circuit, fresh: Fresh, ablation: str) -> dict[str, Any]:
    """Costs of nodes and edges, and the accuracies of the rest alone and of the circuit cut, under one ablation."""
    m, backups = fresh.mixed, circuit.by_role("backup")
    before = m.accuracy(m.logits(backups, ablation=ablation))
    costs = {
        name: before - m.accuracy(m.logits([name, *backups], ablation=ablation)) for name in circuit.by_role("required")
    }
    idle = m.logits(circuit.by_role("inert", "free"), ablation=ablation)
    out = m.logits((), circuit.edges["out"], ablation=ablation)
    cut = fresh.random.logits(circuit.by_role("required", "negative", "backup"), ablation=ablation)
    edges = edge_costs(circuit, m, circuit.edges["in"], ablation)
    return {
        "idle_nodes_accuracy": m.accuracy(idle),
        "out_edges_accuracy": m.accuracy(out),
        "backups_cut_accuracy": before,
        "node_costs": costs,
        "least_node_cost": min(costs.values()),
        "edge_costs": edges,
        "least_edge_cost": min(edges.values(), default=0.0),
        "circuit_cut_pair_accuracy": fresh.random.pair_accuracy(cut),
        "circuit_cut_accuracy": fresh.random.accuracy(cut),
    }


def failures(circuit: Circuit, figures: dict[str, Any]) -> list[str]:
    """The figures that fall short of what the claim asks for."""
    resample, failed = figures["resample"], []
    least = {"accuracy": 0.99, "backups_cut_accuracy": LEAST}
    prefixes = ("interchange_", "joint_", "idle_nodes_", "out_edges_")
    least |= {key: LEAST for key, value in figures.items() if key.startswith(prefixes) and not isinstance(value, dict)}
    for name in circuit.by_role("negative"):
        least |= {f"negative_{name}_lift": LIFT, f"negative_{name}_cut_accuracy": LEAST}
    for name in list(circuit.variables.values())[-1]["nodes"]:
        least[f"{name}_cut_backup_intact_accuracy"] = LEAST - 0.08
        if figures[f"{name}_cut_backup_intact_accuracy"] - figures[f"{name}_cut_backup_cut_accuracy"] < NODE_COST:
            failed.append(f"{name}_cut_backup_cut_accuracy")
    failed += [key for key, bound in least.items() if not figures[key] >= bound]
    failed += [f"cost of {name}" for name, cost in resample["node_costs"].items() if not cost >= NODE_COST]
    failed += [f"cost of {edge}" for edge, cost in resample["edge_costs"].items() if not cost >= EDGE_COST]
    failed += [f"`out` edges, {k}" for k, v in figures["out_edges_accuracy_by_kind"].items() if not v >= LEAST]
    if not circuit.edges["in"]:
        failed.append("no `in` edge")
    for key in ("attention", "norm"):
        if not figures[f"decoy_{key}_least"] >= figures[f"required_{key}_median"]:
            failed.append(f"decoy_{key}_least")
    if not abs(resample["circuit_cut_pair_accuracy"] - 0.5) <= 0.1:
        failed.append("circuit_cut_pair_accuracy")
    if not resample["circuit_cut_accuracy"] <= 0.1:
        failed.append("circuit_cut_accuracy")
    return failed


def _rounded(value: Any) -> Any:
    """Floats to four digits, inside mappings too; not-a-number becomes None, which JSON has."""
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 4)
    return value
