"""The run whose gradient is taken, the run at the other end, and the objective between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from bench.data import Batch, Tokens
from bench.method import Job
from methods.common import one_of

if TYPE_CHECKING:
    from bench.engine import Sources

ENDS = ("clean", "corrupt")
RULES = (*ENDS, "midpoint")
"""Which shares of a line are taken: with the clean end in, with the corrupt end in, or the middles of equal parts."""


@dataclass(frozen=True)
class Ends:
    """A differentiated run, which tells its own sources as it goes, and the other end, which takes 1 forward."""

    tokens: Tokens
    """The prompts of the differentiated run."""
    clean: Sources | None
    """What the sources write on the clean prompts; None where that is the differentiated run."""
    corrupt: Sources | None
    value: Callable[[Tensor], Tensor]
    """``[B, V]`` logits to ``[B]`` objective. At the clean end the first logits that it is given are the clean ones."""

    def delta(self, own: Sources) -> Sources:
        """clean - corrupt, so that a positive product with the gradient helps the answer."""
        clean = own if self.clean is None else self.clean
        return clean - (own if self.corrupt is None else self.corrupt)


def ends(job: Job, batch: Batch, at: str) -> Ends:
    """The run at the end ``at`` for differentiating, and the sources of the other."""
    if at == "clean":
        return Ends(batch.clean, None, job.engine.sources(batch.corrupt), clean_objective(job, batch))
    clean, clean_logits = job.engine.sources_and_logits(batch.clean)
    return Ends(batch.corrupt, clean, None, lambda logits: job.objective(logits, batch, clean_logits))


def clean_objective(job: Job, batch: Batch) -> Callable[[Tensor], Tensor]:
    """The objective of logits ``[B, V]``, for methods whose first logits are the clean ones."""
    clean_logits: Tensor | None = None

    def value(logits: Tensor) -> Tensor:
        nonlocal clean_logits
        if clean_logits is None:
            clean_logits = logits.detach()
        return job.objective(logits, batch, clean_logits)

    return value


def middle(job: Job, batch: Batch) -> Ends:
    """Both ends' sources, for gradients of runs in between. 2 forwards."""
    clean, clean_logits = job.engine.sources_and_logits(batch.clean)
    return Ends(batch.clean, clean, job.engine.sources(batch.corrupt), lambda x: job.objective(x, batch, clean_logits))


def shares(steps: int, include: str) -> list[float]:
    """``steps`` shares of the way from the corrupt end (0) to the clean one (1), by one of :data:`RULES`."""
    if include == "midpoint":
        return [(k + 0.5) / steps for k in range(steps)]
    return [k / steps for k in (range(1, steps + 1) if include == "clean" else range(steps))]


def check_steps(steps: int, include: str, method: str, objective: str) -> None:
    """Raise :class:`ValueError` for a line without points, or with one at which the objective has no gradient."""
    one_of("include", include, RULES)
    if steps < 1:
        raise ValueError(f"steps={steps}: give at least 1")
    if steps == 1:
        refuse_flat(method, objective, include, "more steps, include=corrupt")


def refuse_flat(method: str, objective: str, at: str, instead: str) -> None:
    """Raise :class:`ValueError` where the objective has no gradient at the ``at`` end."""
    if objective == "kl" and at == "clean":
        raise ValueError(
            f"{method} cannot use the objective kl at the clean run alone: KL(clean || patched) is least there, so its "
            f"gradient and every score would be 0. Use {instead}, or another objective"
        )
