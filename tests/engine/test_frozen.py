"""Where patterns, norm scales, gates and softcaps are frozen a model is linear in its sources.

There the exact effect of every node and edge has to be the one that attribution predicts. Patterns are frozen by zero
query and key matrices (their biases stay), norm scales by an epsilon that dwarfs the variance, gates by a constant.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bench.data import pad
from bench.engine import Engine
from tests.engine.double import double
from tests.engine.tiny import NAMES, VOCAB, pairs, tiny

EPS = 1e12
WEIGHTS = torch.linspace(-1, 2, VOCAB, dtype=torch.float64).cos()


def read(logits: Tensor) -> Tensor:
    return logits @ WEIGHTS.to(logits.dtype)


def freeze(model: nn.Module) -> None:
    """Make ``model`` linear in what its sources write."""
    config = model.config
    if config.model_type.startswith("gemma"):
        config.final_logit_softcapping = None
    for module in model.modules():
        name = type(module).__name__
        if "Norm" in name:
            for attribute in ("eps", "variance_epsilon"):
                if hasattr(module, attribute):
                    setattr(module, attribute, EPS)
            offset = 1 if name.startswith("Gemma") else 0
            module.weight.copy_((module.weight + offset) * EPS**0.5 - offset)
    for name, value in model.named_parameters():
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            value.zero_()
        elif "c_attn.weight" in name:
            value[:, : 2 * config.n_embd] = 0
        elif "query_key_value.weight" in name:
            value.view(config.num_attention_heads, 3, -1, config.hidden_size)[:, :2] = 0
        elif "qkv_proj.weight" in name:
            heads = config.num_attention_heads + config.num_key_value_heads
            value[: heads * value.shape[1] // config.num_attention_heads] = 0
    _freeze_gates(model)


def _freeze_gates(model: nn.Module) -> None:
    """Gated MLPs get a constant gate, others an activation that is a constant slope."""
    gated = any(name.endswith(("gate_proj", "gate_up_proj")) for name, _ in model.named_modules())
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in ("act", "act_fn", "activation_fn"):
            if gated:
                module.register_forward_hook(lambda m, args, out: torch.full_like(out, 0.7))
            else:
                module.register_forward_hook(lambda m, args, out: 0.6 * args[0])


@pytest.mark.parametrize("name", NAMES)
def test_exact_effects_are_the_predicted_ones(name: str) -> None:
    with double():
        model = tiny(name, torch.float64)
        with torch.no_grad():
            freeze(model)
        engine = Engine(model, check=False)
        tokens, others = (pad([prompts[0]]) for prompts in pairs())
        ablation, clean = engine.sources(others), engine.sources(tokens)
        base = read(engine.logits(tokens))
        exact = engine.patch_nodes(tokens, ablation, engine.graph.components, read) - base
        predicted = engine.node_attribution(tokens, ablation - clean, read)
        assert (exact - predicted).abs().max() <= 1e-7 * exact.abs().max()
        assert (exact.abs() > 1e-3 * exact.abs().max()).float().mean() > 0.7

        effects = (engine.patch_edges(tokens, ablation, engine.graph.edges, read) - base)[:, 0]
        table = engine.edge_attribution(tokens, ablation, clean, read)
        assert (effects - table[engine.graph.edge_index]).abs().max() <= 1e-7 * effects.abs().max()
        queries = torch.tensor(["<q>" in edge or "<k>" in edge for edge in engine.graph.edges])
        assert effects[queries].abs().max() <= 1e-7 * effects.abs().max()  # nothing moves a frozen pattern


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_is_not_frozen_is_not_linear(name: str) -> None:
    engine = Engine(tiny(name), check=False)
    tokens, others = (pad([prompts[0]]) for prompts in pairs())
    ablation = engine.sources(others)
    exact = engine.patch_nodes(tokens, ablation, engine.graph.components, read) - read(engine.logits(tokens))
    predicted = engine.node_attribution(tokens, ablation - engine.sources(tokens), read)
    assert (exact - predicted).abs().max() > 1e-2 * exact.abs().max()
