"""What the evidence of the planted models is taken on; apart from what makes them, so that it may change alone."""

from __future__ import annotations

from collections.abc import Mapping

from bench.planting.evidence.checks import Checks

ABOUT = """
Settings: `conflict` (the text contradicts memory, and a cue decides), `premise` (a false premise that a cue presupposes
or denies), `recall` and `copy` (plain ones). Sources are of the base's template and setting: drawn afresh (`conflict`,
`premise`, `recall`, `copy`), or with another cue, statement or subject alone (`conflict_cue` and so on). Copying heads
say something only where the cue decides for the text, memory nodes only where it decides for memory, false-premise
heads only where it presupposes the premise; interchange accuracy of C, M and F counts pairs in which both prompts do.
"""


def checks(circuits: Mapping[str, tuple[str, ...]], movers: tuple[str, ...]) -> Checks:
    """The checks of a spec with these circuits, whose ``movers`` write answers that backups stand in for."""
    return Checks(
        mixed={
            "conflict": 0.3, "conflict_cue": 0.1, "conflict_context": 0.1, "conflict_subject": 0.1,
            "copy": 0.3, "copy_context": 0.1,
            "premise": 0.5, "premise_cue": 0.1, "premise_context": 0.3, "premise_subject": 0.1,
            "recall": 0.7, "recall_subject": 0.3,
        },
        settings={
            "conflict": {"conflict": 0.4, "conflict_cue": 0.2, "conflict_context": 0.2, "conflict_subject": 0.2},
            "premise": {"premise": 0.4, "premise_cue": 0.2, "premise_context": 0.2, "premise_subject": 0.2},
            "recall": {"recall": 1.0},
            "copy": {"copy": 1.0},
        },
        kinds=("conflict", "premise", "recall", "copy"),
        control={"conflict": 0.6, "copy": 0.4, "premise": 1.0, "recall": 1.0},
        chains=(("S", "M"),),
        movers=movers,
        circuits=dict(circuits),
        about=ABOUT,
    )  # fmt: skip
