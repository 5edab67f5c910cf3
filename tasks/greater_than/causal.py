"""The causal model of greater-than."""

from __future__ import annotations

from collections.abc import Mapping

from bench.task import CausalModel
from tasks.greater_than.fillers import rank, spelt
from tasks.greater_than.templates import AFTER

SIDES = {AFTER: "above", "before": "below"}


def sign(direction: str) -> int:
    """1 where later (larger) numbers come, -1 where earlier ones do."""
    return 1 if direction == AFTER else -1


class GreaterThanCausalModel(CausalModel):
    """``Y``, the start, is read at START; ``D``, the direction, at DIRECTION; ``E``, the numbers that may come ("above
    32"), at END.

    ``Y`` and ``D`` set ``E``. Many numbers may come; an example measures one of them, ``right``, against one on the
    other side of the start, ``wrong``, equally far from it. The answer under another ``E`` is the one of the two that
    may come; empty, nothing in particular, where both may; and where neither may, the number as far from the new start
    as ``right`` is from its own, on the side that may come (empty where there is none).
    """

    variables = ("Y", "D", "E")
    classes = (("Y",), ("D",), ("E",))
    positions: Mapping[str, str] = {"Y": "START", "D": "DIRECTION", "E": "END"}
    """Where each variable is read."""

    def values(self, start: str, direction: str, right: str = "", wrong: str = "") -> dict[str, str]:
        """All values of a prompt; without ``right`` and ``wrong`` where nothing in particular comes."""
        return {"Y": start, "D": direction, "E": f"{SIDES[direction]} {start}", "right": right, "wrong": wrong}

    def answer(self, values: Mapping[str, str]) -> str:
        """What is said, given ``E``, ``right`` and ``wrong``."""
        if not values["right"]:
            return ""
        side, start = values["E"].split()
        direction = sign(next(name for name, word in SIDES.items() if word == side))
        right, wrong = (direction * (rank(values[name]) - rank(start)) for name in ("right", "wrong"))
        if right > 0 or wrong > 0:
            return ("" if wrong > 0 else values["right"]) if right > 0 else values["wrong"]
        step = abs(rank(values["right"]) - rank(values["wrong"])) // 2
        return spelt(rank(start) + direction * step, start)

    def interchange(self, base: Mapping[str, str], source: Mapping[str, str], variable: str) -> dict[str, str]:
        """See :class:`bench.task.CausalModel`; can be applied again to its own result, to set several variables."""
        if variable not in self.variables:
            raise KeyError(f"no variable {variable!r}; the variables are {', '.join(self.variables)}")
        changed = {**base, variable: source[variable]}
        if variable != "E":
            changed["E"] = self.values(changed["Y"], changed["D"])["E"]
        return {**changed, "answer": self.answer(changed)}
