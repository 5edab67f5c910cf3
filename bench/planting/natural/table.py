"""The evidence of natural models as Markdown."""

from __future__ import annotations

from collections import Counter
from typing import Any

from bench.planting.evidence.circuit import Circuit

HEAD = """# Evidence of the natural models

Trained on the task alone, with nothing planted; the circuit is measured, by resampling every single node, every pair
of nodes and every single edge (`effects.csv` beside the weights has all figures). A cost in accuracy is the share of
right answers that is lost; a cost in margin is the share of the logit difference that is lost, of what is lost when
everything is cut. In brackets: standard errors. `required` costs .05 or more in either; `negative` gives .05 or more of
the margin; `backup` costs .05 more in a pair than the two nodes by themselves; edges are `in` from .05 on in either,
`out` under .01 in both. Unlike in planted models, what does nothing by itself may do much together: the lines
"together" say how much, and nothing is asked of them. Only accuracy and drift (how far costs on other prompts lie from
the claim, in standard errors) are asked for.
"""


def markdown(rows: list[tuple[Circuit, dict[str, Any]]]) -> str:
    """A part per model: what is asked, counts of roles and edges, then the costs of all nodes that are not free."""
    if not rows:
        return "No natural models.\n"
    return HEAD + "".join(_part(circuit, figures) for circuit, figures in rows)


def _part(circuit: Circuit, evidence: dict[str, Any]) -> str:
    settings = evidence["settings"]
    roles = Counter(str(node["role"]) for node in circuit.nodes.values())
    lines = [("trained steps", [str(circuit.steps)] * len(settings))]
    for label, key in (("pairs of prompts", "n"), ("accuracy (asked: >= 0.99)", "accuracy")):
        lines.append((label, [str(found[key]) for found in settings.values()]))
    lines.append(("mean logit difference", [f"{s['margin']:.2f}" for s in settings.values()]))
    lines.append(("the same, everything cut", [f"{s['margin_everything_cut']:.2f}" for s in settings.values()]))
    lines.append(("drift (asked: <= 4)", [f"{s['largest_drift']:.2f}" for s in settings.values()]))
    for key in ("free_nodes_together", "out_edges_together"):
        label = key.replace("_", " ").replace(" together", ", all together")
        lines.append((f"{label}: accuracy, margin", [_both(s[key]) for s in settings.values()]))
    for name, node in circuit.nodes.items():
        if node["role"] != "free":
            lines.append((f"`{name}` ({node['role']})", [_both(s["nodes"][name]) for s in settings.values()]))
    counts = ", ".join(f"{count} {role}" for role, count in roles.most_common())
    edges = ", ".join(f"{len(names)} {state}" for state, names in circuit.edges.items())
    out = [f"\n## {circuit.task}, seed {circuit.seed}\n", f"Nodes: {counts}. Edges: {edges}.\n"]
    out += [_row("cost of, or figure", list(settings)), "|" + "---|" * (len(settings) + 1)]
    out += [_row(label, cells) for label, cells in lines]
    return "\n".join([*out, f"\nFalls short: {evidence['failed']}\n"])


def _row(label: str, cells: list[str]) -> str:
    return "| " + " | ".join([label, *cells]) + " |"


def _both(costs: dict[str, float]) -> str:
    return " / ".join(f"{costs[key]:.3f} ({costs[key + '_se']:.3f})" for key in ("accuracy", "margin"))
