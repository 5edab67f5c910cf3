"""One attention function that sees every head of every layer, registered with ``transformers``.

The registry of attention functions is process-global, so one function is registered once and finds the pass that is
under way through a weak map keyed by the attention module. GPT-Neo has its own attention; its ``_attn`` is replaced
on the instance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask

if TYPE_CHECKING:
    from bench.engine.passes import Pass

# A name with "sdpa", "flex_attention" or "/" in it would trigger checks or be read as a hub kernel.
IMPLEMENTATION = "bench_probe"


class Probe:
    """What one attention module knows: its layer, and the pass that is under way."""

    def __init__(self, layer: int) -> None:
        self.layer = layer
        self.current: Pass | None = None
        self.calls = 0


_PROBES: WeakKeyDictionary[nn.Module, Probe] = WeakKeyDictionary()


def scores_to_pattern(
    q: Tensor, k: Tensor, mask: Tensor | None, scaling: float, softcap: float | None = None, sinks: Tensor | None = None
) -> Tensor:
    """Attention pattern ``[B, H, T, T]`` as eager attention computes it, but in q's precision where that is higher."""
    scores = torch.matmul(q, k.transpose(-1, -2)) * scaling
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if mask is not None:
        # In fp64 the lowest number plus a score overflows and a fully masked row of padding turns to NaN.
        scores = scores + (mask.clamp(min=-1e300) if scores.dtype == torch.float64 else mask)
    if sinks is not None:
        column = sinks.reshape(1, -1, 1, 1).expand(*scores.shape[:-1], 1)
        scores = torch.cat([scores, column], dim=-1)
    wide = torch.float32 if scores.dtype in (torch.float16, torch.bfloat16) else scores.dtype
    pattern = torch.softmax(scores, dim=-1, dtype=wide).to(q.dtype)
    return pattern if sinks is None else pattern[..., :-1]


def attend(
    probe: Probe, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scaling: float, **extra: Any
) -> tuple[Tensor, Tensor]:
    """Head outputs ``[B, H, T, D]`` and the pattern, with the current pass looking at q, k, v and the pattern.

    q is ``[B, H, T, D]``; k and v are ``[B, Hkv, T, D]``, or already one per query head.
    """
    probe.calls += 1
    groups = q.shape[1] // k.shape[1]
    if groups > 1:
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
    current = probe.current
    if current is not None and current.watches("heads"):
        q, k, v = current.heads(probe.layer, q, k, v)
    pattern = scores_to_pattern(q, k, mask, scaling, extra.get("softcap"), extra.get("s_aux"))
    if current is not None and current.watches("pattern"):
        pattern = current.pattern(probe.layer, pattern)
    return torch.matmul(pattern, v), pattern


def _registered(
    module: nn.Module,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **extra: Any,
) -> tuple[Tensor, Tensor]:
    probe = _PROBES[module]
    scale = q.shape[-1] ** -0.5 if scaling is None else scaling
    z, pattern = attend(probe, q, k, v, attention_mask, scale, **extra)
    return z.transpose(1, 2).contiguous(), pattern


AttentionInterface.register(IMPLEMENTATION, _registered)
# Without a mask function of its own the mask would be None, and attention silently not causal.
AttentionMaskInterface.register(IMPLEMENTATION, eager_mask)


def install(model: nn.Module, attentions: list[nn.Module], model_type: str) -> list[Probe]:
    """Give every attention module a probe and route its attention through :func:`attend`.

    Engines of one model share its probes.
    """
    probes = [_PROBES.get(module) or Probe(layer) for layer, module in enumerate(attentions)]
    for module, probe in zip(attentions, probes, strict=True):
        _PROBES[module] = probe
        if model_type == "gpt_neo":
            module._attn = _neo_attention(module, probe)  # type: ignore[assignment]
    if model_type != "gpt_neo":
        model.set_attn_implementation(IMPLEMENTATION)  # type: ignore[operator]
    return probes


def uninstall(model: nn.Module, model_type: str) -> None:
    """Give the model its own eager attention back."""
    if model_type != "gpt_neo":
        model.set_attn_implementation("eager")  # type: ignore[operator]
        return
    for module in model.modules():
        if module in _PROBES:
            module.__dict__.pop("_attn", None)


def _neo_attention(module: nn.Module, probe: Probe) -> Any:
    """GPT-Neo's ``_attn``: no scaling, and the causal or local window is a buffer of the module."""
    causal: Tensor = module.bias  # type: ignore[assignment]

    def _attn(query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        length = key.shape[-2]
        window = causal[:, :, length - query.shape[-2] : length, :length]
        low = torch.finfo(query.dtype).min
        mask = torch.zeros(window.shape, dtype=query.dtype, device=query.device).masked_fill(~window, low)
        if attention_mask is not None:
            mask = torch.maximum(mask + attention_mask, torch.full_like(mask, low))
        return attend(probe, query, key, value, mask, 1.0)

    return _attn
