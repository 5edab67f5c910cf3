"""What the evidence of IOI's planted models is taken on; apart from what makes them, so that it may change alone."""

from __future__ import annotations

from bench.planting.evidence.checks import Checks

FLIPS = ("s2_io_flip", "s1_io_flip", "s1_io_flip_s2_io_flip")
CHECKS = Checks(
    mixed={"random": 0.4} | dict.fromkeys(FLIPS, 0.2),
    kinds=("random", *FLIPS, "abc"),
    odd={"abc": 1.0},
    about="""
Sources are of the base's template: 40 % other prompts (`random`), 20 % each with the name said again exchanged
(`s2_io_flip`), the first two names exchanged (`s1_io_flip`), or both. Odd sources (`abc`) say a third name again. Two
chains of three heads vote: where the name said again was said first (D), which of the two slots that is (I), and the
name in the other slot (N); `m0` writes what the name movers copy.
""",
)
