"""The causal model of context, memory and premise."""

from __future__ import annotations

from collections.abc import Mapping

from bench.task import CausalModel
from tasks.hallucination.templates import CONFLICT, CONTEXT, MEMORY, PREMISE

SAID = {CONTEXT: "C", MEMORY: "M", PREMISE: "F"}
"""The variable that each source of an answer fills."""


class HallucinationCausalModel(CausalModel):
    """``G`` decides where the answer comes from, and the answer is what that source holds.

    ``G`` is ``context``, ``memory`` or ``premise``. ``C`` is the language that the text states, ``M`` the one that
    memory holds of the subject, ``F`` the one that belongs to the country that the text puts the subject in; each is
    empty where there is no such thing, and so is an answer from there. ``S`` is the subject as brought to END, from
    which ``M`` is looked up: no input tells ``S`` from ``M``, so they make one class.

    The values of a prompt also hold its ``setting``, the country ``O``, and two labels: ``source``, where the answer
    came from, and ``hallucinated``: ``yes`` where the answer goes against what it ought to rest on, which is the text
    in ``conflict`` (the answer is memory's, and the text says otherwise) and memory in ``premise`` (the answer is the
    premise's, and memory holds otherwise); else ``no``, and empty where there is no answer.
    """

    variables = ("S", "M", "C", "F", "G")
    classes = (("S", "M"), ("C",), ("F",), ("G",))
    positions: Mapping[str, str] = dict.fromkeys(variables, "END")
    """Where each variable is read."""

    def values(self, setting: str, decision: str, words: Mapping[str, str]) -> dict[str, str]:
        """All values of a prompt; ``words`` are its S, M, C, F and O, those that it has."""
        found = {name: words.get(name, "") for name in ("S", "O", "M", "C", "F")}
        return self._labelled({"setting": setting, **found, "G": decision})

    def answer(self, values: Mapping[str, str]) -> str:
        """What the deciding source holds; empty where it holds nothing."""
        return values[SAID[values["G"]]]

    def interchange(self, base: Mapping[str, str], source: Mapping[str, str], variable: str) -> dict[str, str]:
        """See :class:`bench.task.CausalModel`; can be applied again to its own result, to set several variables."""
        if variable not in self.variables:
            raise KeyError(f"no variable {variable!r}; the variables are {', '.join(self.variables)}")
        changed = {**base, variable: source[variable]}
        if variable == "S":
            changed["M"] = source["M"]
        return {**self._labelled(changed), "answer": self.answer(changed)}

    def _labelled(self, values: Mapping[str, str]) -> dict[str, str]:
        answer, right = self.answer(values), values["C" if values["setting"] == CONFLICT else "M"]
        swayed = {CONFLICT: MEMORY, PREMISE: PREMISE}.get(values["setting"]) == values["G"] and answer != right
        return {**values, "source": values["G"], "hallucinated": ("yes" if swayed else "no") if answer else ""}
