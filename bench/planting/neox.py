"""GPT-NeoX: rotary positions, LayerNorm, biases, exact gelu, parallel blocks (h + attention(h) + mlp(h))."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.planting.gpt2 import GPT2
from bench.planting.model import Shape
from bench.planting.rotary import THETA, rotate, tables


class NeoX(GPT2):
    """GPT-NeoX with per-head parameters: GPT-2's but for positions, activation and the order within a block.

    `Shape.rotary` is its `rotary_pct`. Pythia's .25 leaves a head of 16 dimensions 2 rates (1 and .01 per token),
    which can hardly tell one offset from another; 1 (the default here) has 8.
    """

    model_type = "gpt_neox"
    learned_positions, approximate = False, "none"
    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        cos, sin = tables(shape.n_positions, int(shape.d_head * shape.rotary))
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def embed(self, ids: Tensor) -> Tensor:
        """See :class:`PlantedModel`."""
        return self.wte[ids]

    def rotate(self, x: Tensor) -> Tensor:
        """See :class:`PlantedModel`."""
        return rotate(x, self.cos, self.sin)

    def to_state(self) -> dict[str, Tensor]:
        """See :class:`PlantedModel`; q, k and v are interleaved head by head."""
        h, d = self.shape.n_head, self.shape.d_model
        state: dict[str, Tensor] = {
            "gpt_neox.embed_in.weight": self.wte,
            "gpt_neox.final_layer_norm.weight": self.ln_w[-1],
            "gpt_neox.final_layer_norm.bias": self.ln_b[-1],
        }
        for i in range(self.shape.n_layer):
            at = f"gpt_neox.layers.{i}."
            w_qkv, b_qkv = self.w_qkv[i].view(3, h, d, -1), self.b_qkv[i].view(3, h, -1)
            state |= {
                at + "input_layernorm.weight": self.ln_w[2 * i],
                at + "input_layernorm.bias": self.ln_b[2 * i],
                at + "post_attention_layernorm.weight": self.ln_w[2 * i + 1],
                at + "post_attention_layernorm.bias": self.ln_b[2 * i + 1],
                at + "attention.query_key_value.weight": w_qkv.permute(1, 0, 3, 2).flatten(0, 2),
                at + "attention.query_key_value.bias": b_qkv.transpose(0, 1).flatten(),
                at + "attention.dense.weight": self.w_o[i].reshape(d, d).T,
                at + "attention.dense.bias": self.b_o[i],
                at + "mlp.dense_h_to_4h.weight": self.w_in[i].T,
                at + "mlp.dense_h_to_4h.bias": self.b_in[i],
                at + "mlp.dense_4h_to_h.weight": self.w_out[i].T,
                at + "mlp.dense_4h_to_h.bias": self.b_out[i],
            }
        return {name: value.detach().clone().contiguous() for name, value in state.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        """See :class:`PlantedModel`."""
        n, h, d, d_head = self.shape.n_layer, self.shape.n_head, self.shape.d_model, self.shape.d_head

        def stack(name: str) -> Tensor:
            return torch.stack([state[f"gpt_neox.layers.{i}.{name}"].float() for i in range(n)])

        def norms(part: str) -> Tensor:
            pair = stack(f"input_layernorm.{part}"), stack(f"post_attention_layernorm.{part}")
            last = state[f"gpt_neox.final_layer_norm.{part}"].float()[None]
            return torch.cat([torch.stack(pair, 1).reshape(2 * n, d), last])

        w_qkv = stack("attention.query_key_value.weight").view(n, h, 3, d_head, d)
        b_qkv = stack("attention.query_key_value.bias").view(n, h, 3, d_head)
        self.load_state_dict(
            {
                "wte": state["gpt_neox.embed_in.weight"],
                "w_qkv": w_qkv.permute(0, 2, 1, 4, 3).reshape(n, 3 * h, d, d_head),
                "b_qkv": b_qkv.transpose(1, 2).reshape(n, 3 * h, 1, d_head),
                "w_o": stack("attention.dense.weight").transpose(1, 2).reshape(n, h, d_head, d),
                "b_o": stack("attention.dense.bias"),
                "w_in": stack("mlp.dense_h_to_4h.weight").transpose(1, 2),
                "b_in": stack("mlp.dense_h_to_4h.bias"),
                "w_out": stack("mlp.dense_4h_to_h.weight").transpose(1, 2),
                "b_out": stack("mlp.dense_4h_to_h.bias"),
                "ln_w": norms("weight"),
                "ln_b": norms("bias"),
            }
        )

    @classmethod
    def config(cls, shape: Shape) -> Any:
        """See :class:`PlantedModel`."""
        from transformers import GPTNeoXConfig

        rope = {"rope_type": "default", "rope_theta": THETA, "partial_rotary_factor": shape.rotary}
        return GPTNeoXConfig(
            vocab_size=shape.vocab,
            hidden_size=shape.d_model,
            intermediate_size=shape.d_mlp,
            num_hidden_layers=shape.n_layer,
            num_attention_heads=shape.n_head,
            max_position_embeddings=shape.n_positions,
            hidden_act="gelu",
            layer_norm_eps=1e-5,
            rope_parameters=rope,
            use_parallel_residual=True,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=0,
            architectures=["GPTNeoXForCausalLM"],
            dtype="float32",
        )

    @classmethod
    def shape_of(cls, config: dict[str, Any]) -> Shape:
        """See :class:`PlantedModel`."""
        share = config["rope_parameters"]["partial_rotary_factor"]
        return Shape(
            config["vocab_size"], config["num_hidden_layers"], config["num_attention_heads"], config["hidden_size"],
            config["intermediate_size"], config["max_position_embeddings"], "neox", rotary=share,
        )  # fmt: skip
