"""Problems (a pair of operands), and the problems of a split that can stand in for one as its counterfactuals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tasks._common import one
from tasks.arithmetic.causal import OPERATORS

COMMUTATIVE = ("+", "*")

Operands = tuple[int, int]


def problem(x: int, y: int, sign: str) -> str:
    """The label of a problem; where the operator is commutative, both orders are one problem."""
    low, high = sorted((x, y)) if sign in COMMUTATIVE else (x, y)
    return f"{low} {sign} {high}"


def offered(largest: int, sign: str) -> tuple[str, ...]:
    """All problems with operands from 0 to ``largest`` and a result that is not below zero."""
    numbers = range(largest + 1)
    return tuple(problem(x, y, sign) for x in numbers for y in numbers if (x <= y if sign in COMMUTATIVE else x >= y))


def orders(label: str) -> tuple[Operands, ...]:
    """The operands of a problem in each order that it stands for."""
    first, sign, second = label.split()
    x, y = int(first), int(second)
    return ((x, y), (y, x)) if sign in COMMUTATIVE and x != y else ((x, y),)


@dataclass(frozen=True)
class Grid:
    """The problems of a split, ordered by what they share."""

    sign: str
    within: int
    by_x: dict[int, list[Operands]]
    by_y: dict[int, list[Operands]]
    by_result: dict[int, list[Operands]]

    def result(self, operands: Operands) -> int:
        """What comes out."""
        return OPERATORS[self.sign](*operands)

    def others(self, clean: Operands) -> dict[str, list[Operands]]:
        """By counterfactual, the problems that can stand in: they share what it keeps, and the result differs.

        ``both``: with a result at most ``within`` away.
        """
        x, y = clean
        near = [n for d in range(1, self.within + 1) for n in (self.result(clean) - d, self.result(clean) + d)]
        return {
            "both": [(a, b) for z in near for a, b in self.by_result.get(z, []) if a != x and b != y],
            "operand1": [p for p in self.by_y[y] if p[0] != x and self.result(p) != self.result(clean)],
            "operand2": [p for p in self.by_x[x] if p[1] != y and self.result(p) != self.result(clean)],
        }

    def afresh(self, clean: Operands, rng: np.random.Generator) -> Operands | None:
        """A problem with other operands and another result, or None where the draw did not work out."""
        drawn = one(rng, self.by_result[one(rng, list(self.by_result))])
        other = drawn[0] != clean[0] and drawn[1] != clean[1] and self.result(drawn) != self.result(clean)
        return drawn if other else None


@lru_cache(maxsize=8)
def grid(problems: tuple[str, ...], sign: str, within: int) -> Grid:
    """The problems of a pool as a grid."""
    found = Grid(sign, within, {}, {}, {})
    for operands in (pair for label in problems for pair in orders(label)):
        for index, key in ((found.by_x, operands[0]), (found.by_y, operands[1]), (found.by_result, None)):
            index.setdefault(found.result(operands) if key is None else key, []).append(operands)
    return found


@lru_cache(maxsize=8)
def askable(problems: tuple[str, ...], sign: str, within: int) -> dict[str, list[Operands]]:
    """The problems that have all counterfactuals, with the operands in the orders in which they do."""
    whole = grid(problems, sign, within)
    found = {label: [pair for pair in orders(label) if all(whole.others(pair).values())] for label in problems}
    return {label: pairs for label, pairs in found.items() if pairs}
