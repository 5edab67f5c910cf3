"""Circuits in the JSON form of EAP-IG and of MIB's circuit track (``Graph.to_json`` and ``from_json`` there).

::

    {"cfg": {"n_layers", "n_heads", "parallel_attn_mlp", "d_model"},
     "nodes": {name: {"in_graph": bool, "score": float, ...}},      input, heads, MLPs and logits
     "edges": {"a0.h1->m1": {"score": float, "in_graph": bool}}}

The graph and its names are those of :mod:`bench.graph`. A node without a score was not scored and is always kept
there; an explanation of ours scores every component of its level.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.explanation import Explanation
from bench.graph import INPUT, LOGITS, ComponentGraph
from bench.submit.json_text import parse
from bench.submit.limits import Rejected, shown

SIZES = ("n_layers", "n_heads", "parallel_attn_mlp")


def from_mib(data: bytes, place: str, level: str | None = None) -> tuple[str, tuple[str, ...], NDArray[np.float32]]:
    """Level, component names and signed scores of a circuit file; raises :class:`Rejected`.

    The level is ``node`` where the nodes have scores, unless ``level`` says which to read.
    """
    found = parse(data, place, nan=True)
    if not isinstance(found, dict) or any(not isinstance(found.get(key), dict) for key in ("cfg", "nodes", "edges")):
        raise Rejected(place, "needs the objects cfg, nodes and edges, as EAP-IG's Graph.to_json writes them")
    graph = _graph(found["cfg"], f"{place}: cfg")
    nodes = {name: node for name, node in found["nodes"].items() if name not in (INPUT, LOGITS)}
    scored = any(isinstance(node, dict) and "score" in node for node in nodes.values())
    level = level or ("node" if scored else "edge")
    part = ("nodes", nodes) if level == "node" else ("edges", found["edges"])
    names = graph.names(level)
    return level, names, _scores(part[1], names, f"{place}: {part[0]}", level)


def to_mib(explanation: Explanation, graph: ComponentGraph, d_model: int) -> bytes:
    """The circuit file of an explanation; every component is ``in_graph``, to be cut by score where it is read."""
    scores = explanation.scores if explanation.scores.ndim == 1 else explanation.scores.sum(axis=1)
    values = {name: float(score) for name, score in zip(explanation.components, scores, strict=True)}
    node_level = explanation.level == "node"
    nodes: dict[str, dict[str, Any]] = {name: {"in_graph": True} for name in (*graph.sources, LOGITS)}
    if node_level:
        for name in graph.components:
            nodes[name]["score"] = values[name]
    edges = {name: {"score": 0.0 if node_level else values[name], "in_graph": True} for name in graph.edges}
    cfg = dict(zip(SIZES, (graph.n_layers, graph.n_heads, graph.parallel), strict=True)) | {"d_model": d_model}
    return json.dumps({"cfg": cfg, "nodes": nodes, "edges": edges}).encode()


def _graph(cfg: Mapping[str, Any], place: str) -> ComponentGraph:
    for name in SIZES[:2]:
        if type(cfg.get(name)) is not int or not 0 < cfg[name] <= 1000:
            raise Rejected(f"{place}: {name}", f"is {shown(cfg.get(name))}; expected a number")
    parallel = cfg.get(SIZES[2], False)
    if not isinstance(parallel, bool):
        raise Rejected(f"{place}: {SIZES[2]}", f"is {shown(parallel)}; expected true or false")
    if cfg["n_layers"] * cfg["n_heads"] > 4096:
        raise Rejected(place, f"has {cfg['n_layers'] * cfg['n_heads']:,} heads; at most 4,096 are read")
    return ComponentGraph(cfg["n_layers"], cfg["n_heads"], parallel)


def _scores(found: Mapping[str, Any], names: tuple[str, ...], place: str, level: str) -> NDArray[np.float32]:
    known = set(names)
    if unknown := [name for name in found if name not in known]:
        raise Rejected(f"{place}: {shown(unknown[0])}", f"is no {level} of the graph that cfg describes")
    if missing := [name for name in names if name not in found]:
        raise Rejected(place, f"lacks {len(missing):,} of {len(names):,} {level}s, the first is {missing[0]}")
    values = np.empty(len(names), dtype=np.float32)
    for index, name in enumerate(names):
        entry = found[name]
        score = entry.get("score") if isinstance(entry, dict) else None
        if type(score) not in (int, float) or not np.isfinite(np.float32(score)):
            raise Rejected(f"{place}: {name}: score", f"is {shown(score)}; every {level} needs a finite one")
        values[index] = score
    return values
