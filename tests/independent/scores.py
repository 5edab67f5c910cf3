"""Write this engine's attribution scores of a GPT-2-shaped random model, with the weights and prompts, to a file."""

from __future__ import annotations

import argparse
import json

import numpy as np
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from bench.data import Tokens
from bench.engine import Engine

SIZES = {"vocab_size": 100, "n_positions": 32, "n_embd": 64, "n_layer": 4, "n_head": 4}
STEPS = 5
EXAMPLES, LENGTH = 8, 16


def random_model(seed: int) -> GPT2LMHeadModel:
    """Matrices with std .15 (patterns far from uniform at this width), biases and norms random too."""
    model = GPT2LMHeadModel(GPT2Config(**SIZES, bos_token_id=1, eos_token_id=2)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            neutral = 1.0 if ".ln_" in name and name.endswith("weight") else 0.0
            value.copy_(neutral + 0.15 * torch.randn(value.shape, generator=generator))
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", help="where to write, .npz")
    parser.add_argument("--seed", type=int, default=0)
    call = parser.parse_args()
    model = random_model(call.seed)
    generator = torch.Generator().manual_seed(call.seed + 1)
    clean, corrupt = (torch.randint(SIZES["vocab_size"], (EXAMPLES, LENGTH), generator=generator) for _ in range(2))
    answer, wrong = (torch.randint(SIZES["vocab_size"], (EXAMPLES,), generator=generator) for _ in range(2))
    mask = torch.ones_like(clean, dtype=torch.bool)
    weights = {f"w:{name}": value.detach().numpy().copy() for name, value in model.named_parameters()}

    engine = Engine(model)
    tokens, others = Tokens(clean, mask), Tokens(corrupt, mask)

    def difference(logits: Tensor) -> Tensor:
        return (logits.gather(1, answer[:, None]) - logits.gather(1, wrong[:, None]))[:, 0]

    corrupted, cleaned = engine.sources(others), engine.sources(tokens)
    start, end = engine.embed(others), engine.embed(tokens)
    line = [start + (end - start) * k / STEPS for k in range(1, STEPS + 1)]
    scores = {
        "edges": -engine.edge_attribution(tokens, corrupted, cleaned, difference),
        "edges_ig": -engine.edge_attribution(tokens, corrupted, cleaned, difference, line),
        "nodes": -engine.node_attribution(tokens, corrupted - cleaned, difference).double().sum(dim=-1),
    }
    arrays = {name: value.detach().double().numpy() for name, value in scores.items()}
    prompts = {"clean": clean, "corrupt": corrupt, "answer": answer, "wrong": wrong}
    np.savez(
        call.file, config=json.dumps(SIZES), steps=STEPS, **weights, **arrays,
        **{name: value.numpy() for name, value in prompts.items()},
    )  # fmt: skip


if __name__ == "__main__":
    main()
