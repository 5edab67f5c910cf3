"""The causal model of gender pronouns."""

from __future__ import annotations

from collections.abc import Mapping

from bench.task import CausalModel
from tasks.gender.templates import POSSESSIVE, SUBJECT

FEMALE, MALE = "female", "male"
GENDERS = (FEMALE, MALE)
PRONOUNS: Mapping[tuple[str, str], str] = {
    (FEMALE, SUBJECT): "she",
    (MALE, SUBJECT): "he",
    (FEMALE, POSSESSIVE): "her",
    (MALE, POSSESSIVE): "his",
}


class GenderCausalModel(CausalModel):
    """``G``, the gender of the name, is read at NAME; ``C``, the case that the last word asks for, and ``P``, the
    pronoun of that gender in that case, at END.

    ``G`` and ``C`` choose ``P``. The values of a prompt also hold its input, the ``name``.
    """

    variables = ("G", "C", "P")
    classes = (("G",), ("C",), ("P",))
    positions: Mapping[str, str] = {"G": "NAME", "C": "END", "P": "END"}
    """Where each variable is read."""

    def values(self, name: str, gender: str, case: str) -> dict[str, str]:
        """All values of a prompt about ``name`` that ends where a pronoun in ``case`` comes."""
        return {"name": name, "G": gender, "C": case, "P": PRONOUNS[gender, case]}

    def interchange(self, base: Mapping[str, str], source: Mapping[str, str], variable: str) -> dict[str, str]:
        """See :class:`bench.task.CausalModel`; can be applied again to its own result, to set several variables."""
        if variable not in self.variables:
            raise KeyError(f"no variable {variable!r}; the variables are {', '.join(self.variables)}")
        changed = {**base, variable: source[variable]}
        if variable != "P":
            changed["P"] = PRONOUNS[changed["G"], changed["C"]]
        return {**changed, "answer": changed["P"]}
