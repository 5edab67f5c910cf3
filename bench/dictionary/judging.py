"""What a dictionary is judged on: prompts of a task, or text, token by token; sums per example for the bootstrap."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data import Tokens
from bench.dictionary.dictionary import Dictionary, DictionaryError
from bench.dictionary.files import declared
from bench.dictionary.sites import parse
from bench.dictionary.text import TextError, pack, read_texts, split
from bench.explanation import Explanation
from bench.metric import ScoreContext, Undefined

if TYPE_CHECKING:
    from bench.engine import Engine

ROWS = 16
"""Contexts of text per batch."""
RECORDED, MOST = "dictionary activations to score", 2**27
"""Of the job's shared results: what was recorded last to score on, and how many numbers of it are kept at most."""


@dataclass(frozen=True)
class Material:
    """On what a dictionary is judged."""

    text: str = ""
    """A source of :mod:`bench.dictionary.text`; empty: the clean prompts of the scored split."""
    length: int = 128
    """Tokens per context of text."""
    held_out: float = 0.1
    """Only this share of the contexts, which training on the same text leaves out; 1: all of them."""
    skip: int = 1
    """First tokens of each row that are left as they are and not counted: attention sinks would drown the rest."""


@dataclass(frozen=True)
class Part:
    """A batch of rows."""

    tokens: Tokens
    slots: Tensor
    """``[B]`` the example that each row's figures are added to."""
    counted: Tensor
    """``[B, T]`` bool."""
    answer: Tensor | None
    """``[B]`` the right answer to each prompt; None for text."""


def parts(context: ScoreContext, material: Material) -> Iterator[Part]:
    """The rows in batches; raises :class:`Undefined` where the text cannot be used.

    Contexts of text are dealt in order to the split's examples, so that as many slices of it are resampled.
    """
    if not material.text:
        for batch in context.batches():
            yield Part(batch.clean, batch.index, _counted(batch.clean, material.skip), batch.answer)
        return
    rows = _packed(context, material)
    slots = torch.arange(len(rows)) * context.n_examples // len(rows)
    for some in torch.arange(len(rows)).split(ROWS):
        tokens = Tokens(rows[some], torch.ones_like(rows[some], dtype=torch.bool)).to(context.engine.device)
        yield Part(tokens, slots[some], _counted(tokens, material.skip), None)


def _packed(context: ScoreContext, material: Material) -> Tensor:
    """``[n, length]`` contexts of the text, read once for all metrics of a job."""
    key = ("dictionary text", material)
    if key not in context.shared:
        try:
            rows = pack(context.engine.tokenizer, read_texts(material.text), material.length)
            context.shared[key] = rows if material.held_out >= 1 else split(rows, material.held_out).held_out
        except TextError as error:
            raise Undefined(str(error)) from error
    found: Tensor = context.shared[key]
    return found


def _counted(tokens: Tokens, skip: int) -> Tensor:
    return tokens.mask & (tokens.mask.cumsum(dim=1) > skip)


def check_fit(dictionary: Dictionary, engine: Engine) -> None:
    """Raise :class:`DictionaryError` where the model has no such site, or one of another width."""
    for name, width in ((dictionary.reads, dictionary.d_in), (dictionary.site, dictionary.d_out)):
        at = parse(name)
        at.engine_site(engine)
        if (there := at.width(engine)) != width:
            raise DictionaryError(f"the dictionary has {width} dimensions at {name}, where the model has {there}")


def of(explanation: Explanation, engine: Engine) -> Dictionary:
    """The dictionary of an explanation on the engine's device; raises ``DictionaryError`` where it does not fit."""
    dictionary = declared(explanation)
    check_fit(dictionary, engine)
    return dictionary.to(engine.device)


def digest(explanation: Explanation) -> str:
    """Of the dictionary's words and tensors."""
    found = hashlib.sha256(repr(sorted(explanation.extra.get("dictionary", {}).items())).encode())
    for name in sorted(explanation.tensors):
        found.update(name.encode() + np.ascontiguousarray(explanation.tensors[name]).tobytes())
    return found.hexdigest()


def activations(engine: Engine, dictionary: Dictionary, tokens: Tokens) -> tuple[Tensor, Tensor]:
    """``[B, T, d_in]`` and ``[B, T, d_out]``: what the dictionary reads, and what it is to write. 1 forward."""
    reads, site = parse(dictionary.reads), parse(dictionary.site)
    wanted = list(dict.fromkeys((reads.engine_site(engine), site.engine_site(engine))))
    found = engine.record(tokens, wanted)
    return reads.read(found[wanted[0]]).float(), site.read(found[wanted[-1]]).float()


def recorded(
    context: ScoreContext, dictionary: Dictionary, material: Material
) -> Iterator[tuple[Part, Tensor, Tensor]]:
    """Rows with what the dictionary reads and is to write there; 1 forward per row.

    The last ones are kept for the next dictionary of the job at the same site, up to :data:`MOST` numbers.
    """
    key = (dictionary.reads, dictionary.site, material, context.split, context.task, id(context.engine))
    if context.shared.get(RECORDED, (None,))[0] == key:
        yield from context.shared[RECORDED][2]
        return
    context.shared.pop(RECORDED, None)
    kept: list[tuple[Part, Tensor, Tensor]] = []
    size = 0
    for part in parts(context, material):
        found = (part, *activations(context.engine, dictionary, part.tokens))
        size += found[1].numel() + found[2].numel()
        kept = [*kept, found] if size <= MOST else []
        yield found
    if kept and size <= MOST:
        context.shared[RECORDED] = key, context.engine, kept


@dataclass(frozen=True)
class Sums:
    """Per example, over its counted tokens; fp64."""

    tokens: NDArray[np.float64]
    """``[n]``."""
    active: NDArray[np.float64]
    """``[n]`` active latents."""
    squares: NDArray[np.float64]
    """``[n]`` squared errors of the reconstruction."""
    spread: NDArray[np.float64]
    """``[n]`` squared distances from the mean over all counted tokens."""
    fired: NDArray[np.int64]
    """``[d_sae]`` tokens at which each latent is active."""


def sums(explanation: Explanation, context: ScoreContext, material: Material) -> Sums:
    """Measured once for all metrics of a job. 1 forward per row."""
    key = ("dictionary sums", digest(explanation), material, context.split, context.task)
    if key not in context.shared:
        context.shared[key] = _sums(of(explanation, context.engine), context, material)
    return context.shared[key]


@torch.no_grad()
def _sums(dictionary: Dictionary, context: ScoreContext, material: Material) -> Sums:
    n, wide = context.n_examples, dictionary.d_out
    total, table = torch.zeros(n, wide, dtype=torch.float64), torch.zeros(4, n, dtype=torch.float64)
    fired, shift = torch.zeros(dictionary.d_sae, dtype=torch.int64), None
    for part, x, y in recorded(context, dictionary, material):
        codes = dictionary.encode(x)
        error = (y - dictionary.decode(codes, x)).double().square().sum(dim=-1)
        on = (codes != 0) & part.counted[..., None]
        shift = y[part.counted].double().mean(dim=0) if shift is None and bool(part.counted.any()) else shift
        off = (y.double() - (0 if shift is None else shift)) * part.counted[..., None]
        columns = (part.counted, on.sum(dim=-1), error * part.counted, off.square().sum(dim=-1))
        for row, values in zip(table, columns, strict=True):
            row.index_add_(0, part.slots.cpu(), values.double().sum(dim=1).cpu())
        total.index_add_(0, part.slots.cpu(), off.sum(dim=1).cpu())
        fired += on.flatten(0, 1).sum(dim=0).cpu()
    tokens, active, squares, spread = table
    if float(tokens.sum()) == 0:
        raise Undefined(f"no token is behind the first {material.skip} of its row")
    mean = total.sum(dim=0) / tokens.sum()
    spread = spread - 2 * total @ mean + tokens * mean.square().sum()
    return Sums(tokens.numpy(), active.numpy(), squares.numpy(), spread.numpy(), fired.numpy())
