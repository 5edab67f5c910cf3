"""The causal model of recall and reasoning."""

from __future__ import annotations

from collections.abc import Mapping

from bench.task import CausalModel
from tasks.recall_reasoning.fillers import RECALLED
from tasks.recall_reasoning.templates import RECALL


class RecallReasoningModel(CausalModel):
    """``mode``, what is asked, and ``E``, the subject that is asked about (say, a country), serve both circuits.
    Recall looks up ``R``, the fact about ``E`` (its capital); reasoning finds ``B``, the person that the prompt joins
    to ``E`` (the bridge: whom it employs), and ``A``, what it says of ``B`` (the city where ``B`` is).

    The answer is ``R`` or ``A``, by ``mode``. A prompt's values also hold its facts: subjects ``S1``, ``S2`` in the
    order of mention, their people ``B1``, ``B2``, and what is said of these, ``C1``, ``C2``. ``B`` and ``A`` are empty
    where the facts say nothing of the subject or person; an empty answer means that nothing is predicted.
    """

    variables = ("mode", "E", "B", "A", "R")
    classes = (("mode",), ("E",), ("B",), ("A",), ("R",))
    positions: Mapping[str, str] = dict.fromkeys(variables, "END")
    """Where each variable is read."""

    def values(
        self, mode: str, asked: str, subjects: tuple[str, str], people: tuple[str, str], ends: tuple[str, str]
    ) -> dict[str, str]:
        """All values of a prompt; ``people[i]`` goes with ``subjects[i]``, and ``ends[i]`` is said of that person."""
        pairs = {"S": subjects, "B": people, "C": ends}
        facts = {f"{kind}{i + 1}": pair[i] for kind, pair in pairs.items() for i in (0, 1)}
        return _from_subject({**facts, "mode": mode, "E": asked})

    def interchange(self, base: Mapping[str, str], source: Mapping[str, str], variable: str) -> dict[str, str]:
        """See :class:`bench.task.CausalModel`; can be applied again to its own result, to set several variables."""
        if variable not in self.variables:
            raise KeyError(f"no variable {variable!r}; the variables are {', '.join(self.variables)}")
        changed = {**base, variable: source[variable]}
        if variable == "E":
            changed = _from_subject(changed)
        elif variable == "B":
            changed = _from_bridge(changed)
        return {**changed, "answer": answer(changed)}


def answer(values: Mapping[str, str]) -> str:
    """What is said; empty where the facts do not tell."""
    return values["R"] if values["mode"] == RECALL else values["A"]


def _from_subject(values: Mapping[str, str]) -> dict[str, str]:
    employs = {values["S1"]: values["B1"], values["S2"]: values["B2"]}
    subject = values["E"]
    return _from_bridge({**values, "B": employs.get(subject, ""), "R": RECALLED.get(subject, "")})


def _from_bridge(values: Mapping[str, str]) -> dict[str, str]:
    where = {values["B1"]: values["C1"], values["B2"]: values["C2"]}
    return {**values, "A": where.get(values["B"], "")}
