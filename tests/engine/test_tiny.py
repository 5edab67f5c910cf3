"""The tiny models are hard enough: what a test breaks must be seen in the logits."""

from __future__ import annotations

import pytest
import torch

from tests.engine.double import double
from tests.engine.tiny import LENGTHS, NAMES, WINDOW, prompts, tiny


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([prompts()[0]])).logits[0]


def moved(model: torch.nn.Module, before: torch.Tensor) -> float:
    """The change at the last position, relative to the largest logit."""
    return float((logits(model) - before)[-1].abs().max() / before[-1].abs().max())


@pytest.mark.parametrize("name", NAMES)
def test_logits_and_patterns_are_neither_flat_nor_saturated(name: str) -> None:
    model = tiny(name)
    with torch.no_grad():
        output = model(torch.tensor([prompts()[0]]), output_attentions=True)
    assert output.logits.isfinite().all()
    assert 0.5 < output.logits[0, -1].std() < 4
    last = torch.stack([pattern[0, :, -1] for pattern in output.attentions])
    entropy = -(last * last.clamp_min(1e-9).log()).sum(dim=-1)
    assert 0.4 < entropy.mean() < 2.2  # uniform over 12 is 2.48


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_moves_the_logits(name: str) -> None:
    model = tiny(name)
    model(torch.tensor([prompts()[0]])).logits[0, -1].square().mean().backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert all("k_proj.bias" in n for n in still), still  # softmax does not see a key's bias where nothing rotates


@pytest.mark.parametrize("name", NAMES)
def test_dropping_all_biases_moves_the_logits(name: str) -> None:
    model = tiny(name)
    before = logits(model)
    biases = [p for n, p in model.named_parameters() if n.endswith("bias")]
    if not biases:
        pytest.skip("no biases")
    with torch.no_grad():
        for bias in biases:
            bias.zero_()
    assert moved(model, before) > 1e-2


@pytest.mark.parametrize("name", ["mistral", "gemma2", "gemma3", "phi3", "gpt_neo"])
def test_the_window_moves_the_logits(name: str) -> None:
    assert min(LENGTHS) > WINDOW
    model = tiny(name)
    before = logits(model)
    model.config.sliding_window = 64
    for block in model.modules():
        if type(block).__name__ == "GPTNeoSelfAttention":
            block.bias = torch.ones_like(block.bias).tril()
    assert moved(model, before) > 1e-3


def test_the_attention_softcap_moves_the_logits() -> None:
    model = tiny("gemma2")
    before = logits(model)
    for block in model.model.layers:
        block.self_attn.attn_logit_softcapping = None
    assert moved(model, before) > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_fp64_is_the_same_model_and_really_fp64(name: str) -> None:
    single = logits(tiny(name))
    with double():
        exact = logits(tiny(name, torch.float64))
        again = logits(nudged(tiny(name, torch.float64), 1e-12))
    assert (single - exact).abs().max() <= 1e-4 * exact.abs().max()
    assert 0 < (exact - again).abs().max() < 1e-8  # an fp32 step on the way would be 0, or 1e-7


def nudged(model: torch.nn.Module, size: float) -> torch.nn.Module:
    with torch.no_grad():
        for value in model.parameters():
            value.mul_(1 + size)
    return model
