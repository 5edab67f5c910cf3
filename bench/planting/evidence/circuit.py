"""`circuit.json`: what a planted model claims (schema 1)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.planting.spec import PlantSpec


@dataclass
class Circuit:
    """The claim: nodes with roles, edges by class, variables with their nodes and position."""

    task: str
    seed: int
    nodes: dict[str, dict[str, str | None]]
    edges: dict[str, list[str]]
    variables: dict[str, dict[str, Any]]
    evidence: dict[str, Any] = field(default_factory=dict)
    code: str = ""
    steps: int = 0
    schema: int = 1

    def by_role(self, *roles: str) -> tuple[str, ...]:
        """Names of the nodes that have one of the roles."""
        return tuple(name for name, node in self.nodes.items() if node["role"] in roles)

    def write(self, path: Path) -> None:
        """Write circuit.json."""
        order = ["schema", "task", "seed", "steps", "code", "nodes", "variables", "edges", "evidence"]
        path.write_text(json.dumps({key: getattr(self, key) for key in order}, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Circuit:
        """Read circuit.json; a schema other than 1 is refused."""
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.get("schema") != 1:
            raise ValueError(f"circuit.json has schema {data.get('schema')!r}; this version reads schema 1")
        return cls(**data)


def draft(spec: PlantSpec, seed: int) -> Circuit:
    """The claim before any test: what is declared is undetermined, every other edge is `out`."""
    nodes = {}
    for name in spec.graph.nodes:
        role = spec.roles.get(name)
        nodes[name] = {
            "role": role.role if role else "free",
            "variable": role.variable if role else None,
            "position": role.position if role else None,
        }
    declared = {*spec.required_edges, *spec.other_edges}
    edges = {
        "in": [],
        "out": [edge for edge in spec.graph.edges if edge not in declared],
        "undetermined": [edge for edge in spec.graph.edges if edge in declared],
    }
    variables: dict[str, dict[str, Any]] = {}
    for name, role in spec.roles.items():
        if role.variable and role.role == "required":
            entry = variables.setdefault(role.variable, {"nodes": [], "position": role.position})
            entry["nodes"].append(name)
    return Circuit(spec.task, seed, nodes, edges, variables)
