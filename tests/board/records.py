"""Records made by hand for boards."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.board import CellRecord
from bench.metric import Measurement
from bench.metrics.area_log import AreaLog
from bench.metrics.auroc import Auroc
from bench.metrics.cmd_mib import CmdMib
from bench.metrics.faithfulness import Faithfulness
from bench.scoring.truth import auroc, permuted

METRICS = {m.name: m for m in (AreaLog, Auroc, CmdMib, Faithfulness)}
N = 48


def load(name):
    return METRICS[name]


def area(
    level: float, seed: int = 0, n: int = N, clusters: int = N, gap: float = 2.0, ablation="counterfactual",
    noise: float = 0.0,
):  # fmt: skip
    """An ``area_log`` measurement whose figure is about ``level``: one edge of ten already has f = level up to all.

    Without ``noise`` f is the same whatever examples are drawn.
    """
    rng = np.random.default_rng(seed)
    empty = -1 + 0.1 * rng.standard_normal(n)
    whole = empty + gap + 0.3 * rng.standard_normal(n)
    circuits = np.stack([empty, empty + level * (whole - empty), empty + level * (whole - empty), whole], axis=1)
    circuits[:, 1:3] += noise * rng.standard_normal((n, 1))
    arrays = {
        "whole": whole, "empty": empty, "circuits": circuits[:, None], "edges": np.array([[0, 0.1, 0.999999, 1.0]]),
        "n_edges": np.array(10),
    }  # fmt: skip
    return Measurement("area_log", "1", ablation, "ok", "", arrays, tuple(str(i % clusters) for i in range(n)))


def roc(shift: float, seed: int = 0):
    """An ``auroc`` measurement; higher ``shift``, better separation."""
    rng = np.random.default_rng(seed)
    positive = np.arange(40) < 12
    scores = rng.standard_normal(40) + shift * positive
    null = auroc(scores, permuted(positive, f"model {seed}"))
    return Measurement("auroc", "1", "none", "ok", "", {"scores": scores, "positive": positive, "null": null})


def record(method: str, *measurements: Measurement, **changes: Any) -> CellRecord:
    """A cell on the planted model with seeds 0."""
    fields: dict[str, Any] = {
        "track": "circuit", "task": "ioi", "model": "planted", "model_seed": 0, "data_seed": 0, "method_seed": None,
        "method": method, "method_baseline": method in ("random", "oracle"), "level": "edge",
        "counterfactual": "flip", "split": "test", "status": "ok", "reason": "", "planted": True, "n": N,
        "forwards": 2.0, "backwards": 1.0, "seconds": 0.5,
    }  # fmt: skip
    fields |= changes
    seeds = "-".join(str(fields[s]) for s in ("model_seed", "data_seed", "method_seed"))
    name = f"{fields['task']}/{fields['model']}/{method}/{fields['level']}/{seeds}"
    keys = tuple(f"{name}/{m.metric}/{m.ablation}" for m in measurements)
    return CellRecord(**{"key": name, "measurements": measurements, "score_keys": keys, **fields})


def faithful(level: float, seed: int = 0):
    """A ``faithfulness`` measurement at two sizes."""
    arrays = area(level, seed).arrays
    chosen = {
        "circuits": arrays["circuits"][:, :, 1:],
        "edges": arrays["edges"][:, 1:],
        "sizes": np.array([0.1, 0.5, 1]),
    }
    clusters = tuple(str(i) for i in range(N))
    return Measurement("faithfulness", "1", "counterfactual", "ok", "", {**arrays, **chosen}, clusters)
