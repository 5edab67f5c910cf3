"""Larger batches for small models, whose passes cost more in calls than in arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from bench.data import Batch, Tokens


def merged(batches: Iterator[Batch], max_tokens: int) -> Iterator[Batch]:
    """Neighbouring batches joined up to ``max_tokens`` tokens, padding counted; a batch is never split."""
    group: list[Batch] = []
    for batch in batches:
        width = max(b.clean.ids.shape[1] for b in [*group, batch])
        if group and width * sum(len(b) for b in [*group, batch]) > max_tokens:
            yield join(group)
            group = []
        group.append(batch)
    if group:
        yield join(group)


def join(group: Sequence[Batch]) -> Batch:
    """One batch of all examples in order, padded on the side on which they were."""
    if len(group) == 1:
        return group[0]
    width = max(b.clean.ids.shape[1] for b in group)
    right = any(not bool(b.clean.mask[:, -1].all()) for b in group)

    def tokens(parts: Sequence[Tokens]) -> Tokens:
        return Tokens(
            torch.cat([_widen(p.ids, width, right) for p in parts]),
            torch.cat([_widen(p.mask, width, right) for p in parts]),
        )

    clean = tokens([b.clean for b in group])
    positions = {}
    for name in group[0].positions:
        inside = torch.cat([b.positions[name] - b.clean.offset for b in group])
        positions[name] = inside + clean.offset
    return Batch(
        torch.cat([b.index for b in group]), clean, tokens([b.corrupt for b in group]),
        torch.cat([b.answer for b in group]), torch.cat([b.wrong for b in group]), positions,
        tuple(t for b in group for t in b.templates),
    )  # fmt: skip


def _widen(x: torch.Tensor, width: int, right: bool) -> torch.Tensor:
    """Pad ``[B, T]`` to ``width`` with zeros, which the mask hides."""
    missing = width - x.shape[1]
    return torch.nn.functional.pad(x, (0, missing) if right else (missing, 0))
