"""What cut edges carry: the counterfactual prompt's outputs, their mean, nothing, or another example's."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from bench.data import Batch, Tokens
from bench.metric import Undefined

if TYPE_CHECKING:
    from bench.engine import Engine, Sources

ABLATIONS = ("counterfactual", "mean", "zero", "resample")
VERSIONS = {"resample": "2"}
"""Of ablations whose meaning has changed: a figure under an older one has another key, and is measured anew. 2: the
other example is of the same template."""
CACHE_BYTES = 256 * 2**20

Batches = Callable[[], Iterator[Batch]]
Ablate = Callable[[Batch], "Sources"]


def ablation(name: str, engine: Engine, train: Batches, scored: Batches, seed: int = 0) -> Ablate:
    """The function from a batch of the scored split to what its cut edges carry; results are cached per batch.

    ``counterfactual``: the sources' outputs on the counterfactual prompt. ``mean``: each component's own mean over all
    real tokens of the clean prompts of ``train``. ``zero``: nothing. ``resample``: the outputs on another example's
    clean prompt, from the scored split, of the same length and template wherever there is one (see
    :func:`derangement`): across templates a name's place would take what stood in a verb's.
    """
    if name == "counterfactual":
        return _cached(lambda batch: engine.sources(batch.corrupt))
    if name == "zero":
        return _cached(lambda batch: engine.sources(batch.clean).zeros_like())
    if name == "mean":
        return _mean(engine, train)
    if name == "resample":
        return _resample(engine, scored, seed)
    raise ValueError(f"unknown ablation {name!r}: use one of {', '.join(ABLATIONS)}")


def mean_sources(engine: Engine, batches: Iterator[Batch]) -> Sources:
    """Each component's mean output over all real tokens of the clean prompts, as sources of one prompt and position.

    Summed in fp64. Behind a post-norm the mean is of what is written, each run's own scale included.
    """
    from bench.engine.sources import fold_scale

    sums: list[Tensor] = []
    like: Sources | None = None
    count = 0
    with torch.no_grad():
        for batch in batches:
            like = fold_scale(engine.sources(batch.clean))
            count += int(batch.clean.mask.sum())
            added = [_token_sum(x, batch.clean.mask) for x in _tensors(like)]
            sums = [a + b for a, b in zip(sums, added, strict=True)] if sums else added
    if like is None:
        raise Undefined("mean ablation needs examples in the train split")
    averages = iter([(s / count).float()[None, None] for s in sums])
    return like.map(lambda x: next(averages).to(x.dtype))


def derangement(templates: Sequence[str], lengths: Sequence[int], seed: int) -> list[int]:
    """A partner of the same length for each example, never itself, each used once: a random cycle per group.

    A group is a template's examples of one length. Those that are alone in theirs make one group per length; the only
    such one joins the largest. Raises :class:`Undefined` where an example is alone with its length.
    """
    rng = np.random.default_rng([seed, len(lengths)])
    partner = [-1] * len(lengths)
    for length in sorted(set(lengths)):
        for group in _groups([i for i, n in enumerate(lengths) if n == length], templates):
            if len(group) == 1:
                raise Undefined(f"resample ablation: only one example has {length} tokens")
            members = rng.permutation(group)
            for i, j in zip(members, np.roll(members, 1), strict=True):
                partner[int(i)] = int(j)
    return partner


def _groups(members: Sequence[int], templates: Sequence[str]) -> list[list[int]]:
    """Members by template, in order of appearance; single ones are put together, a last one to the largest."""
    alike: dict[str, list[int]] = {}
    for i in members:
        alike.setdefault(templates[i], []).append(i)
    groups = [group for group in alike.values() if len(group) > 1]
    single = [group[0] for group in alike.values() if len(group) == 1]
    if len(single) == 1 and groups:
        max(groups, key=len).append(single[0])
    elif single:
        groups.append(single)
    return groups


def _tensors(sources: Sources) -> list[Tensor]:
    """All tensors, in the order in which ``Sources.map`` visits them."""
    seen: list[Tensor] = []

    def visit(x: Tensor) -> Tensor:
        seen.append(x)
        return x

    sources.map(visit)
    return seen


def _token_sum(x: Tensor, mask: Tensor) -> Tensor:
    return x[mask].double().sum(dim=0)


def _mean(engine: Engine, train: Batches) -> Ablate:
    found: list[Sources] = []

    def ablate(batch: Batch) -> Sources:
        if not found:
            found.append(mean_sources(engine, train()))
        return found[0].expand(*batch.clean.ids.shape)

    return ablate


def _resample(engine: Engine, scored: Batches, seed: int) -> Ablate:
    others = other_prompts(scored, seed)
    return _cached(lambda batch: engine.sources(others(batch)))


def other_prompts(scored: Batches, seed: int) -> Callable[[Batch], Tokens]:
    """From a batch of the scored split to the clean prompts of other examples, by :func:`derangement`."""
    prompts: list[Tensor] = []
    partner: list[int] = []

    def found(batch: Batch) -> Tokens:
        if not prompts:
            templates: list[str] = []
            for b in scored():
                prompts.extend(b.clean.ids[row][b.clean.mask[row]] for row in range(len(b)))
                templates.extend(b.templates or [""] * len(b))
            partner.extend(derangement(templates, [len(p) for p in prompts], seed))
        ids = batch.clean.ids.clone()
        for row, index in enumerate(batch.index.tolist()):
            ids[row, batch.clean.mask[row]] = prompts[partner[index]].to(ids.device)
        return Tokens(ids, batch.clean.mask)

    return found


def _cached(ablate: Ablate, limit: int = CACHE_BYTES) -> Ablate:
    """Keep the latest results, as many as fit into ``limit`` bytes."""
    kept: OrderedDict[tuple[int, ...], Sources] = OrderedDict()
    used: dict[tuple[int, ...], int] = {}

    @torch.no_grad()
    def cached(batch: Batch) -> Sources:
        key = (batch.clean.ids.shape[1], *batch.index.tolist())
        if key not in kept:
            kept[key] = ablate(batch)
            used[key] = sum(x.numel() * x.element_size() for x in _tensors(kept[key]))
            while sum(used.values()) > limit and len(kept) > 1:
                oldest, _ = kept.popitem(last=False)
                del used[oldest]
        return kept[key]

    return cached
