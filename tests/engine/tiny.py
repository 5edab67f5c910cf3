"""Tiny random models of every supported architecture, and prompts for them.

Weights have a standard deviation of .3 or more, biases and norms are random, sequences are longer than the sliding
window: at the usual initialisation a wrong mask, softcap, scale or bias moves the logits by less than a tolerance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import transformers as tf
from torch import nn

VOCAB = 50
LAYERS = 2
HEADS = 4
WINDOW = 5
LENGTHS = (12, 9, 11)

_COMMON: dict[str, Any] = {
    "vocab_size": VOCAB,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "max_position_embeddings": 64,
}


def llama_like(kind: str, **changes: Any) -> tf.PreTrainedModel:
    """A model of the Llama family: width 32, 4 query heads on 2 key-value heads."""
    settings = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 2,
        "attn_implementation": "eager",
    }
    config = getattr(tf, f"{kind}Config")(**{**_COMMON, **settings, **changes})
    return getattr(tf, f"{kind.removesuffix('Text')}ForCausalLM")(config)


def _layer_types(first: str = "sliding_attention", second: str = "full_attention") -> list[str]:
    return [first if layer % 2 == 0 else second for layer in range(LAYERS)]


def _gpt2() -> tf.PreTrainedModel:
    sizes = {"vocab_size": VOCAB, "n_positions": 64, "n_embd": 32, "n_layer": LAYERS, "n_head": HEADS}
    return tf.GPT2LMHeadModel(tf.GPT2Config(**sizes, attn_implementation="eager", bos_token_id=1, eos_token_id=2))


def _gpt_neo() -> tf.PreTrainedModel:
    config = tf.GPTNeoConfig(
        vocab_size=VOCAB, max_position_embeddings=64, hidden_size=16, num_layers=LAYERS, num_heads=HEADS,
        attention_types=[[["global", "local"], LAYERS // 2]], window_size=WINDOW, intermediate_size=48,
        attn_implementation="eager", bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return tf.GPTNeoForCausalLM(config)


def _gpt_neox(parallel: bool) -> tf.PreTrainedModel:
    config = tf.GPTNeoXConfig(
        **_COMMON, hidden_size=32, intermediate_size=48, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        use_parallel_residual=parallel, attn_implementation="eager",
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
    )  # fmt: skip
    return tf.GPTNeoXForCausalLM(config)


def _phi() -> tf.PreTrainedModel:
    rope = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}
    return llama_like("Phi", num_key_value_heads=4, rope_parameters=rope)


def _opt() -> tf.PreTrainedModel:
    config = tf.OPTConfig(
        **_COMMON, hidden_size=32, word_embed_proj_dim=32, ffn_dim=48, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, attn_implementation="eager",
    )  # fmt: skip
    return tf.OPTForCausalLM(config)


BUILDERS: dict[str, Callable[[], tf.PreTrainedModel]] = {
    "gpt2": _gpt2,
    "gpt_neo": _gpt_neo,
    "llama": lambda: llama_like("Llama"),
    "mistral": lambda: llama_like("Mistral", sliding_window=WINDOW),
    "qwen2": lambda: llama_like("Qwen2"),
    "qwen3": lambda: llama_like("Qwen3", head_dim=12),
    "gemma2": lambda: llama_like(
        "Gemma2", head_dim=12, query_pre_attn_scalar=7, sliding_window=WINDOW, layer_types=_layer_types(),
        attn_logit_softcapping=3.0, final_logit_softcapping=4.0,
    ),
    "gemma3": lambda: llama_like(
        "Gemma3Text", head_dim=12, query_pre_attn_scalar=3, sliding_window=WINDOW, layer_types=_layer_types(),
    ),
    "gpt_neox": lambda: _gpt_neox(parallel=True),
    "gpt_neox_sequential": lambda: _gpt_neox(parallel=False),
    "phi": _phi,
    "phi3": lambda: llama_like("Phi3", sliding_window=WINDOW),
    "olmo2": lambda: llama_like("Olmo2"),
    "opt": _opt,
}  # fmt: skip
"""The 13 architectures; GPT-NeoX in both its forms."""

NAMES = tuple(BUILDERS)


def randomize(model: nn.Module, seed: int) -> None:
    """Draw every parameter anew: matrices with std .3, norm weights around their neutral value, biases with std .3."""
    generator = np.random.default_rng(seed)
    for name, value in model.named_parameters():
        noise = torch.from_numpy(generator.standard_normal(tuple(value.shape)))
        neutral = 1.0 if value.dim() == 1 and name.endswith("weight") and not _centred(model, name) else 0.0
        with torch.no_grad():
            value.copy_(neutral + 0.3 * noise)


def _centred(model: nn.Module, name: str) -> bool:
    """Whether a norm multiplies by 1 + weight (Gemma)."""
    return type(model.get_submodule(name.rpartition(".")[0])).__name__.startswith("Gemma")


def tiny(name: str, dtype: torch.dtype = torch.float32, seed: int = 0) -> tf.PreTrainedModel:
    """A tiny random model called ``name`` (of :data:`NAMES`), eager attention, eval mode.

    The weights of the two dtypes are the same numbers. In fp64 run it inside :func:`tests.engine.double.double`,
    since norms and softmax of most architectures go through fp32 whatever the dtype of the weights.
    """
    with torch.random.fork_rng():
        model = BUILDERS[name]()
    randomize(model, seed)
    return model.eval().to(dtype)


def prompts(lengths: tuple[int, ...] = LENGTHS, seed: int = 0) -> list[list[int]]:
    """Random prompts of unequal lengths, without the special tokens 0, 1 and 2."""
    generator = torch.Generator().manual_seed(1000 + seed)
    return [torch.randint(3, VOCAB, (length,), generator=generator).tolist() for length in lengths]


def pairs(lengths: tuple[int, ...] = LENGTHS, seed: int = 0) -> tuple[list[list[int]], list[list[int]]]:
    """Clean and corrupt prompts of the same lengths; they differ at three positions, none of them the last."""
    clean = prompts(lengths, seed)
    other = prompts(lengths, seed + 1)
    corrupt = []
    for c, o in zip(clean, other, strict=True):
        swapped = {1, len(c) // 2, len(c) - 3}
        corrupt.append([o[i] if i in swapped else c[i] for i in range(len(c))])
    return clean, corrupt
