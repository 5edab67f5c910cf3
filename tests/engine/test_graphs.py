"""Sizes of component graphs from configurations alone, without weights."""

from __future__ import annotations

from typing import Any

import pytest
import transformers as tf

from bench.engine import ModelError, graph_of

PUBLISHED = {
    "gpt2": (tf.GPT2Config(), 32_491, 157),
    "Qwen2.5-0.5B": (
        tf.Qwen2Config(hidden_size=896, num_hidden_layers=24, num_attention_heads=14, num_key_value_heads=2),
        179_749, 361,
    ),
    "Gemma-2-2B": (tf.Gemma2Config(), 74_218, 235),
    "Llama-3.1-8B": (
        tf.LlamaConfig(hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8),
        1_592_881, 1_057,
    ),
    "InterpBench IOI": (tf.GPT2Config(n_embd=64, n_layer=6, n_head=4), 1_108, 31),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name: str) -> None:
    config, edges, nodes = PUBLISHED[name]
    graph = graph_of(config)
    assert (graph.n_edges, graph.n_nodes) == (edges, nodes)


@pytest.mark.parametrize(
    "config", [tf.GPTNeoXConfig(num_hidden_layers=3, num_attention_heads=4, hidden_size=32), tf.PhiConfig()]
)
def test_parallel_blocks_have_no_edge_from_heads_to_their_own_mlp(config: Any) -> None:
    graph = graph_of(config)
    assert graph.parallel
    assert "a0.h0->m0" not in graph.edges[:10_000]
    assert "a0.h0->m1" in graph.edges


def test_sequential_neox_has_them() -> None:
    config = tf.GPTNeoXConfig(num_hidden_layers=2, num_attention_heads=4, hidden_size=32, use_parallel_residual=False)
    assert "a0.h0->m0" in graph_of(config).edges


@pytest.mark.parametrize(
    "bad", [tf.BloomConfig(), tf.Olmo2Config(attention_bias=True), tf.OPTConfig(do_layer_norm_before=False)]
)
def test_what_has_no_exact_graph_is_refused(bad: Any) -> None:
    with pytest.raises(ModelError, match="not supported"):
        graph_of(bad)
