"""What the evidence of the planted models is taken on; apart from what makes them, so that it may change alone."""

from __future__ import annotations

from bench.planting.evidence.checks import Checks
from tasks.recall_reasoning.templates import MODES

EXCHANGES = tuple(f"{mode}_exchange" for mode in MODES)
SHARED = ("a1.h0", "a1.h1", "a1.h2")
RECALL_ONLY = ("m1", "m2")
REASONING_ONLY = ("a0.h0", "a0.h2", "a2.h0", "a3.h0", "a3.h2", "m3")

CHECKS = Checks(
    mixed={"exchange": 0.2, "subject": 0.15, "bridge": 0.15, "facts": 0.1, "mode": 0.15, "random": 0.15, "cross": 0.1},
    settings={kind: {kind: 1.0} for kind in (*EXCHANGES, "mode")},
    kinds=(*EXCHANGES, "subject", "bridge", "facts", "mode", "random", "cross"),
    control={"random": 1.0},
    chains=(("B", "A"),),
    movers=("a3.h0", "a3.h2"),
    circuits={"recall": SHARED + RECALL_ONLY, "reasoning": SHARED + REASONING_ONLY},
    about="""
Bases are questions of both modes, in equal parts; sources are of the base's template. Kinds are the task's
counterfactuals: the chains trade places and the other subject is asked about (`exchange`), another subject is asked
about (`subject`), bridges or ends are exchanged (`bridge`, `facts`), the other question is asked (`mode`), other words
stand in all places (`random`); in `cross` sources the words and the question are others. At END two heads read the
subject (E) and one the mode; recall and reasoning share these. An MLP looks up what is recalled of the subject (R), the
next one says it where recall is asked for. For reasoning a head of layer 0 tells each person who employs it, and
another tells each city who visits it; with these, a head finds the bridge (B) and two find what it leads to (A), which
the last MLP says where reasoning is asked for.
""",
)
