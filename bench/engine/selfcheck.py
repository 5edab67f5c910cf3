"""The start-up self-check: the engine reproduces the model's own forward, or the model is refused."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.data import Tokens, pad
from bench.engine.architectures import ModelError
from bench.engine.attention import uninstall
from bench.engine.circuit import CircuitPass
from bench.engine.sources import SourceBank, SourcePass, fold_scale
from bench.engine.wiring import Wiring

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""Largest difference, relative to the tensor's largest value."""


def probe_prompts(config: Any) -> Tokens:
    """Three prompts of unequal length, longer than a small sliding window, padded on the left."""
    limit = min(getattr(config, "max_position_embeddings", 64) or 64, 24)
    draw = torch.Generator().manual_seed(0)
    prompts = [torch.randint(config.vocab_size, (n,), generator=draw).tolist() for n in (limit, limit - 3, limit // 2)]
    return pad(prompts)


class Parity:
    """Takes the eager logits before the engine is installed, and holds the engine against them afterwards."""

    def __init__(self, model: Any) -> None:
        self.tokens = probe_prompts(model.config).to(next(model.parameters()).device)
        model.eval()
        uninstall(model, model.config.model_type)
        rows = []
        with torch.no_grad():  # prompt by prompt, so that padding is checked as well
            for ids, mask in zip(self.tokens.ids, self.tokens.mask, strict=True):
                rows.append(model(input_ids=ids[mask][None], use_cache=False).logits[0, -1])
        self.eager = torch.stack(rows)

    @torch.no_grad()
    def verify(self, wiring: Wiring) -> None:
        """Raise :class:`ModelError` with the first thing that differs."""
        current = SourcePass(wiring)
        logits = wiring.run(self.tokens, current)
        calls = [probe.calls for probe in wiring.probes]
        if any(n != 1 for n in calls):
            layer = next(i for i, n in enumerate(calls) if n != 1)
            raise ModelError(
                f"self-check: attention of layer {layer} ran {calls[layer]} times through the probe, not once"
            )
        self._same("logits against eager attention", logits, self.eager)
        self._heads(wiring, current)
        self._sum(wiring, current)
        self._circuits(wiring, current, logits)

    def _heads(self, wiring: Wiring, current: SourcePass) -> None:
        for layer, layout in enumerate(wiring.layouts):
            z = current.sources().z[layer]
            bias = getattr(wiring.blocks[layer].out, "bias", None)
            total = torch.einsum("bthe,hed->btd", z, layout.w_out)
            total = total if bias is None else total + bias
            self._same(f"sum of heads against the out-projection, layer {layer}", total, current.attention_raws[layer])

    def _sum(self, wiring: Wiring, current: SourcePass) -> None:
        bank = SourceBank(wiring, current.streams[0], centre=False)
        bank.put_all(fold_scale(current.sources()))
        total = bank.buffer.sum(dim=0)
        for block in wiring.blocks:
            bias = getattr(block.out, "bias", None)
            total = total if bias is None else total + bias
        self._same("sum of sources against the last residual", total, current.streams[-1])

    def _circuits(self, wiring: Wiring, current: SourcePass, logits: Tensor) -> None:
        """Two circuits on other prompts give the logits of the ablating run.

        In the empty one ``logits`` reads the ablation alone. In the other one every head and MLP reads the ablation,
        and writes to the logits what it makes of it, so that their reads are rebuilt right.
        """
        flipped = Tokens(self.tokens.ids.roll(1, dims=1), self.tokens.mask)
        kept = torch.zeros(wiring.graph.allowed.shape, dtype=torch.bool, device=self.tokens.ids.device)
        for what, write in (("the empty circuit", False), ("reads of the ablating run's streams", True)):
            kept[-1, 1:] = write
            run = CircuitPass(wiring, kept, current.sources(), self.tokens.last, None)
            self._same(f"{what} against the ablating run", wiring.run(flipped, run), logits)

    def _same(self, what: str, found: Tensor, expected: Tensor) -> None:
        mask = self.tokens.mask
        if found.dim() == 3:
            found, expected = found[mask], expected[mask]
        error = float((found - expected).abs().max() / expected.abs().max())
        if not error <= TOLERANCE[found.dtype]:
            raise ModelError(
                f"self-check: {what}: off by {error:.1e} of the largest value (allowed {TOLERANCE[found.dtype]:.0e}); "
                "this model's forward is not the one that the engine knows, so its figures would be wrong"
            )
