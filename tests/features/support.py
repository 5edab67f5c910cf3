"""Dictionaries with random weights at the sites of tiny models, prompts for them, and a context for scoring."""

import torch

from bench.data import batches
from bench.dictionary.dictionary import Dictionary
from bench.engine import Engine
from bench.features.latents import Latents
from bench.metric import ScoreContext
from bench.scoring.ablation import ablation
from tests.engine.tiny import pairs, tiny
from tests.methods.linear import job

torch.set_num_threads(1)


def rows(n=9):
    clean, corrupt = pairs(tuple(9 + i // 3 % 3 for i in range(n)))
    return [
        {"ids": c, "counterfactuals": {"other": {"ids": x}}, "positions": {"END": len(c) - 1}, "answer_id": 3 + i % 5,
         "wrong_id": 9 + i % 7}
        for i, (c, x) in enumerate(zip(clean, corrupt, strict=True))
    ]  # fmt: skip


def dictionary(site, d_in, d_out=None, n=11, seed=0, activation="relu", **more):
    """Random weights: it reconstructs badly, so that the error says a lot."""
    g = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return 0.4 * torch.randn(*shape, generator=g)

    d_out = d_out or d_in
    tensors = {"W_enc": draw(d_in, n), "W_dec": draw(n, d_out), "b_enc": draw(n), "b_dec": draw(d_out)}
    if activation == "jumprelu":
        tensors["threshold"] = draw(n).abs()
    if "W_skip" in more:
        tensors["W_skip"] = draw(d_in, d_out) if more.pop("W_skip") else tensors.pop("W_skip")
    named = {"relu": "relu", "topk": "topk", "jumprelu": "jumprelu", "linear": "linear"}[activation]
    architecture = more.pop("architecture", named)
    return Dictionary(architecture, site, tensors, activation, **more)


def engine_of(name="gpt2"):
    return Engine(tiny(name), check=False)


def some(engine):
    """A dictionary of every kind that differs in how it is taken apart, over both layers."""
    d, wide = engine.d_model, engine.d_head * engine.graph.n_heads
    return Latents([
        dictionary("attn0", d, seed=1),
        dictionary("m0", d, seed=2, activation="topk", k=3),
        dictionary("stream1", d, seed=3, activation="jumprelu", scaling="layer_norm"),
        dictionary("a1", wide, seed=4, scaling="constant", scale=1.7),
        dictionary("m1", d, seed=5, architecture="transcoder", reads="mlp_in1", apply_b_dec_to_input=False,
                   W_skip=True),
        dictionary("stream2", d, seed=6, scaling="constant_norm"),
    ]).on(engine)  # fmt: skip


def here(engine, examples=None, **more):
    return job(engine, examples or rows(), **more)


def scored(engine, name="counterfactual", batch_size=4, side="left", n=9, **more):
    def made():
        return batches(rows(n), "other", batch_size, side=side)

    ablate = ablation(name, engine, made, made, seed=0)
    context = ScoreContext(engine, made, n, [str(i) for i in range(n)], name, ablate, "other", **more)
    context.on = lambda split: context
    return context
