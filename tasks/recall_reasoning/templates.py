"""Templates: four facts, and two questions about them that differ in their relation words alone.

The slots of the facts are ``{S1}``, ``{S2}`` (subjects, in the order of mention), ``{P1}``, ``{P2}`` (the person of
the one and the other), and ``{Q1}``, ``{C1}``, ``{Q2}``, ``{C2}`` (the same people in either order, and what is said of
them). A question has ``{E}``, the subject asked about, and ``{R}``, the word that says what is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

RECALL, REASONING = "recall", "reasoning"
MODES: tuple[str, str] = (RECALL, REASONING)


@dataclass(frozen=True)
class Template:
    """The facts told, by mode the question and its relation word, and which facts recall asks for (``FACTS``)."""

    told: str
    recall: tuple[str, str]
    reasoning: tuple[str, str]
    facts: str = "capitals"

    def text(self, mode: str) -> tuple[str, str]:
        """The whole prompt with its slots, and the word for ``{R}``."""
        question, relation = self.recall if mode == RECALL else self.reasoning
        return f"{self.told} {question}", relation


_HAS = "{E} has its {R} in"

TEMPLATES: dict[str, Template] = {
    "now": Template(
        "Now {S1} employs {P1} and {S2} employs {P2}. {Q1} visits {C1} and {Q2} visits {C2}.",
        (_HAS, "capital"),
        (_HAS, "agent"),
    ),
    "today": Template(
        "Today {Q1} visits {C1} and {Q2} visits {C2}. {S1} employs {P1} and {S2} employs {P2}.",
        (_HAS, "capital"),
        (_HAS, "agent"),
    ),
    "works": Template(
        "This year, {P1} works for {S1} and {P2} works for {S2}. {Q1} lives in {C1} and {Q2} lives in {C2}.",
        ("The {R} of {E} is called", "capital"),
        ("The {R} of {E} lives in", "agent"),
    ),
    "sent": Template(
        "The leader of {S1} sent {P1} and the leader of {S2} sent {P2}. "
        "{Q1} arrived in {C1} and {Q2} arrived in {C2}.",
        ("The {R} of {E} is now the city of", "capital"),
        ("The {R} of {E} is in the city of", "agent"),
    ),
    "plays": Template(
        "In the final, {P1} plays for {S1} and {P2} plays for {S2}. {Q1} was born in {C1} and {Q2} was born in {C2}.",
        ("The {R} of {E} is now called", "capital"),
        ("The {R} for {E} was born in", "player"),
    ),
    "bought": Template(
        "At the market, {P1} bought the {S1} and {P2} bought the {S2}. {Q1} likes {C1} and {Q2} likes {C2}.",
        ("The {R} of the {E} is", "color"),
        ("The {R} of the {E} likes", "buyer"),
        "colors",
    ),
    "sold": Template(
        "On Friday, {P1} sold the {S1} and {P2} sold the {S2}. {Q1} wore {C1} and {Q2} wore {C2}.",
        ("The {R} of the {E} is", "color"),
        ("The {R} of the {E} wore", "seller"),
        "colors",
    ),
}
