"""Llama: rotary positions, RMSNorm, no biases, gated SiLU MLPs, grouped-query attention, sequential blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.planting.model import Block, PlantedModel, Shape
from bench.planting.rotary import THETA, rotate, tables

EPS = 1e-6


class Llama(PlantedModel):
    """Llama with per-head parameters: w_q per query head, w_k and w_v per head of keys and values."""

    model_type = "llama"
    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        n, h, g, d, m = shape.n_layer, shape.n_head, shape.kv_heads, shape.d_model, shape.d_mlp
        self.wte = nn.Parameter(torch.randn(shape.vocab, d) * 0.15)
        self.w_q = nn.Parameter(torch.randn(n, h, d, d // h) * 0.12)
        self.w_k = nn.Parameter(torch.randn(n, g, d, d // h) * 0.12)
        self.w_v = nn.Parameter(torch.randn(n, g, d, d // h) * 0.12)
        self.w_o = nn.Parameter(torch.randn(n, h, d // h, d) * 0.08)
        self.w_gate = nn.Parameter(torch.randn(n, d, m) * 0.1)
        self.w_up = nn.Parameter(torch.randn(n, d, m) * 0.1)
        self.w_down = nn.Parameter(torch.randn(n, m, d) * 0.06)
        self.norms = nn.Parameter(torch.ones(2 * n + 1, d))
        cos, sin = tables(shape.n_positions, shape.d_head)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def embed(self, ids: Tensor) -> Tensor:
        """See :class:`PlantedModel`."""
        return self.wte[ids]

    def blocks(self) -> Iterator[Block]:
        """See :class:`PlantedModel`."""
        share = self.shape.n_head // self.shape.kv_heads
        keys, values = (w.repeat_interleave(share, 1) for w in (self.w_k, self.w_v))
        norms = self.norms.unbind(0)
        layers = zip(
            torch.cat([self.w_q, keys, values], 1).unbind(0), self.w_o.unbind(0),
            self.w_gate.unbind(0), self.w_up.unbind(0), self.w_down.unbind(0), strict=True,
        )  # fmt: skip
        for i, (w_qkv, w_o, *mlp) in enumerate(layers):
            yield Block((norms[2 * i],), (norms[2 * i + 1],), w_qkv, None, w_o, None, tuple(mlp), None)

    def norm(self, x: Tensor, weights: tuple[Tensor, ...]) -> Tensor:
        """See :class:`PlantedModel`."""
        return F.rms_norm(x, (self.shape.d_model,), weights[0], EPS)

    def final_norm(self) -> tuple[Tensor, ...]:
        """See :class:`PlantedModel`."""
        return (self.norms[-1],)

    def mlp(self, x: Tensor, weights: tuple[Tensor, ...]) -> Tensor:
        """See :class:`PlantedModel`."""
        gate, up, down = weights
        return (F.silu(x @ gate) * (x @ up)) @ down

    def rotate(self, x: Tensor) -> Tensor:
        """See :class:`PlantedModel`."""
        return rotate(x, self.cos, self.sin)

    def start_parts(self, layer: int, head: int | None) -> dict[str, list[Tensor]]:
        """See :class:`PlantedModel`."""
        if head is None:
            return {"mlp": [self.w_gate[layer], self.w_up[layer]], "out": [self.w_down[layer]]}
        group = head // (self.shape.n_head // self.shape.kv_heads)
        return {
            "q": [self.w_q[layer, head]],
            "k": [self.w_k[layer, group]],
            "v": [self.w_v[layer, group]],
            "out": [self.w_o[layer, head]],
        }

    def to_state(self) -> dict[str, Tensor]:
        """See :class:`PlantedModel`."""
        d = self.shape.d_model
        state: dict[str, Tensor] = {"model.embed_tokens.weight": self.wte, "model.norm.weight": self.norms[-1]}
        for i in range(self.shape.n_layer):
            at = f"model.layers.{i}."
            state |= {
                at + "input_layernorm.weight": self.norms[2 * i],
                at + "post_attention_layernorm.weight": self.norms[2 * i + 1],
                at + "self_attn.q_proj.weight": self.w_q[i].transpose(1, 2).reshape(-1, d),
                at + "self_attn.k_proj.weight": self.w_k[i].transpose(1, 2).reshape(-1, d),
                at + "self_attn.v_proj.weight": self.w_v[i].transpose(1, 2).reshape(-1, d),
                at + "self_attn.o_proj.weight": self.w_o[i].reshape(d, d).T,
                at + "mlp.gate_proj.weight": self.w_gate[i].T,
                at + "mlp.up_proj.weight": self.w_up[i].T,
                at + "mlp.down_proj.weight": self.w_down[i].T,
            }
        return {name: value.detach().clone().contiguous() for name, value in state.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        """See :class:`PlantedModel`."""
        n, d, d_head = self.shape.n_layer, self.shape.d_model, self.shape.d_head

        def stack(name: str) -> Tensor:
            return torch.stack([state[f"model.layers.{i}.{name}.weight"].float() for i in range(n)])

        def heads(name: str) -> Tensor:
            return stack(f"self_attn.{name}").view(n, -1, d_head, d).transpose(2, 3)

        norms = torch.stack([stack("input_layernorm"), stack("post_attention_layernorm")], 1).reshape(2 * n, d)
        self.load_state_dict(
            {
                "wte": state["model.embed_tokens.weight"],
                "w_q": heads("q_proj"),
                "w_k": heads("k_proj"),
                "w_v": heads("v_proj"),
                "w_o": stack("self_attn.o_proj").transpose(1, 2).reshape(n, -1, d_head, d),
                "w_gate": stack("mlp.gate_proj").transpose(1, 2),
                "w_up": stack("mlp.up_proj").transpose(1, 2),
                "w_down": stack("mlp.down_proj").transpose(1, 2),
                "norms": torch.cat([norms, state["model.norm.weight"].float()[None]]),
            }
        )

    @classmethod
    def config(cls, shape: Shape) -> Any:
        """See :class:`PlantedModel`."""
        from transformers import LlamaConfig

        return LlamaConfig(
            vocab_size=shape.vocab,
            hidden_size=shape.d_model,
            intermediate_size=shape.d_mlp,
            num_hidden_layers=shape.n_layer,
            num_attention_heads=shape.n_head,
            num_key_value_heads=shape.kv_heads,
            max_position_embeddings=shape.n_positions,
            rms_norm_eps=EPS,
            rope_parameters={"rope_type": "default", "rope_theta": THETA},
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=0,
            architectures=["LlamaForCausalLM"],
            dtype="float32",
        )

    @classmethod
    def shape_of(cls, config: dict[str, Any]) -> Shape:
        """See :class:`PlantedModel`."""
        return Shape(
            config["vocab_size"], config["num_hidden_layers"], config["num_attention_heads"], config["hidden_size"],
            config["intermediate_size"], config["max_position_embeddings"], "llama", config["num_key_value_heads"],
        )  # fmt: skip
