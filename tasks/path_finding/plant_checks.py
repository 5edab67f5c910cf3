"""What the evidence of the planted models is taken on; apart from what makes them, so that it may change alone."""

from __future__ import annotations

from bench.planting.evidence.checks import Checks
from tasks.path_finding.plant_prompts import KINDS

CHECKS = Checks(
    mixed=KINDS,
    settings={kind: {kind: 1.0} for kind in KINDS},
    kinds=tuple(KINDS),
    chains=(("A1", "answer"), ("A2", "answer")),
    about=(
        "Prompts are trees of 8 nodes, at most 3 edges deep, as 7 edges in random order, goal and root, as in `10>23` "
        "and `57:10>`; goals are 2 or 3 edges below the root. Kinds of sources are the task's counterfactuals."
    ),
)
