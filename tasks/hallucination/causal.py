"""The causal model of context, memory and premise."""

from __future__ import annotations

from collections.abc import Mapping

from bench.task import CausalModel
from tasks.hallucination.templates import CONFLICT, MEMORY, PREMISE, SAID


class HallucinationCausalModel(CausalModel):
    """``G`` decides where the answer comes from: ``context``, ``memory`` or ``premise``. It lets one source through.

    ``C`` is what the context says where G is ``context``, ``F`` what the premise says where G is ``premise``, and
    ``M`` what memory says of ``S``, the subject as brought to END, where G is ``memory``; each is empty where G is
    something else. The answer is what is said; it is empty where nothing is, and where two say different things (as
    when C is taken from another prompt while M is there: nothing in particular is predicted). No input tells ``S``
    from ``M``, so they make one class.

    The values of a prompt also hold its inputs, whether they are let through or not: ``setting``; ``context``, the
    language that the text states; ``memory``, the one that memory holds of the subject; ``premise``, the one that
    belongs to the country ``O`` that the text puts the subject in. And two labels: ``source``, where the answer comes
    from, and ``hallucinated``: ``yes`` where the answer goes against what it ought to rest on, which is the text in
    ``conflict`` (the answer is memory's, and the text says otherwise) and memory in ``premise`` (the answer is the
    premise's, and memory holds otherwise); else ``no``; both are empty where there is no answer.
    """

    variables = ("S", "G", "M", "C", "F")
    classes = (("S", "M"), ("C",), ("F",), ("G",))
    positions: Mapping[str, str] = dict.fromkeys(variables, "END")
    """Where each variable is read."""

    def values(
        self,
        setting: str,
        decision: str,
        subject: str,
        context: str = "",
        memory: str = "",
        premise: str = "",
        o: str = "",
    ) -> dict[str, str]:
        """All values of a prompt, from its inputs (empty where it has none)."""
        inputs = {"setting": setting, "context": context, "memory": memory, "premise": premise, "O": o}
        return self._labelled({**inputs, "S": subject, **self._let_through({**inputs, "G": decision})})

    def answer(self, values: Mapping[str, str]) -> str:
        """What is said; empty where nothing is, or different things are."""
        said = {values[variable] for variable in SAID.values()} - {""}
        return said.pop() if len(said) == 1 else ""

    def interchange(self, base: Mapping[str, str], source: Mapping[str, str], variable: str) -> dict[str, str]:
        """See :class:`bench.task.CausalModel`; can be applied again to its own result, to set several variables."""
        if variable not in self.variables:
            raise KeyError(f"no variable {variable!r}; the variables are {', '.join(self.variables)}")
        changed = {**base, variable: source[variable]}
        if variable == "S":
            changed["memory"] = source["memory"]
        if variable in ("S", "G"):
            changed |= self._let_through(changed)
        return {**self._labelled(changed), "answer": self.answer(changed)}

    @staticmethod
    def _let_through(values: Mapping[str, str]) -> dict[str, str]:
        """G, and what each source says under it."""
        said = {variable: values[source] * (values["G"] == source) for source, variable in SAID.items()}
        return {"G": values["G"], **said}

    def _labelled(self, values: Mapping[str, str]) -> dict[str, str]:
        answer = self.answer(values)
        source = next((source for source, variable in SAID.items() if values[variable]), "") if answer else ""
        right = values["context" if values["setting"] == CONFLICT else "memory"]
        swayed = {CONFLICT: MEMORY, PREMISE: PREMISE}.get(values["setting"]) == source and answer != right
        return {**values, "source": source, "hallucinated": ("yes" if swayed else "no") if answer else ""}
