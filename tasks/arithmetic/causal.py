"""The causal model of arithmetic with one operator."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

from bench.task import CausalModel

OPERATORS: dict[str, Callable[[int, int], int]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}


class ArithmeticCausalModel(CausalModel):
    """``X``, the first operand, ``Y``, the second one, and ``Z``, the result, are all read at END.

    ``Z`` is ``X`` and ``Y`` under the operator, and the answer. It is empty, and nothing is predicted, where it is
    below zero. Each variable is told from the others by some input.
    """

    variables = ("X", "Y", "Z")
    classes = (("X",), ("Y",), ("Z",))
    positions: Mapping[str, str] = {"X": "END", "Y": "END", "Z": "END"}
    """Where each variable is read."""

    def __init__(self, sign: str = "+") -> None:
        self.sign = sign

    def result(self, x: int, y: int) -> int:
        """The two numbers under the operator."""
        return OPERATORS[self.sign](x, y)

    def values(self, x: int, y: int) -> dict[str, str]:
        """All values of a prompt with these operands."""
        z = self.result(x, y)
        return {"X": str(x), "Y": str(y), "Z": str(z) if z >= 0 else ""}

    def interchange(self, base: Mapping[str, str], source: Mapping[str, str], variable: str) -> dict[str, str]:
        """See :class:`bench.task.CausalModel`; can be applied again to its own result, to set several variables."""
        if variable not in self.variables:
            raise KeyError(f"no variable {variable!r}; the variables are {', '.join(self.variables)}")
        changed = {**base, variable: source[variable]}
        if variable != "Z":
            changed |= self.values(int(changed["X"]), int(changed["Y"]))
        return {**changed, "answer": changed["Z"]}
