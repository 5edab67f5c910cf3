"""The causal model of multiple-choice questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.task import CausalModel

NONE = "none"


class MCQACausalModel(CausalModel):
    """``C``, the color that the statement names, is read at COLOR; ``S``, the slot of that option, and ``L``, the label
    of that slot, at END.

    ``C`` and the options set ``S``; ``S`` and the labels set ``L``. Slots count from 1; a color that is no option has
    the slot ``none``, and then the label, and the answer, is empty. The values of a prompt also hold its inputs: the
    ``thing``, the ``options`` and the ``labels``, in the order of the slots.
    """

    variables = ("C", "S", "L")
    classes = (("C",), ("S",), ("L",))
    positions: Mapping[str, str] = {"C": "COLOR", "S": "END", "L": "END"}
    """Where each variable is read."""

    def values(self, thing: str, color: str, options: Sequence[str], labels: Sequence[str]) -> dict[str, str]:
        """All values of a prompt."""
        found = {"thing": thing, "options": " ".join(options), "labels": " ".join(labels), "C": color}
        return _label(_slot(found))

    def interchange(self, base: Mapping[str, str], source: Mapping[str, str], variable: str) -> dict[str, str]:
        """See :class:`bench.task.CausalModel`; can be applied again to its own result, to set several variables."""
        if variable not in self.variables:
            raise KeyError(f"no variable {variable!r}; the variables are {', '.join(self.variables)}")
        changed = {**base, variable: source[variable]}
        if variable == "C":
            changed = _slot(changed)
        if variable != "L":
            changed = _label(changed)
        return {**changed, "answer": changed["L"]}


def _slot(values: Mapping[str, str]) -> dict[str, str]:
    options = values["options"].split()
    return {**values, "S": str(1 + options.index(values["C"])) if values["C"] in options else NONE}


def _label(values: Mapping[str, str]) -> dict[str, str]:
    labels = values["labels"].split()
    known = values["S"] != NONE and int(values["S"]) <= len(labels)
    return {**values, "L": labels[int(values["S"]) - 1] if known else ""}
