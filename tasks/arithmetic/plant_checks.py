"""What the evidence of arithmetic's planted models is taken on."""

from __future__ import annotations

from bench.planting.evidence.checks import Checks

CHECKS = Checks(
    mixed={"random": 0.4, "both": 0.2, "operand1": 0.2, "operand2": 0.2},
    kinds=("random", "both", "operand1", "operand2"),
    chains=(("X", "Z"), ("Y", "Z")),
    without=("backup",),
    about="Sums up to 20, in three templates alike. Sources: other problems (`random`), and the counterfactuals of the "
    "task. Interchanges of X or Y whose sum is above 20 are not counted. There is no backup: the two heads of an "
    "operand do not vote, as a sum of which one operand is torn between two numbers has no answer that a third head "
    "could save.",
)
