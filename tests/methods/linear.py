"""A stand-in for the engine in which every effect has a closed form: logits are a sum of what tokens write.

Node u writes ``table[u, token]`` at each real token, and the logits are the sum over nodes and positions times the
unembedding. Nothing reads anything else, so only edges into ``logits`` have an effect, and prediction equals patching.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bench.data import Batch, Tokens, batches
from bench.graph import ComponentGraph
from bench.method import Job
from bench.objectives import OBJECTIVES

VOCABULARY, WIDTH = 11, 4


@dataclass
class Written:
    """``[B, T, n_sources, d]``, with the arithmetic that methods use."""

    x: Tensor

    def __sub__(self, other: Written) -> Written:
        return Written(self.x - other.x)


@dataclass
class Cost:
    forwards: float = 0.0
    backwards: float = 0.0


@dataclass
class LinearEngine:
    graph: ComponentGraph = field(default_factory=lambda: ComponentGraph(2, 2))
    device: str = "cpu"
    tokenizer: object = None
    cost: Cost = field(default_factory=Cost)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(3)
        self.table = torch.randn(len(self.graph.sources), VOCABULARY, WIDTH, generator=generator)
        self.unembed = torch.randn(WIDTH, VOCABULARY, generator=generator)

    def sources(self, tokens: Tokens, input: Tensor | None = None) -> Written:
        self.cost.forwards += len(tokens)
        return self._written(tokens, input)

    def logits(self, tokens: Tokens, input: Tensor | None = None) -> Tensor:
        self.cost.forwards += len(tokens)
        return self._read(self._written(tokens, input))

    def sources_and_logits(self, tokens: Tokens) -> tuple[Written, Tensor]:
        written = self.sources(tokens)
        return written, self._read(written)

    def embed(self, tokens: Tokens) -> Tensor:
        return self._written(tokens, None).x[:, :, 0]

    def patch_nodes(
        self,
        tokens: Tokens,
        replacement: Written,
        nodes: Sequence[str],
        read: Callable[[Tensor], Tensor],
        positions: Tensor | None = None,
        input: Tensor | None = None,
    ) -> Tensor:
        self.cost.forwards += len(tokens)
        where = torch.ones_like(tokens.mask) if positions is None else positions
        effects = []
        for node in nodes:
            x = self._written(tokens, input).x.clone()
            u = self.graph.source_index(node)
            x[:, :, u] = torch.where(where[:, :, None], replacement.x[:, :, u], x[:, :, u])
            effects.append(read(self._read(Written(x))))
            self.cost.forwards += len(tokens)
        return torch.stack(effects)

    def patch_edges(
        self, tokens: Tokens, replacement: Written, edges: Sequence[str], read: Callable[[Tensor], Tensor]
    ) -> Tensor:
        plain = read(self._read(self._written(tokens, None)))
        self.cost.forwards += len(tokens) * (len(edges) + 1)
        rows = []
        for edge in edges:
            source, destination = edge.split("->")
            x = self._written(tokens, None).x.clone()
            u = self.graph.source_index(source)
            x[:, :, u] = replacement.x[:, :, u]
            rows.append(read(self._read(Written(x))) if destination == "logits" else plain)
        return torch.stack(rows)

    def node_attribution(self, tokens: Tokens, delta: Callable, objective: Callable) -> Tensor:
        gradient = self._gradient(tokens, objective, None)
        return torch.einsum("btsd,bd->sb", delta(self._written(tokens, None)).x, gradient)[1:]

    def edge_attribution(
        self,
        tokens: Tokens,
        ablation: Written | None,
        clean: Written | None,
        objective: Callable[[Tensor], Tensor],
        inputs: list[Tensor | None] | None = None,
    ) -> Tensor:
        own = self._written(tokens, None)
        delta = (own if ablation is None else ablation) - (own if clean is None else clean)
        gradients = [self._gradient(tokens, objective, x) for x in (inputs or [None])]
        table = torch.zeros(len(self.graph.destinations), len(self.graph.sources))
        table[-1] = torch.einsum("btsd,bd->s", delta.x, torch.stack(gradients).mean(dim=0))
        return table

    def _gradient(self, tokens: Tokens, objective: Callable[[Tensor], Tensor], input: Tensor | None) -> Tensor:
        self.cost.forwards += len(tokens)
        self.cost.backwards += len(tokens)
        with torch.enable_grad():
            stream = self._written(tokens, input).x.sum(dim=(1, 2)).requires_grad_()
            return torch.autograd.grad(objective(stream @ self.unembed).sum(), stream)[0]

    def _written(self, tokens: Tokens, input: Tensor | None) -> Written:
        x = self.table[:, tokens.ids].permute(1, 2, 0, 3) * tokens.mask[:, :, None, None]
        if input is not None:
            x = torch.cat([input[:, :, None], x[:, :, 1:]], dim=2)
        return Written(x)

    def _read(self, written: Written) -> Tensor:
        return written.x.sum(dim=(1, 2)) @ self.unembed


def examples(count: int = 5, seed: int = 0) -> list[dict]:
    """Rows of a split: prompts of 3 to 6 tokens whose counterfactual differs in the second one."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for i in range(count):
        ids = torch.randint(VOCABULARY, (3 + i % 4,), generator=generator).tolist()
        other = [ids[0], (ids[1] + 1 + i % 9) % VOCABULARY, *ids[2:]]
        answer, wrong = (ids[1], (ids[1] + 5) % VOCABULARY)
        rows.append(
            {"ids": ids, "counterfactuals": {"other": {"ids": other}}, "answer_id": answer, "wrong_id": wrong,
             "positions": {"S2": 1, "END": len(ids) - 1}}
        )  # fmt: skip
    return rows


def job(
    engine, rows: list[dict], objective: str = "logit_diff", batch_size: int = 2, side: str = "left", **more
) -> Job:
    """A job on ``rows`` as its training split."""
    return Job(
        engine=engine,
        batches=lambda split: batches(rows, "other", batch_size, side=side),
        n_examples={"train": len(rows)},
        objective=OBJECTIVES[objective],
        counterfactual="other",
        seed=more.pop("seed", 0),
        **more,
    )


def closed_form(engine: LinearEngine, rows: list[dict], positions: str | None = None) -> Tensor:
    """``[n_sources]`` effect of each source on the logit difference, mean over rows."""
    total = torch.zeros(len(engine.graph.sources), dtype=torch.float64)
    batch: Batch
    for batch in batches(rows, "other", 1):
        delta = engine._written(batch.clean, None).x - engine._written(batch.corrupt, None).x
        if positions is not None:
            chosen = torch.zeros_like(batch.clean.mask)
            chosen[0, batch.positions[positions]] = True
            delta = delta * chosen[:, :, None, None]
        direction = engine.unembed[:, batch.answer[0]] - engine.unembed[:, batch.wrong[0]]
        total += (delta.sum(dim=(0, 1)) @ direction).double()
    return total / len(rows)
