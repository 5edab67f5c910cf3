"""What a picture of one cell is made of: its nodes' scores and, on planted models, the roles of the known circuit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.board.record import CellRecord

_HEAD = re.compile(r"a(\d+)\.h(\d+)")
_MLP = re.compile(r"m(\d+)")
MLP = -1


@dataclass(frozen=True)
class Look:
    """One cell's explanation, summed by node."""

    scores: Mapping[str, float] = field(default_factory=dict)
    """Signed, by node; from edge scores the sum over outgoing edges, from positions their sum."""
    roles: Mapping[str, str] | None = None
    """Role by node on a planted model; None where no circuit is known."""
    circuit: str = ""
    """What tells one known circuit from another: the model's revision."""
    why: str = ""
    """Why there are no scores, or no roles."""


Looks = Callable[[CellRecord], Look]


def of_nodes(components: Sequence[str], scores: NDArray[np.float32]) -> dict[str, float]:
    """Signed scores by node, ``input`` left out; ``scores`` is ``[n]`` or ``[n, positions]``.

    An edge ``source->destination`` counts for its source; anything within a head or an MLP for that one. Raises
    :class:`ValueError` on a component that is none of these.
    """
    flat = scores.astype(np.float64).reshape(len(components), -1).sum(axis=1)
    found: dict[str, float] = {}
    for name, value in zip(components, flat, strict=True):
        source = name.split("->")[0]
        if source == "input":
            continue
        match = _HEAD.match(source) or _MLP.match(source)
        if match is None:
            raise ValueError(f"{name[:40]!r} is no head, MLP or edge between them")
        found[match.group()] = found.get(match.group(), 0.0) + float(value)
    return found


def place(node: str) -> tuple[int, int]:
    """Layer and head of a node; the head is `MLP` for an MLP. Raises :class:`ValueError` on other names."""
    if match := _HEAD.fullmatch(node):
        return int(match.group(1)), int(match.group(2))
    if match := _MLP.fullmatch(node):
        return int(match.group(1)), MLP
    raise ValueError(f"{node[:40]!r} is neither a head nor an MLP")
