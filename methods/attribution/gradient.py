"""The runs behind an attribution, and the objective whose gradient is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from bench.data import Batch
from bench.method import Job

if TYPE_CHECKING:
    from bench.engine import Sources

ENDS = ("clean", "corrupt")


@dataclass(frozen=True)
class Ends:
    """Both ends of a batch's attribution. Made with 2 forwards per example."""

    clean: Sources
    corrupt: Sources
    value: Callable[[Tensor], Tensor]
    """``[B, V]`` logits to ``[B]`` objective."""


def ends(job: Job, batch: Batch) -> Ends:
    """What both prompts' sources write, and the objective as a function of the logits alone."""
    corrupt = job.engine.sources(batch.corrupt)
    clean, clean_logits = job.engine.sources_and_logits(batch.clean)

    def value(logits: Tensor) -> Tensor:
        return job.objective(logits, batch, clean_logits)

    return Ends(clean, corrupt, value)


def refuse_flat(method: str, objective: str, at: str, instead: str) -> None:
    """Raise :class:`ValueError` where the objective has no gradient at the ``at`` end."""
    if objective == "kl" and at == "clean":
        raise ValueError(
            f"{method} cannot use the objective kl at the clean run alone: KL(clean || patched) is least there, so its "
            f"gradient and every score would be 0. Use {instead}, or another objective"
        )
