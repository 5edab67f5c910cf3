"""What the evidence of the planted models is taken on; apart from what makes them, so that it may change alone."""

from __future__ import annotations

from bench.planting.evidence.checks import Bound, Checks
from tasks.entity_tracking.plant_prompts import MANY

MIXED = {"all": 0.4, "positional": 0.2, "object": 0.1, "label": 0.15, "random": 0.15}
ABOUT = """
Prompts are "apple in A, ball in B. A has" with {boxes} boxes. Sources have as many boxes: other objects with the labels
on other boxes or other labels, and another box asked for (`all`, 40 %), the labels on other boxes (`positional`, 20 %),
other objects (`object`, 10 %), another box asked for (`label`, 15 %), or any other prompt (`random`, 15 %). Odd sources
(`next_box`) name a box that does not occur. Two chains of four heads vote: which label stands where (structure, at the
first mention of the label asked for; interchanged where both prompts ask for the same label), the box that bears the
label asked for (detected, at the query's label), that box carried on (position, at END), and the object in it (object);
`m0` writes what the fetchers of the object copy. {variant}
"""


def checks(variant: str) -> Checks:
    """What a variant is measured on: `base` on two and three boxes, `tuned` on two to seven."""
    few = variant == "base"
    suffix = "@few" if few else ""
    bounds = {f"{n} boxes": Bound({f"random@{n}": 1.0}, least=0.99 if n <= 3 or not few else 0.0) for n in MANY}
    if few:
        bounds["7 boxes"] = Bound({"random@7": 1.0}, most=0.8)
    says = (
        "The base model was trained on two and three boxes; the tuned one goes on from its weights, with two to seven."
    )
    return Checks(
        mixed={kind + suffix: weight for kind, weight in MIXED.items()},
        kinds=tuple(kind + suffix for kind in (*MIXED, "next_box")),
        odd={f"next_box{suffix}": 1.0},
        control={f"random{suffix}": 1.0},
        bounds=bounds,
        about=ABOUT.format(boxes="two or three" if few else "two to seven", variant=says),
    )
