"""The self-check passes on every architecture, and refuses a model as soon as one thing is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import bench.engine.attention
import bench.engine.engine
from bench.engine import Engine, ModelError
from bench.engine.wiring import Wiring
from tests.engine.tiny import NAMES, tiny

BIASED = ("gpt2", "gpt_neo", "gpt_neox", "gpt_neox_sequential", "phi", "opt")
Break = Callable[..., None]


@pytest.mark.parametrize("name", NAMES)
def test_it_passes(name: str) -> None:
    Engine(tiny(name))


@pytest.mark.parametrize("name", NAMES)
def test_it_passes_in_fp64(name: str) -> None:
    Engine(tiny(name, torch.float64))


@pytest.fixture
def change_scores(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Let the engine's attention compute its pattern from other arguments."""
    own = bench.engine.attention.scores_to_pattern

    def install(change: Callable[..., tuple[Any, ...]]) -> None:
        monkeypatch.setattr(bench.engine.attention, "scores_to_pattern", lambda *args: own(*change(*args)))

    return install


@pytest.fixture
def change_wiring(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Change the model, or what the engine knows of it, after the eager logits have been taken."""

    def install(change: Callable[[Wiring], None]) -> None:
        def build(model: Any) -> Wiring:
            wiring = Wiring(model)
            with torch.no_grad():
                change(wiring)
            return wiring

        monkeypatch.setattr(bench.engine.engine, "Wiring", build)

    return install


def refused(name: str, match: str) -> None:
    with pytest.raises(ModelError, match=match):
        Engine(tiny(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_mask_is_refused(name: str, change_scores: Break) -> None:
    change_scores(lambda q, k, mask, scaling, *rest: (q, k, None, scaling, *rest))
    refused(name, "logits against eager")


@pytest.mark.parametrize("name", ["mistral", "gemma2", "gemma3", "phi3", "gpt_neo"])
def test_a_missing_window_is_refused(name: str, change_scores: Break) -> None:
    def causal(q: torch.Tensor, k: torch.Tensor, mask: torch.Tensor, *rest: Any) -> tuple[Any, ...]:
        """The causal mask and the padding alone."""
        padding = mask[:, :, -1:] < 0
        offset = padding.cumprod(dim=-1).bool() & padding
        ones = torch.ones(mask.shape[-2:], dtype=torch.bool).tril()
        real = torch.ones_like(offset) if name == "gpt_neo" else ~_padding(q)
        return q, k, torch.zeros(()).masked_fill(~(ones & real), torch.finfo(q.dtype).min), *rest

    def _padding(q: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(q), 1, 1, q.shape[2], dtype=torch.bool)

    change_scores(causal)
    refused(name, "logits against eager")


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_scale_is_refused(name: str, change_scores: Break) -> None:
    change_scores(lambda q, k, mask, scaling, *rest: (q, k, mask, 1.01 * scaling, *rest))
    refused(name, "logits against eager")


def test_a_missing_softcap_is_refused(change_scores: Break) -> None:
    change_scores(lambda q, k, mask, scaling, softcap, sinks: (q, k, mask, scaling, None, sinks))
    refused("gemma2", "logits against eager")


def test_a_missing_final_softcap_is_refused(change_wiring: Break) -> None:
    change_wiring(lambda wiring: setattr(wiring.model.config, "final_logit_softcapping", None))
    refused("gemma2", "logits against eager")


@pytest.mark.parametrize("name", BIASED)
def test_a_dropped_bias_of_the_out_projection_is_refused(name: str, change_wiring: Break) -> None:
    change_wiring(lambda wiring: wiring.blocks[1].out.bias.zero_())  # type: ignore[union-attr,operator]
    refused(name, "logits against eager")


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "phi", "opt", "qwen2"])
@pytest.mark.parametrize("part", [0, 2])
def test_a_dropped_bias_of_queries_or_values_is_refused(name: str, part: int, change_wiring: Break) -> None:
    """Only circuits and edge patching read these, so the model's own logits stay right."""

    def drop(wiring: Wiring) -> None:
        biases = list(wiring.layouts[1].biases)
        biases[part] = torch.zeros_like(biases[part])
        wiring.layouts[1].biases = tuple(biases)  # type: ignore[assignment]

    change_wiring(drop)
    refused(name, "reads of the ablating run")


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_norm_weight_is_refused(name: str, change_wiring: Break) -> None:
    """Gemma's 1 + weight, forgotten; or another slip of that size."""

    def slip(wiring: Wiring) -> None:
        norms = wiring.attention_post_norms if name == "olmo2" else wiring.attention_norms
        norms[1].weight = norms[1].weight + 0.1

    change_wiring(slip)
    refused(name, "self-check")


@pytest.mark.parametrize("name", NAMES)
def test_swapped_heads_of_the_out_projection_are_refused(name: str, change_wiring: Break) -> None:
    def swap(wiring: Wiring) -> None:
        wiring.layouts[0].w_out = wiring.layouts[0].w_out.flip(0)

    change_wiring(swap)
    refused(name, "sum of heads against the out-projection, layer 0")


@pytest.mark.parametrize("name", ["gpt2", "gpt_neo", "llama"])
def test_attention_that_bypasses_the_probe_is_refused(name: str, change_wiring: Break) -> None:
    def bypass(wiring: Wiring) -> None:
        if name == "gpt_neo":
            for block in wiring.blocks:
                del block.attention.__dict__["_attn"]
        else:
            wiring.model.set_attn_implementation("eager")

    change_wiring(bypass)
    refused(name, "attention of layer 0 ran 0 times")


def test_an_architecture_outside_the_table_is_refused_with_the_ones_inside() -> None:
    import transformers as tf

    config = tf.BloomConfig(hidden_size=16, n_layer=1, n_head=2, vocab_size=50)
    with pytest.raises(ModelError, match=r"'bloom' is not supported; use one of .*gpt2"):
        Engine(tf.BloomForCausalLM(config))


def test_two_engines_on_one_model_both_work() -> None:
    from bench.engine.sites import Site
    from tests.engine.tiny import pairs

    model = tiny("llama")
    from bench.data import pad

    tokens = pad(pairs()[0])
    first = Engine(model)
    before = first.record(tokens, [Site("pattern", 0)])[Site("pattern", 0)]
    second = Engine(model)
    for engine in (first, second):
        assert torch.equal(engine.record(tokens, [Site("pattern", 0)])[Site("pattern", 0)], before)
