"""What the evidence of induction's planted models is taken on."""

from __future__ import annotations

from bench.planting.evidence.checks import Checks

FLIPS = ("order", "trigger", "output")
MIXED = {"random": 0.2, "moved": 0.1, "bigrams": 0.1} | dict.fromkeys(FLIPS, 0.2)
KINDS = ("random", "moved", "bigrams", *FLIPS)

_PROMPTS = (
    "Prompts have 12, 14 and 16 words alike. Sources: other prompts (`random`), other prompts about the same two "
    "triggers (`moved`), and the counterfactuals of the task; in `first`, which has no answer, another trigger stands "
    "where the one asked about was first mentioned. P is resampled at every place: what is then said is the word after "
    "the place where the source has the trigger asked about; pairs where it has none, or where another trigger stands "
    "there, are not counted."
)

TRAINED = Checks(
    mixed=MIXED,
    kinds=KINDS,
    odd={"first": 1.0},
    chains=(("T", "N"), ("P", "N")),
    about=_PROMPTS,
)

WRITTEN = Checks(
    mixed=MIXED,
    kinds=KINDS,
    odd={"first": 1.0},
    chains=(("P", "N"),),
    without=("backup",),
    pair_chance=None,
    about=f"{_PROMPTS} The weights are written by hand. With the circuit cut the logits of the answer and of the wrong "
    "answer are the same to the last digit where neither shares a digit of its code with the source's answer, so that "
    "neither beats the other: how often the answer does is reported and not asked for.",
)
