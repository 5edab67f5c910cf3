"""The causal model of subject-verb agreement."""

from __future__ import annotations

from collections.abc import Mapping

from bench.task import CausalModel
from tasks.sva.templates import PAST, PRESENT

SINGULAR, PLURAL = "singular", "plural"
NUMBERS = (SINGULAR, PLURAL)
VERBS: Mapping[tuple[str, str], str] = {
    (SINGULAR, PRESENT): "is",
    (PLURAL, PRESENT): "are",
    (SINGULAR, PAST): "was",
    (PLURAL, PAST): "were",
}


class SVACausalModel(CausalModel):
    """``N``, the subject's number, is read at SUBJECT; ``T``, the tense that the beginning sets, at TENSE; ``V``, the
    verb in that number and tense, at END.

    ``N`` and ``T`` choose ``V``. The values of a prompt also hold its inputs: the ``subject`` and, where there is a
    distractor, the ``attractor`` and its number ``A``, which do not matter to the answer.
    """

    variables = ("N", "T", "V")
    classes = (("N",), ("T",), ("V",))
    positions: Mapping[str, str] = {"N": "SUBJECT", "T": "TENSE", "V": "END"}
    """Where each variable is read."""

    def values(self, subject: str, number: str, tense: str, attractor: str = "", other: str = "") -> dict[str, str]:
        """All values of a prompt; ``other`` is the number of the attractor, where there is one."""
        found = {"subject": subject, "N": number, "T": tense, "V": VERBS[number, tense]}
        return found | ({"attractor": attractor, "A": other} if attractor else {})

    def interchange(self, base: Mapping[str, str], source: Mapping[str, str], variable: str) -> dict[str, str]:
        """See :class:`bench.task.CausalModel`; can be applied again to its own result, to set several variables."""
        if variable not in self.variables:
            raise KeyError(f"no variable {variable!r}; the variables are {', '.join(self.variables)}")
        changed = {**base, variable: source[variable]}
        if variable != "V":
            changed["V"] = VERBS[changed["N"], changed["T"]]
        return {**changed, "answer": changed["V"]}
