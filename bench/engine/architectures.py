"""The one table of differences between the supported architectures of ``transformers``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from torch import nn

from bench.graph import ComponentGraph


class ModelError(ValueError):
    """A model that cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Architecture:
    """Where things are, as attribute paths; layer paths are relative to a layer, attention paths to the attention.

    Key on the architecture, never on a module's name: ``post_attention_layernorm`` comes before the MLP in Llama
    and GPT-NeoX and behind attention in Gemma and OLMo2.
    """

    layers: str
    final_norm: str
    attention: str
    out: str
    attention_norm: str | None
    mlp_norm: str | None
    mlp_read: str = "mlp"
    """The module whose input is what the MLP reads (behind its norm)."""
    mlp_write: str = "mlp"
    """The module whose output the MLP writes (before a post-norm)."""
    down: str = "mlp.down_proj"
    """The module whose input are the neurons."""
    attention_post_norm: str | None = None
    mlp_post_norm: str | None = None
    projections: tuple[str, ...] = ("q_proj", "k_proj", "v_proj")
    layout: str = "separate"
    """``separate``; ``stacked``: one module, all of q, then k, then v; ``interleaved``: q, k, v head by head."""
    norm: str = "rms"
    """``layer``, ``rms``, or ``rms1``: an RMS norm that multiplies with 1 + weight."""
    joint_key_norm: str | None = None
    """A norm over the keys of all heads together, which has to be taken once per group member."""
    parallel: Callable[[Any], bool] = lambda config: False
    refuse: Callable[[Any], str | None] = lambda config: None
    """A reason why this configuration is not supported."""


def _opt_refusal(config: Any) -> str | None:
    if not config.do_layer_norm_before:
        return "OPT with do_layer_norm_before=False has no pre-norm residual stream"
    if getattr(config, "_remove_final_layer_norm", False):
        return "OPT without its final norm"
    return None


def _bias_refusal(config: Any) -> str | None:
    if getattr(config, "attention_bias", False):
        return "an output bias in front of a post-attention norm belongs to no head (attention_bias=True)"
    return None


_LLAMA = Architecture(
    layers="model.layers", final_norm="model.norm", attention="self_attn", out="o_proj",
    attention_norm="input_layernorm", mlp_norm="post_attention_layernorm",
)  # fmt: skip
_GEMMA = Architecture(
    layers="model.layers", final_norm="model.norm", attention="self_attn", out="o_proj",
    attention_norm="input_layernorm", mlp_norm="pre_feedforward_layernorm",
    attention_post_norm="post_attention_layernorm", mlp_post_norm="post_feedforward_layernorm",
    norm="rms1", refuse=_bias_refusal,
)  # fmt: skip

ARCHITECTURES: dict[str, Architecture] = {
    "gpt2": Architecture(
        layers="transformer.h", final_norm="transformer.ln_f", attention="attn", out="c_proj",
        attention_norm="ln_1", mlp_norm="ln_2", down="mlp.c_proj",
        projections=("c_attn",), layout="stacked", norm="layer",
    ),
    "gpt_neo": Architecture(
        layers="transformer.h", final_norm="transformer.ln_f", attention="attn.attention", out="out_proj",
        attention_norm="ln_1", mlp_norm="ln_2", down="mlp.c_proj", norm="layer",
    ),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gemma2": _GEMMA,
    "gemma3_text": _GEMMA,
    "gpt_neox": Architecture(
        layers="gpt_neox.layers", final_norm="gpt_neox.final_layer_norm", attention="attention", out="dense",
        attention_norm="input_layernorm", mlp_norm="post_attention_layernorm", down="mlp.dense_4h_to_h",
        projections=("query_key_value",), layout="interleaved", norm="layer",
        parallel=lambda config: bool(config.use_parallel_residual),
    ),
    "phi": Architecture(
        layers="model.layers", final_norm="model.final_layernorm", attention="self_attn", out="dense",
        attention_norm="input_layernorm", mlp_norm="input_layernorm", down="mlp.fc2", norm="layer",
        parallel=lambda config: True,
    ),
    "phi3": Architecture(
        layers="model.layers", final_norm="model.norm", attention="self_attn", out="o_proj",
        attention_norm="input_layernorm", mlp_norm="post_attention_layernorm",
        projections=("qkv_proj",), layout="stacked",
    ),
    "olmo2": Architecture(
        layers="model.layers", final_norm="model.norm", attention="self_attn", out="o_proj",
        attention_norm=None, mlp_norm=None, attention_post_norm="post_attention_layernorm",
        mlp_post_norm="post_feedforward_layernorm", joint_key_norm="k_norm", refuse=_bias_refusal,
    ),
    "opt": Architecture(
        layers="model.decoder.layers", final_norm="model.decoder.final_layer_norm", attention="self_attn",
        out="out_proj", attention_norm="self_attn_layer_norm", mlp_norm="final_layer_norm",
        mlp_read="fc1", mlp_write="fc2", down="fc2", norm="layer", refuse=_opt_refusal,
    ),
}  # fmt: skip


def architecture_of(config: Any) -> Architecture:
    """The table's entry for a ``transformers`` configuration.

    Raises:
        ModelError: for an architecture outside the table, or a variant of one that has no exact graph.
    """
    try:
        found = ARCHITECTURES[config.model_type]
    except KeyError:
        raise ModelError(
            f"architecture {config.model_type!r} is not supported; use one of {', '.join(sorted(ARCHITECTURES))}"
        ) from None
    if reason := found.refuse(config):
        raise ModelError(f"this {config.model_type} model is not supported: {reason}")
    return found


def graph_of(config: Any) -> ComponentGraph:
    """The component graph from a configuration alone, without weights."""
    found = architecture_of(config)
    return ComponentGraph(config.num_hidden_layers, config.num_attention_heads, found.parallel(config))


def submodule(root: nn.Module, path: str) -> nn.Module:
    """The module at a dotted ``path``."""
    return reduce(getattr, path.split("."), root)


@dataclass(frozen=True)
class Block:
    """The modules of one layer that a pass can reach."""

    layer: nn.Module
    attention: nn.Module
    projections: tuple[nn.Module, ...]
    out: nn.Module
    attention_norm: nn.Module | None
    mlp_norm: nn.Module | None
    mlp_read: nn.Module
    mlp_write: nn.Module
    down: nn.Module
    attention_post_norm: nn.Module | None
    mlp_post_norm: nn.Module | None
    joint_key_norm: nn.Module | None


def blocks_of(model: nn.Module, architecture: Architecture) -> tuple[Block, ...]:
    """The reachable modules of every layer, in order."""
    return tuple(_block(layer, architecture) for layer in submodule(model, architecture.layers).children())


def _block(layer: nn.Module, a: Architecture) -> Block:
    attention = submodule(layer, a.attention)

    def at(path: str | None, root: nn.Module = layer) -> nn.Module | None:
        return None if path is None else submodule(root, path)

    return Block(
        layer, attention, tuple(submodule(attention, p) for p in a.projections), submodule(attention, a.out),
        at(a.attention_norm), at(a.mlp_norm), submodule(layer, a.mlp_read), submodule(layer, a.mlp_write),
        submodule(layer, a.down), at(a.attention_post_norm), at(a.mlp_post_norm), at(a.joint_key_norm, attention),
    )  # fmt: skip
