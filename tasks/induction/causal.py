"""The causal model of induction with trigger bigrams."""

from __future__ import annotations

from collections.abc import Mapping

from bench.task import CausalModel


def said(asked: str, triggers: tuple[str, str], outputs: tuple[str, str]) -> str:
    """The output behind the trigger ``asked``; empty where it is not the one of exactly one output."""
    found = [output for trigger, output in zip(triggers, outputs, strict=True) if trigger == asked]
    return found[0] if len(found) == 1 else ""


class InductionCausalModel(CausalModel):
    """``T``, the trigger asked about, and ``N``, the word to say, are read at END; ``P``, the two words that stand
    right before the outputs, in the order of the text, is read at the outputs, O1 and O2.

    ``N`` is the output before which ``P`` has the trigger ``T``; it is empty, and nothing is predicted, where that is
    none of them. The values of a prompt also hold its other inputs, the outputs ``O1`` and ``O2``, in the order of
    the text. Each variable is told from the others by some input.
    """

    variables = ("T", "P", "N")
    classes = (("T",), ("P",), ("N",))
    positions: Mapping[str, tuple[str, ...]] = {"T": ("END",), "P": ("O1", "O2"), "N": ("END",)}
    """Where each variable is read."""

    def values(self, asked: str, triggers: tuple[str, str], outputs: tuple[str, str]) -> dict[str, str]:
        """All values of a prompt with these triggers and outputs (in the order of the text) and this last word."""
        return {
            "T": asked,
            "P": " ".join(triggers),
            "O1": outputs[0],
            "O2": outputs[1],
            "N": said(asked, triggers, outputs),
        }

    def interchange(self, base: Mapping[str, str], source: Mapping[str, str], variable: str) -> dict[str, str]:
        """See :class:`bench.task.CausalModel`; can be applied again to its own result, to set several variables."""
        if variable not in self.variables:
            raise KeyError(f"no variable {variable!r}; the variables are {', '.join(self.variables)}")
        changed = {**base, variable: source[variable]}
        if variable != "N":
            first, second = changed["P"].split()
            changed["N"] = said(changed["T"], (first, second), (base["O1"], base["O2"]))
        return {**changed, "answer": changed["N"]}
