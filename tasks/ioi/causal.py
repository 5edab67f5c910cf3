"""The causal model of indirect-object identification."""

from __future__ import annotations

from collections.abc import Mapping

from bench.task import CausalModel

FIRST, SECOND, NO_SLOT = "first", "second", "none"


def slot_of(subject: str, a: str, b: str) -> str:
    """The slot of the first clause whose name is said again: ``first``, ``second`` or, where neither is, ``none``."""
    return {a: FIRST, b: SECOND}.get(subject, NO_SLOT)


def other_name(slot: str, a: str, b: str) -> str:
    """The name in the slot that is not ``slot``; empty where there is no slot."""
    return {FIRST: b, SECOND: a}.get(slot, "")


class IOICausalModel(CausalModel):
    """``D``, the slot whose name is said again, is read at S2; ``I``, the slot not to say, and ``N``, the name to
    say, at END.

    ``D`` copies to ``I``, and ``N`` is the name in the slot that ``I`` leaves over. The slots are ``first`` and
    ``second``, and ``none`` where no name is said twice; then ``N``, and the answer, is empty: nothing is predicted.
    The values of a prompt also hold its inputs, the names ``A``, ``B`` (by slot) and ``S`` (said again).
    No input tells ``D`` from ``I``, so they make one class.
    """

    variables = ("D", "I", "N")
    classes = (("D", "I"), ("N",))
    positions: Mapping[str, str] = {"D": "S2", "I": "END", "N": "END"}
    """Where each variable is read."""

    def values(self, a: str, b: str, subject: str) -> dict[str, str]:
        """All values of a prompt whose first clause names ``a`` and ``b``, and whose second names ``subject``."""
        slot = slot_of(subject, a, b)
        return {"A": a, "B": b, "S": subject, "D": slot, "I": slot, "N": other_name(slot, a, b)}

    def interchange(self, base: Mapping[str, str], source: Mapping[str, str], variable: str) -> dict[str, str]:
        """See :class:`bench.task.CausalModel`; can be applied again to its own result, to set several variables."""
        if variable not in self.variables:
            raise KeyError(f"no variable {variable!r}; the variables are {', '.join(self.variables)}")
        changed = dict(base)
        changed[variable] = source[variable]
        if variable == "D":
            changed["I"] = changed["D"]
        if variable in ("D", "I"):
            changed["N"] = other_name(changed["I"], base["A"], base["B"])
        return {**changed, "answer": changed["N"]}
