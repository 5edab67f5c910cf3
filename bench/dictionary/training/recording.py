"""Activations of a model, recorded chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bench.data import Tokens
from bench.dictionary.sites import DictionarySite, parse
from bench.dictionary.training.errors import TrainingError
from bench.dictionary.training.streaming import Pair, Stream, generator

if TYPE_CHECKING:
    from bench.engine import Engine


class Recorded(Stream):
    """What a model has at a site on ``tokens`` (all of their real tokens but the first ``drop`` of each row).

    A chunk is as many rows as have about ``buffer`` tokens. Where one chunk holds them all it is recorded once and
    kept; else every epoch deals the rows anew into chunks, each recorded when its turn comes. 1 forward per row.

    ``shared`` is where what is kept lies (with its cost, which each who asks pays once): whoever looks at the same site
    on the same tokens may be given the same.
    """

    def __init__(
        self, engine: Engine, tokens: Tokens, held: Tokens, site: str, reads: str = "", *,
        batch_size: int, buffer: int, rows: int = 32, drop: int = 1, seed: int = 0,
        shared: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.engine, self.tokens, self.held = engine, tokens, held
        self.sites = [parse(name) for name in dict.fromkeys((reads or site, site))]
        for one in self.sites:
            one.engine_site(engine)
        self.seed, self.rows, self.drop = seed, rows, drop
        self.counts = (tokens.mask.sum(dim=1) - drop).clamp(min=0).cpu()
        self.batch_size = min(batch_size, max(1, int(self.counts.sum())))  # of short texts all is one batch
        self.per_chunk = max(1, int(buffer / max(1.0, float(self.counts.double().mean()))))
        self.buffer, self._kept, self._paid = buffer, {} if shared is None else shared, set[str]()

    def order(self, epoch: int) -> list[tuple[int, object]]:
        n = len(self.counts)
        if n <= self.per_chunk:
            return [(int(self.counts.sum()), torch.arange(n))]
        dealt = torch.randperm(n, generator=generator(self.seed, 0, epoch))
        return [(int(self.counts[rows].sum()), rows) for rows in dealt.split(self.per_chunk)]

    def chunk(self, made_from: object) -> Pair:
        assert isinstance(made_from, Tensor)
        if len(self.counts) > self.per_chunk:
            return self._record(self.tokens, made_from)
        return self._once("train", lambda: self._record(self.tokens, made_from))

    def held_out(self) -> Iterator[Pair]:
        parts = torch.arange(len(self.held)).split(self.rows)
        if int(self.held.mask.sum()) <= self.buffer:
            yield from self._once("held", lambda: [self._record(self.held, rows) for rows in parts])
            return
        for rows in parts:
            yield self._record(self.held, rows)

    def _once(self, key: str, make: Callable[[], Any]) -> Any:
        cost = self.engine.cost
        if key not in self._kept:
            before = replace(cost)
            found = make()
            self._kept[key] = found, cost.forwards - before.forwards
        elif key not in self._paid:
            cost.add(self._kept[key][1])
        self._paid.add(key)
        return self._kept[key][0]

    @torch.no_grad()
    def _record(self, tokens: Tokens, rows: Tensor) -> Pair:
        parts: list[list[Tensor]] = [[] for _ in self.sites]
        wanted = [site.engine_site(self.engine) for site in self.sites]
        for some in rows.split(self.rows):
            batch = tokens.select(some).to(self.engine.device)
            found = self.engine.record(batch, wanted)
            real = batch.mask & (batch.mask.cumsum(dim=1) > self.drop)
            for site, where, into in zip(self.sites, wanted, parts, strict=True):
                into.append(_finite(site.read(found[where])[real].float(), site, some))
        whole = [torch.cat(into) for into in parts]
        return whole[0], whole[-1]


def _finite(x: Tensor, site: DictionarySite, rows: Tensor) -> Tensor:
    if not bool(torch.isfinite(x).all()):
        bad = int((~torch.isfinite(x)).any(dim=-1).sum())
        raise TrainingError(
            f"activations at {site.kind}{site.layer} are not finite at {bad} of {len(x)} tokens"
            f" (contexts {int(rows.min())} to {int(rows.max())})"
        )
    return x
