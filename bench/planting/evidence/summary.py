"""One line per planted model: the figures that decide, least ones where there are several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.planting.evidence.table import show

COLUMNS = (
    "accuracy", "least interchange", "least joint", "idle nodes cut", "`out` edges cut", "least node cost",
    "least `in` edge cost", "circuit cut", "chance", "decoys ok", "falls short",
)  # fmt: skip


def summary(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of one model; those that its evidence does not have are left out."""
    cut = figures["resample"]
    out = {
        "accuracy": figures["accuracy"],
        "least interchange": _least(figures, "interchange_"),
        "least joint": _least(figures, "joint_"),
        "idle nodes cut": figures["idle_nodes_accuracy"],
        "`out` edges cut": figures["out_edges_accuracy"],
        "least node cost": cut["least_node_cost"],
        "least `in` edge cost": cut["least_edge_cost"],
        "circuit cut": cut["circuit_cut_accuracy"],
        "chance": figures["chance_answers"],
        "decoys ok": _decoys(figures),
        "falls short": ", ".join(figures["failed"]) or "-",
    }
    return {name: value for name, value in out.items() if value is not None}


def _least(figures: Mapping[str, Any], prefix: str) -> float | None:
    """The least figure of a family; one that could not be measured counts as none, which `failed` names."""
    found = [value for key, value in figures.items() if key.startswith(prefix) and value is not None]
    return min(found, default=None)


def _decoys(figures: Mapping[str, Any]) -> str | None:
    """Whether decoys look and write as much as required heads; None where there are none."""
    pairs = [(f"decoy_{key}_least", f"required_{key}_median") for key in ("attention", "norm")]
    found = [figures[least] >= figures[median] for least, median in pairs if least in figures]
    return None if not found else "yes" if all(found) else "no"


def markdown(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """A table of models by name, each with what it has of the columns."""
    lines = ["| " + " | ".join(("model", *COLUMNS)) + " |", "|" + "---|" * (len(COLUMNS) + 1)]
    for name, row in rows.items():
        lines.append("| " + " | ".join([name, *(show(row.get(column)) for column in COLUMNS)]) + " |")
    return "\n".join(lines) + "\n"
