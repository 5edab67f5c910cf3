"""Prompt templates of entity tracking, after Prakash et al. 2024 (arXiv:2402.14811).

A template says how a box is told of (``{O}`` its object, ``{L}`` its label), how the tellings are joined, and how a box
is asked for (``{Q}``). The prompt ends right before the object.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Template:
    """The parts of a prompt; :meth:`pattern` puts them together for a number of boxes."""

    first: str
    rest: str
    query: str
    comma: str = ", "
    last: str = ", "
    """Before the last of three boxes or more."""
    pair: str = ", "
    """Between two boxes."""

    def pattern(self, boxes: int) -> str:
        """The prompt for ``boxes`` boxes, with the slots ``{O1}``, ``{L1}``, ``{O2}`` and so on, and ``{Q}``."""
        told = [(self.first if i == 0 else self.rest) for i in range(boxes)]
        told = [part.replace("{O}", f"{{O{i}}}").replace("{L}", f"{{L{i}}}") for i, part in enumerate(told, start=1)]
        joined = self.comma.join(told[:-1]) + (self.pair if boxes == 2 else self.last) + told[-1]
        return joined + self.query


TEMPLATES: dict[str, Template] = {
    "in": Template("The {O} is in Box {L}", "the {O} is in Box {L}", ". Box {Q} contains the"),
    "put": Template(
        "We put the {O} in Box {L}", "the {O} in Box {L}", ". Box {Q} contains the", last=", and ", pair=" and "
    ),
    "contains": Template(
        "Box {L} contains the {O}", "Box {L} contains the {O}", ". Box {Q} contains the", last=", and ", pair=" and "
    ),
    "short": Template("{O} in {L}", "{O} in {L}", ". {Q} has"),
}
"""``in`` is the paper's. In ``contains``, the format of the paper's first data, the label comes before the object.
``short``, four tokens a box and two more, is for the planted models' vocabulary."""

LAST_RESORT = "short"
"""Read only by tokenizers that cannot read the others, or where it is asked for by name."""

MOST_BOXES = 7
