"""The evidence of several planted models as Markdown."""

from __future__ import annotations

from typing import Any

from bench.planting.evidence.circuit import Circuit
from bench.planting.evidence.figures import EDGE_COST, LEAST, LIFT, NODE_COST
from bench.planting.evidence.measure import ABLATIONS

Rows = dict[str, tuple[Circuit, dict[str, Any]]]


def markdown(rows: Rows) -> str:
    """A line per figure and a column per model: what is asked, then costs of nodes and edges, then other ablations."""
    if not rows:
        return "No planted models.\n"
    parts = [_head(rows), _table(rows, _asked(rows))]
    for title, key, bound in (("node", "node_costs", NODE_COST), ("`in` edge", "edge_costs", EDGE_COST)):
        parts.append(f"\n## Cost in accuracy of each required {title}, resampled (asked: >= {bound})\n")
        parts.append(_table(rows, _costs(rows, "resample", key)))
    parts.append("\n## By kind of source alone (an edge costs nothing where what it carries does not vary)\n")
    parts.append(_table(rows, _kinds(rows)))
    parts.append("\n## The same under each ablation (reported; only resampling is asked for)\n")
    parts.append(_table(rows, _ablations(rows)))
    return "\n".join(parts) + "\n"


def _head(rows: Rows) -> str:
    circuit, figures = next(iter(rows.values()))
    counts = {name: len(edges) for name, edges in circuit.edges.items()}
    return f"""# Evidence of the planted models

Measured from the shipped weights on {figures["n"]} fresh pairs per figure (every template alike). Sources are of the
same template: 40 % other prompts (`random`), 20 % each with the name said again exchanged, the first two names
exchanged, or both. Interchange accuracy counts only pairs whose counterfactual answer differs from the base's and
whose base and source the model answers right. Accuracy is the first of the whole vocabulary.
"odd sources": a third name is said again, so that the source has no answer.
Edges of the first model: {counts["in"]} in, {counts["out"]} out, {counts["undetermined"]} undetermined.
"""


def _table(rows: Rows, lines: list[list[str]]) -> str:
    head = ["figure", "asked", *rows]
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(out + ["| " + " | ".join(line) + " |" for line in lines])


def _show(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "-" if value is None else str(value)


def _line(rows: Rows, label: str, asked: str, *keys: str) -> list[str]:
    cells = []
    for _, figures in rows.values():
        value: Any = figures
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        cells.append(_show(value))
    return [label, asked, *cells]


def _asked(rows: Rows) -> list[list[str]]:
    circuit, _ = next(iter(rows.values()))
    names, least = list(circuit.variables), f">= {LEAST}"
    lines = [_line(rows, "accuracy", ">= 0.99", "accuracy")]
    lines += [_line(rows, f"interchange accuracy, {n}", least, f"interchange_{n}") for n in names]
    for a, b in zip(names, names[1:], strict=False):
        label = f"source {a}, site of {b} put back: base answer"
        lines.append(_line(rows, label, least, f"joint_{a}_{b}_restored"))
    for key, label in (("idle_nodes", "all inert and free nodes"), ("out_edges", "all `out` edges")):
        lines.append(_line(rows, f"{label} resampled: accuracy", least, f"{key}_accuracy"))
        lines.append(_line(rows, f"{label} resampled, odd sources: accuracy", least, f"{key}_odd_accuracy"))
        for n in names:
            text = f"{label} resampled: interchange accuracy, {n}"
            lines.append(_line(rows, text, least, f"{key}_interchange_{n}"))
    return lines + _asked_roles(rows, circuit)


def _asked_roles(rows: Rows, circuit: Circuit) -> list[list[str]]:
    least, lines = f">= {LEAST}", []
    lines.append(_line(rows, "least cost of a required node", f">= {NODE_COST}", "resample", "least_node_cost"))
    lines.append(_line(rows, "least cost of an `in` edge", f">= {EDGE_COST}", "resample", "least_edge_cost"))
    chance = ("resample", "circuit_cut_pair_accuracy"), ("resample", "circuit_cut_accuracy")
    vocabulary = "circuit and backups cut: accuracy in the vocabulary"
    lines.append(_line(rows, "circuit and backups cut: answer above wrong name", "chance .5 (+- .1)", *chance[0]))
    lines.append(_line(rows, vocabulary, "chance (<= .1)", *chance[1]))
    lines.append(_line(rows, "chance: one of the vocabulary's words", "", "chance_vocabulary"))
    lines.append(_line(rows, "chance: one of the answers that occur", "", "chance_answers"))
    for name in circuit.by_role("negative"):
        lines.append(_line(rows, f"rise of logit difference, {name} cut", f">= {LIFT}", f"negative_{name}_lift"))
        lines.append(_line(rows, f"accuracy, {name} cut", least, f"negative_{name}_cut_accuracy"))
    lines.append(_line(rows, "accuracy, backup cut", least, "backups_cut_accuracy"))
    for name in list(circuit.variables.values())[-1]["nodes"]:
        label = f"accuracy, {name} cut, backup"
        lines.append(_line(rows, f"{label} intact", f">= {LEAST - 0.08:.2f}", f"{name}_cut_backup_intact_accuracy"))
        lines.append(_line(rows, f"{label} cut", "at least .1 lower", f"{name}_cut_backup_cut_accuracy"))
    for key, label in (("attention", "attention from END to the answer"), ("norm", "output norm at END")):
        lines.append(_line(rows, f"decoys' {label}, least", ">= median below", f"decoy_{key}_least"))
        lines.append(_line(rows, f"required heads' {label}, median", "", f"required_{key}_median"))
    own = "required heads' output norm at their own position, median"
    lines.append(_line(rows, own, "", "required_norm_at_own_position_median"))
    lines.append(_line(rows, "decoys' change between prompts (norm), least", "", "decoy_change_least"))
    return [*lines, _line(rows, "falls short", "[]", "failed")]


def _costs(rows: Rows, ablation: str, key: str) -> list[list[str]]:
    names: dict[str, None] = {}
    for _, figures in rows.values():
        names |= dict.fromkeys(figures[ablation][key])
    return [_line(rows, f"`{name}`", "", ablation, key, name) for name in names]


def _kinds(rows: Rows) -> list[list[str]]:
    _, figures = next(iter(rows.values()))
    key, costs = "out_edges_accuracy_by_kind", "edge_costs_by_kind"
    lines = [_line(rows, f"{kind}: all `out` edges cut: accuracy", f">= {LEAST}", key, kind) for kind in figures[key]]
    for kind, edges in figures[costs].items():
        lines += [_line(rows, f"{kind}: cost of `{edge}`", "", costs, kind, edge) for edge in edges]
    return lines


def _ablations(rows: Rows) -> list[list[str]]:
    labels = {
        "idle_nodes_accuracy": "all inert and free nodes cut: accuracy",
        "out_edges_accuracy": "all `out` edges cut: accuracy",
        "backups_cut_accuracy": "backup cut: accuracy",
        "least_node_cost": "least cost of a required node",
        "least_edge_cost": "least cost of an `in` edge",
        "circuit_cut_pair_accuracy": "circuit and backups cut: answer above wrong name",
        "circuit_cut_accuracy": "circuit and backups cut: accuracy in the vocabulary",
    }
    return [_line(rows, f"{a}: {label}", "", a, key) for key, label in labels.items() for a in ABLATIONS]
