"""The component graph of a model directory, from its configuration alone and without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.graph import ComponentGraph
from bench.submit.archive import read_file
from bench.submit.json_text import parse
from bench.submit.limits import Rejected, shown

_LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
_HEADS = ("num_attention_heads", "n_head", "num_heads")
_WIDTH = ("hidden_size", "n_embd")
_HEAD = ("head_dim",)
_MLP = ("intermediate_size", "n_inner", "ffn_dim")
CONFIG = "config.json"


def graph_of_directory(path: Path) -> ComponentGraph:
    """The graph of the model in ``path``; raises :class:`Rejected`."""
    return graph_of_config(parse(read_file(path / CONFIG), CONFIG, nan=True))


def graph_of_config(config: Any) -> ComponentGraph:
    """The graph that :func:`bench.engine.graph_of` finds, from the JSON of a configuration.

    Blocks are parallel in Phi, and in GPT-NeoX unless its configuration says otherwise, as in ``transformers``.
    """
    if not isinstance(config, dict):
        raise Rejected(CONFIG, "is no object")
    kind = config.get("model_type")
    parallel = kind == "phi" or (kind == "gpt_neox" and bool(config.get("use_parallel_residual", True)))
    return ComponentGraph(_count(config, _LAYERS), _count(config, _HEADS), parallel)


def widths_of_config(config: Any) -> dict[str, int]:
    """The fields of :class:`bench.variable.places.Widths`, from a configuration's JSON; raises :class:`Rejected`."""
    graph = graph_of_config(config)
    width = _count(config, _WIDTH)
    mlp = next((n for n in (config.get(name) for name in _MLP) if type(n) is int), 4 * width)
    head = next((n for n in (config.get(name) for name in _HEAD) if type(n) is int), width // graph.n_heads)
    return {"n_layers": graph.n_layers, "n_heads": graph.n_heads, "d_model": width, "d_head": head, "d_mlp": mlp}


def _count(config: dict[str, Any], names: tuple[str, ...]) -> int:
    for name in names:
        if type(value := config.get(name)) is int and 0 < value < 10_000:
            return value
    raise Rejected(CONFIG, f"has none of {', '.join(names)}; its model_type is {shown(config.get('model_type'))}")
