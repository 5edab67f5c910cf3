"""GPT-2: learned positions, LayerNorm, biases, gelu_new MLPs, sequential blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.planting.model import Block, PlantedModel, Shape


class GPT2(PlantedModel):
    """GPT-2 with per-head parameters."""

    model_type = "gpt2"
    learned_positions, approximate = True, "tanh"

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        n, h, d, m = shape.n_layer, shape.n_head, shape.d_model, shape.d_mlp
        self.wte = nn.Parameter(torch.randn(shape.vocab, d) * 0.15)
        if self.learned_positions:
            self.wpe = nn.Parameter(torch.randn(shape.n_positions, d) * 0.15)
        self.w_qkv = nn.Parameter(torch.randn(n, 3 * h, d, d // h) * 0.12)
        self.b_qkv = nn.Parameter(torch.zeros(n, 3 * h, 1, d // h))
        self.w_o = nn.Parameter(torch.randn(n, h, d // h, d) * 0.08)
        self.b_o = nn.Parameter(torch.zeros(n, d))
        self.w_in = nn.Parameter(torch.randn(n, d, m) * 0.1)
        self.b_in = nn.Parameter(torch.zeros(n, m))
        self.w_out = nn.Parameter(torch.randn(n, m, d) * 0.04)
        self.b_out = nn.Parameter(torch.zeros(n, d))
        self.ln_w = nn.Parameter(torch.ones(2 * n + 1, d))
        self.ln_b = nn.Parameter(torch.zeros(2 * n + 1, d))

    def embed(self, ids: Tensor) -> Tensor:
        """See :class:`PlantedModel`."""
        return self.wte[ids] + self.wpe[: ids.shape[1]]

    def embeddings(self) -> list[nn.Parameter]:
        """See :class:`PlantedModel`."""
        return [self.wte, self.wpe] if self.learned_positions else [self.wte]

    def blocks(self) -> Iterator[Block]:
        """See :class:`PlantedModel`."""
        norms = list(zip(self.ln_w.unbind(0), self.ln_b.unbind(0), strict=True))
        layers = zip(
            self.w_qkv.unbind(0), self.b_qkv.unbind(0), self.w_o.unbind(0), self.b_o.unbind(0),
            self.w_in.unbind(0), self.b_in.unbind(0), self.w_out.unbind(0), self.b_out.unbind(0), strict=True,
        )  # fmt: skip
        for i, (w_qkv, b_qkv, w_o, b_o, w_in, b_in, w_out, b_out) in enumerate(layers):
            yield Block(norms[2 * i], norms[2 * i + 1], w_qkv, b_qkv, w_o, b_o, (w_in, b_in, w_out), b_out)

    def norm(self, x: Tensor, weights: tuple[Tensor, ...]) -> Tensor:
        """See :class:`PlantedModel`."""
        scale, shift = weights
        return F.layer_norm(x, (self.shape.d_model,), scale, shift)

    def final_norm(self) -> tuple[Tensor, ...]:
        """See :class:`PlantedModel`."""
        return self.ln_w[-1], self.ln_b[-1]

    def mlp(self, x: Tensor, weights: tuple[Tensor, ...]) -> Tensor:
        """See :class:`PlantedModel`."""
        w_in, b_in, w_out = weights
        return F.gelu(x @ w_in + b_in, approximate=self.approximate) @ w_out

    def start_parts(self, layer: int, head: int | None) -> dict[str, list[Tensor]]:
        """See :class:`PlantedModel`."""
        if head is None:
            return {"mlp": [self.w_in[layer]], "out": [self.w_out[layer]]}
        h = self.shape.n_head
        return {part: [self.w_qkv[layer, i * h + head]] for i, part in enumerate("qkv")} | {
            "out": [self.w_o[layer, head]]
        }

    def to_state(self) -> dict[str, Tensor]:
        """See :class:`PlantedModel`."""
        d = self.shape.d_model
        state: dict[str, Tensor] = {"transformer.wte.weight": self.wte, "transformer.wpe.weight": self.wpe}
        state |= {"transformer.ln_f.weight": self.ln_w[-1], "transformer.ln_f.bias": self.ln_b[-1]}
        for i in range(self.shape.n_layer):
            at = f"transformer.h.{i}."
            state |= {
                at + "ln_1.weight": self.ln_w[2 * i],
                at + "ln_1.bias": self.ln_b[2 * i],
                at + "ln_2.weight": self.ln_w[2 * i + 1],
                at + "ln_2.bias": self.ln_b[2 * i + 1],
                at + "attn.c_attn.weight": self.w_qkv[i].permute(1, 0, 2).reshape(d, 3 * d),
                at + "attn.c_attn.bias": self.b_qkv[i].reshape(3 * d),
                at + "attn.c_proj.weight": self.w_o[i].reshape(d, d),
                at + "attn.c_proj.bias": self.b_o[i],
                at + "mlp.c_fc.weight": self.w_in[i],
                at + "mlp.c_fc.bias": self.b_in[i],
                at + "mlp.c_proj.weight": self.w_out[i],
                at + "mlp.c_proj.bias": self.b_out[i],
            }
        return {name: value.detach().clone().contiguous() for name, value in state.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        """See :class:`PlantedModel`."""
        n, h, d = self.shape.n_layer, self.shape.n_head, self.shape.d_model

        def stack(name: str) -> Tensor:
            return torch.stack([state[f"transformer.h.{i}.{name}"].float() for i in range(n)])

        def norms(part: str) -> Tensor:
            pairs = torch.stack([stack(f"ln_1.{part}"), stack(f"ln_2.{part}")], 1).reshape(2 * n, d)
            return torch.cat([pairs, state[f"transformer.ln_f.{part}"].float()[None]])

        self.load_state_dict(
            {
                "wte": state["transformer.wte.weight"],
                "wpe": state["transformer.wpe.weight"],
                "w_qkv": stack("attn.c_attn.weight").view(n, d, 3 * h, d // h).permute(0, 2, 1, 3),
                "b_qkv": stack("attn.c_attn.bias").view(n, 3 * h, 1, d // h),
                "w_o": stack("attn.c_proj.weight").view(n, h, d // h, d),
                "b_o": stack("attn.c_proj.bias"),
                "w_in": stack("mlp.c_fc.weight"),
                "b_in": stack("mlp.c_fc.bias"),
                "w_out": stack("mlp.c_proj.weight"),
                "b_out": stack("mlp.c_proj.bias"),
                "ln_w": norms("weight"),
                "ln_b": norms("bias"),
            }
        )

    @classmethod
    def config(cls, shape: Shape) -> Any:
        """See :class:`PlantedModel`."""
        from transformers import GPT2Config

        return GPT2Config(
            vocab_size=shape.vocab,
            n_positions=shape.n_positions,
            n_embd=shape.d_model,
            n_layer=shape.n_layer,
            n_head=shape.n_head,
            n_inner=shape.d_mlp,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=0,
            architectures=["GPT2LMHeadModel"],
            dtype="float32",
        )

    @classmethod
    def shape_of(cls, config: dict[str, Any]) -> Shape:
        """See :class:`PlantedModel`."""
        names = ("vocab_size", "n_layer", "n_head", "n_embd", "n_inner", "n_positions")
        return Shape(*(config[name] for name in names))
