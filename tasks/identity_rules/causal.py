"""The causal model of identity rules."""

from __future__ import annotations

from collections.abc import Mapping

from bench.task import CausalModel

ABA, ABB = "ABA", "ABB"
FIRST, SECOND = "first", "second"
SLOT = {ABA: FIRST, ABB: SECOND}
"""The slot of an item that its third word repeats."""


class IdentityRulesCausalModel(CausalModel):
    """``rule`` is abstracted at the items' third words (read at the last of them, THIRD); ``slot``, the slot of the
    query to repeat, and ``answer``, the word in it, are found at END.

    ``rule`` gives ``slot``, and no input tells them apart, so they make one class. The values of a prompt also hold
    its query, ``A`` and ``B``.
    """

    variables = ("rule", "slot", "answer")
    classes = (("rule", "slot"), ("answer",))
    positions: Mapping[str, str] = {"rule": "THIRD", "slot": "END", "answer": "END"}
    """Where each variable is read."""

    def values(self, rule: str, a: str, b: str) -> dict[str, str]:
        """All values of a prompt whose items follow ``rule`` and whose query is ``a``, ``b``."""
        slot = SLOT[rule]
        return {"A": a, "B": b, "rule": rule, "slot": slot, "answer": {FIRST: a, SECOND: b}[slot]}

    def interchange(self, base: Mapping[str, str], source: Mapping[str, str], variable: str) -> dict[str, str]:
        """See :class:`bench.task.CausalModel`; can be applied again to its own result, to set several variables."""
        if variable not in self.variables:
            raise KeyError(f"no variable {variable!r}; the variables are {', '.join(self.variables)}")
        changed = {**base, variable: source[variable]}
        if variable == "rule":
            changed["slot"] = SLOT[changed["rule"]]
        if variable in ("rule", "slot"):
            changed["answer"] = {FIRST: base["A"], SECOND: base["B"]}[changed["slot"]]
        return changed
