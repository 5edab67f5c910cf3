"""Costs of the engine in bare forwards, as ratios of interleaved medians in one process. Run by hand:

    python tests/perf/engine_cost.py                      # GPT-2-small shape, random weights
    python tests/perf/engine_cost.py --model DIRECTORY    # a real model, 64 prompts of 22 tokens

A bare forward is the model's own (sdpa where it has it) with only the last position unembedded. Peak memory is what
the process holds above the model after each measurement (resident, high-water mark in a fork of its own).
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from bench.data import Tokens
from bench.engine import Engine

SIZES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def random_tokens(vocabulary: int, rows: int, width: int, seed: int) -> Tokens:
    draw = torch.Generator().manual_seed(seed)
    return Tokens(torch.randint(vocabulary, (rows, width), generator=draw), torch.ones(rows, width, dtype=torch.bool))


class Subject:
    """A model, its engine, and the work to be timed."""

    def __init__(self, bare: Any, model: Any, rows: int, width: int, steps: int) -> None:
        self.bare, self.engine, self.steps = bare.eval(), Engine(model), steps
        vocabulary = model.config.vocab_size
        self.clean, self.corrupt = (random_tokens(vocabulary, rows, width, seed) for seed in (0, 1))
        self.answer, self.wrong = 5, 7
        scores = torch.randn(self.engine.graph.n_edges, generator=torch.Generator().manual_seed(2))
        order = scores.argsort(descending=True)
        self.tables = []
        for size in SIZES:
            kept = torch.zeros(len(order), dtype=torch.bool)
            kept[order[: int(size * len(order))]] = True
            self.tables.append(torch.from_numpy(self.engine.graph.edge_mask(kept.numpy())))

    def value(self, logits: torch.Tensor) -> torch.Tensor:
        return logits[:, self.answer] - logits[:, self.wrong]

    def forward(self) -> None:
        with torch.no_grad():
            self.bare(input_ids=self.clean.ids, use_cache=False, logits_to_keep=1)

    def forward_backward(self) -> None:
        """The model's own forward and a backward through activations alone."""
        embeds = self.bare.get_input_embeddings()(self.clean.ids).detach().requires_grad_()
        self.bare.requires_grad_(False)
        logits = self.bare(inputs_embeds=embeds, use_cache=False, logits_to_keep=1).logits[:, -1]
        torch.autograd.grad(self.value(logits).sum(), embeds)

    def contraction(self) -> None:
        """The plain matrix products of all differences with all gradients, once."""
        graph, like = self.engine.graph, self.engine.embed(self.clean)
        sources = like.new_ones(len(graph.sources), like.numel())
        gradients = like.new_ones(3 * graph.n_heads, like.numel())
        for layer in range(graph.n_layers):
            gradients @ sources[: graph.visible(layer)].T
            gradients[:1] @ sources[: graph.visible(layer, mlp=True)].T

    def sweep(self) -> None:
        heads = [name for name in self.engine.graph.components if name.startswith("a")]
        self.engine.patch_nodes(self.clean, self.engine.sources(self.corrupt), heads, self.value)

    def eap(self) -> None:
        self.engine.edge_attribution(self.clean, None, self.engine.sources(self.corrupt), self.value)

    def eap_ig(self) -> None:
        corrupt, clean = self.engine.sources(self.corrupt), self.engine.embed(self.clean)
        line = [corrupt.input + k / self.steps * (clean - corrupt.input) for k in range(1, self.steps)]
        self.engine.edge_attribution(self.clean, None, corrupt, self.value, [*line, None])

    def curve(self) -> None:
        self.engine.logits(self.clean)
        ablation = self.engine.sources(self.corrupt)
        for kept in self.tables:
            self.value(self.engine.run_circuit(self.clean, kept, ablation))


def seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_mib(subject: Subject, work: Callable[[], None]) -> float:
    """Resident memory that ``work`` adds at its peak, in MiB, in a fork of its own without the engine's scratch."""
    subject.engine.wiring._scratch = None
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        torch.set_num_threads(1)  # the fork has no thread pool
        before = _status("VmRSS")
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        work()
        os.write(writer, str((_status("VmHWM") - before) / 1024).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writer)
    return float(os.read(reader, 64).decode() or "nan")


def _status(key: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key))


def measure(subject: Subject, names: list[str], rounds: int) -> dict[str, float]:
    """Median seconds of each piece of work, taken in turn."""
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name in names:
            spent = seconds(getattr(subject, name))
            if turn:
                taken[name].append(spent)
    return {name: statistics.median(values) for name, values in taken.items()}


def report(subject: Subject, rounds: int, real: bool) -> None:
    names = ["forward", "forward_backward", "contraction", "eap", "eap_ig", "curve"] + ([] if real else ["sweep"])
    found = measure(subject, names, rounds)
    bare, heads = found["forward"], subject.engine.graph.n_layers * subject.engine.graph.n_heads
    backward = found["forward_backward"] - bare
    contraction = found["contraction"]
    print(f"bare {bare * 1e3:.1f} ms, backward {backward / bare:.2f} forwards, contraction {contraction / bare:.2f}")
    plain = (subject.steps + 1) * bare + subject.steps * backward + contraction
    limits = {"eap": 5.8, "eap_ig": 15.8, "curve": 33.0} if real else {"curve": 36.0, "sweep": 0.6 * heads}
    for name in names[3:]:
        limit = f", at most {limits[name]:.1f}" if name in limits else ""
        peak = peak_mib(subject, getattr(subject, name))
        print(f"{name:8s} {found[name] / bare:7.2f} forwards{limit}; peak +{peak:.0f} MiB")
    ratio, m = found["eap_ig"] / plain, subject.steps
    print(f"eap_ig / ({m + 1} forwards + {m} backwards + contraction) = {ratio:.2f}, at most 1.30")
    if not real:
        print(f"sweep per head {found['sweep'] / bare / heads:.3f} forwards, at most 0.600")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", help="a transformers directory; default: a random model of GPT-2-small's shape")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if options.model:
        bare, model = (AutoModelForCausalLM.from_pretrained(options.model) for _ in range(2))
        rows, width = 64, 22
    else:
        bare, model = GPT2LMHeadModel(GPT2Config()), GPT2LMHeadModel(GPT2Config())
        rows, width = 16, 16
    print(f"{rows} prompts of {width} tokens, {options.threads} threads, torch {torch.__version__}", file=sys.stdout)
    report(Subject(bare, model, rows, width, options.steps), options.rounds, bool(options.model))


if __name__ == "__main__":
    main()
