"""Configurations of one architecture that change its forward: exact, or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf

from bench.data import pad
from bench.engine import Engine, ModelError
from tests.engine.reference import Reference
from tests.engine.support import logits_of, same
from tests.engine.tiny import HEADS, LAYERS, VOCAB, WINDOW, llama_like, pairs, randomize

_GPT2 = {
    "vocab_size": VOCAB, "n_positions": 64, "n_embd": 32, "n_layer": LAYERS, "n_head": HEADS,
    "attn_implementation": "eager", "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
_OPT = {
    "vocab_size": VOCAB, "max_position_embeddings": 64, "hidden_size": 32, "word_embed_proj_dim": 32, "ffn_dim": 48,
    "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "attn_implementation": "eager", "pad_token_id": 0,
}  # fmt: skip

VARIANTS: dict[str, Callable[[], Any]] = {
    "gpt2, scaled by layer": lambda: tf.GPT2LMHeadModel(tf.GPT2Config(**_GPT2, scale_attn_by_inverse_layer_idx=True)),
    "gpt2, unscaled": lambda: tf.GPT2LMHeadModel(tf.GPT2Config(**_GPT2, scale_attn_weights=False)),
    "gpt2, untied": lambda: tf.GPT2LMHeadModel(tf.GPT2Config(**_GPT2, tie_word_embeddings=False)),
    "llama with biases": lambda: llama_like("Llama", attention_bias=True, mlp_bias=True),
    "llama, one key head": lambda: llama_like("Llama", num_key_value_heads=1),
    "llama, all key heads": lambda: llama_like("Llama", num_key_value_heads=HEADS),
    "llama, odd head_dim": lambda: llama_like("Llama", head_dim=6),
    "mistral, no window": lambda: llama_like("Mistral", sliding_window=None),
    "qwen2 with a window": lambda: llama_like(
        "Qwen2", use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1
    ),
    "qwen3 with biases": lambda: llama_like("Qwen3", head_dim=12, attention_bias=True),
    "gemma2, one key head": lambda: llama_like("Gemma2", head_dim=12, num_key_value_heads=1),
    "gemma3 with softcaps": lambda: llama_like("Gemma3Text", head_dim=12, final_logit_softcapping=4.0),
    "phi with norms on q and k": lambda: llama_like("Phi", num_key_value_heads=HEADS, qk_layernorm=True),
    "phi, grouped": lambda: llama_like("Phi", num_key_value_heads=2),
    "phi3, one key head": lambda: llama_like("Phi3", num_key_value_heads=1),
    "phi3, all key heads": lambda: llama_like("Phi3", num_key_value_heads=HEADS),
    "olmo2, all key heads": lambda: llama_like("Olmo2", num_key_value_heads=HEADS),
    "olmo2, one key head": lambda: llama_like("Olmo2", num_key_value_heads=1),
    "opt without biases": lambda: tf.OPTForCausalLM(tf.OPTConfig(**_OPT, enable_bias=False)),
    "opt, plain norms": lambda: tf.OPTForCausalLM(tf.OPTConfig(**_OPT, layer_norm_elementwise_affine=False)),
}


def build(name: str) -> Any:
    with torch.random.fork_rng():
        model = VARIANTS[name]()
    randomize(model, seed=4)
    return model.eval()


@pytest.mark.parametrize("name", VARIANTS)
def test_circuits_and_edges_equal_brute_force(name: str) -> None:
    engine, reference = Engine(build(name)), Reference(build(name))
    clean, corrupt = pairs()
    tokens, others = pad(clean), pad(corrupt)
    graph, ablation = engine.graph, engine.sources(others)
    kept = np.random.default_rng(5).random(graph.n_edges) < 0.5
    cut = [edge for edge, keep in zip(graph.edges, kept, strict=True) if not keep]
    with torch.no_grad():
        there = [reference.plain(ids).sources for ids in corrupt]
        expected = logits_of([reference.circuit(ids, cut, a) for ids, a in zip(clean, there, strict=True)])
        assert same(engine.run_circuit(tokens, torch.from_numpy(graph.edge_mask(kept)), ablation), expected)
        for edge in ("input->a1.h2<k>", "m0->a1.h1<q>", "a0.h3->a1.h3<v>"):
            found = engine.patch_edges(tokens, ablation, [edge], lambda logits: logits[:, 7])
            alone = logits_of([reference.circuit(ids, [edge], a) for ids, a in zip(clean, there, strict=True)])
            assert (found[0] - alone[:, 7]).abs().max() <= 1e-4 * alone.abs().max(), edge


@pytest.mark.parametrize(
    "model",
    [
        lambda: tf.OPTForCausalLM(tf.OPTConfig(**_OPT, do_layer_norm_before=False)),
        lambda: llama_like("Gemma2", attention_bias=True),
        lambda: llama_like("Olmo2", attention_bias=True),
    ],
)
def test_what_has_no_exact_graph_is_refused(model: Callable[[], Any]) -> None:
    with pytest.raises(ModelError, match="not supported"):
        Engine(model())
