"""First weights for mechanisms of several steps, where lanes alone (:func:`bench.planting.start.start`) are too little.

A word's code is a fixed linear map of its embedding, and every lane that carries words carries that code. A head whose
queries and keys read such lanes starts as a comparison of codes, and one whose values read such a lane starts as a
copy into the lanes that it writes. Nothing holds the weights there afterwards: training decides what stays, and the
evidence is measured on what came of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.planting.architectures import build
from bench.planting.model import PlantedModel
from bench.planting.spec import PlantSpec, Role
from bench.planting.start import start

REST = 0.1
"""How much of a head's random weights is left where codes are put."""


@dataclass(frozen=True)
class Codes:
    """How strongly heads start to match and to copy.

    width: dimensions of a code; every lane but the embeddings' (and `place`, `free`) is as wide. compare: the gain of
    queries and keys each. copy: that of values times outputs; say: the same for heads that write into the embeddings'
    lane. negative, backup: factors to `say` for these roles. place: the lane that position embeddings start in.
    free: lanes that hold no codes. second: lanes that are compared with each other alone, apart from the others, where
    a head asks for two things at once.
    """

    width: int
    compare: float = 1.6
    copy: float = 0.35
    say: float = 1.0
    negative: float = -0.3
    backup: float = 0.5
    place: str | None = None
    free: tuple[str, ...] = ()
    second: tuple[str, ...] = ()


def matched(spec: PlantSpec, codes: Codes, seed: int) -> PlantedModel:
    """The seed's first weights (:func:`start`), with codes where roles read and write lanes; random state is kept."""
    model = start(spec, seed)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        build(spec.shape)  # draws what `start` draws, so that the lanes are the same
        plan = _Plan(spec, codes)
        if codes.place:
            project = plan.lanes[codes.place]
            table = model.embeddings()[1]
            table.copy_(torch.randn_like(table) * 0.3 @ project @ project.T)
        done: set[int] = set()
        for name, role in spec.roles.items():
            if "." in name:
                plan.put(model, name, role, done)
    return model


class _Plan:
    """The lanes as `start` draws them, what maps embeddings to codes, and where in a head codes are compared."""

    def __init__(self, spec: PlantSpec, codes: Codes) -> None:
        d, widths = spec.shape.d_model, list(spec.lanes.values())
        basis = torch.linalg.qr(torch.cat([torch.ones(d, 1), torch.randn(d, d - 1)], 1)).Q[:, 1:]
        self.lanes = dict(zip(spec.lanes, basis[:, : sum(widths)].split(widths, 1), strict=True))
        self.codes, self.words = codes, str(spec.embedding_lane)
        wide, size, apart = spec.lanes[self.words], spec.shape.d_head, 2 if codes.second else 1
        if size < (needed := max(wide, apart * codes.width)):
            raise ValueError(f"{spec.task}: heads have {size} dimensions, too few for {needed}")
        for name in self.lanes:
            if name not in (codes.place, self.words, *codes.free) and spec.lanes[name] != codes.width:
                raise ValueError(f"{spec.task}: lane {name} is {spec.lanes[name]} wide, codes {codes.width}")
        code = torch.linalg.qr(torch.randn(wide, codes.width)).Q
        self.coders = {**self.lanes, self.words: self.lanes[self.words] @ code}
        self.compare = torch.zeros(apart, codes.width, size)
        for i, dimensions in enumerate(_slow(apart * codes.width, size).view(apart, -1)):
            self.compare[i][:, dimensions] = torch.linalg.qr(torch.randn(codes.width, codes.width)).Q
        self.carry = torch.linalg.qr(torch.randn(size, max(wide, codes.width))).Q.T

    def put(self, model: PlantedModel, name: str, role: Role, done: set[int]) -> None:
        """Write a head's first weights; what a group of heads shares is written once (`done` holds addresses)."""
        layer, head = (int(part[1:]) for part in name.split("."))
        parts = {part: weights[0] for part, weights in model.start_parts(layer, head).items()}
        read = {part: self._coded(role.reads.get(part, ())) for part in "qkv"}
        if read["q"] and read["k"] and {*read["q"], *read["k"]} != {self.words}:
            for part in "qk":
                reader = [self.coders[lane] @ self.compare[int(lane in self.codes.second)] for lane in read[part]]
                _start_from(parts[part], torch.stack(reader).sum(0) * self.codes.compare, done)
        writes = self._coded(role.writes)
        if read["v"] and writes:
            whole = read["v"] == writes == (self.words,)  # a word as it is, and not just its code
            table, carry = (self.lanes, self.carry) if whole else (self.coders, self.carry[: self.codes.width])
            _start_from(parts["v"], torch.stack([table[lane] for lane in read["v"]]).sum(0) @ carry, done)
            writer = torch.stack([table[lane] for lane in writes]).sum(0)
            parts["out"].mul_(REST).add_(carry.T @ writer.T * self._gain(role, writes))

    def _coded(self, lanes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(lane for lane in lanes if lane not in (self.codes.place, *self.codes.free))

    def _gain(self, role: Role, writes: tuple[str, ...]) -> float:
        gain = self.codes.say if self.words in writes else self.codes.copy
        return gain * {"negative": self.codes.negative, "backup": self.codes.backup}.get(role.role, 1.0)


def _start_from(weight: Tensor, value: Tensor, done: set[int]) -> None:
    """`value`, and a little of what was there."""
    if weight.data_ptr() not in done:
        done.add(weight.data_ptr())
        weight.mul_(REST).add_(value)


def _slow(width: int, size: int) -> Tensor:
    """The dimensions of a head that rotary positions turn the least, in pairs; any will do where nothing is turned."""
    half = size // 2
    pairs = torch.arange(half - 1, max(-1, half - 1 - (width + 1) // 2), -1)
    return torch.stack([pairs, pairs + half], 1).flatten()[:width]
