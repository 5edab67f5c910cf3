"""What a method differentiates or patches towards, as a function of the logits at the read position."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from bench.data import Batch


@dataclass(frozen=True)
class Objective:
    """``value(logits, batch, clean_logits) -> [B]``; higher means closer to the clean answer.

    ``logits`` and ``clean_logits`` are ``[B, V]`` at the last real position.
    """

    name: str
    value: Callable[[Tensor, Batch, Tensor | None], Tensor]
    needs_clean: bool = False

    def __call__(self, logits: Tensor, batch: Batch, clean_logits: Tensor | None = None) -> Tensor:
        if self.needs_clean and clean_logits is None:
            raise ValueError(f"objective {self.name} needs the clean logits")
        return self.value(logits, batch, clean_logits)


def _at(values: Tensor, ids: Tensor) -> Tensor:
    return values.gather(1, ids[:, None])[:, 0]


def logit_diff(logits: Tensor, batch: Batch, clean_logits: Tensor | None = None) -> Tensor:
    """logit(answer) - logit(wrong)."""
    return _at(logits, batch.answer) - _at(logits, batch.wrong)


def prob(logits: Tensor, batch: Batch, clean_logits: Tensor | None = None) -> Tensor:
    """P(answer)."""
    return _at(logits.softmax(dim=-1), batch.answer)


def logprob(logits: Tensor, batch: Batch, clean_logits: Tensor | None = None) -> Tensor:
    """log P(answer), in nats."""
    return _at(logits.log_softmax(dim=-1), batch.answer)


def neg_kl(logits: Tensor, batch: Batch, clean_logits: Tensor | None = None) -> Tensor:
    """-KL(clean || patched), in nats: 0 at the clean run, so that higher is closer to it."""
    assert clean_logits is not None
    clean = clean_logits.log_softmax(dim=-1)
    return -(clean.exp() * (clean - logits.log_softmax(dim=-1))).sum(dim=-1)


OBJECTIVES: dict[str, Objective] = {
    "logit_diff": Objective("logit_diff", logit_diff),
    "prob": Objective("prob", prob),
    "logprob": Objective("logprob", logprob),
    "kl": Objective("kl", neg_kl, needs_clean=True),
}


def objective(name: str) -> Objective:
    """The objective called ``name``."""
    try:
        return OBJECTIVES[name]
    except KeyError:
        raise ValueError(f"unknown objective {name!r}: use one of {', '.join(OBJECTIVES)}") from None


__all__ = ["OBJECTIVES", "Objective", "objective", "logit_diff", "prob", "logprob", "neg_kl"]
