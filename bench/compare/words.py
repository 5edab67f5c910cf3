"""What a comparison allows to conclude, in one plain sentence."""

from __future__ import annotations

from bench.compare.comparison import Comparison
from bench.scoring.significance import ALPHA


def conclusion(found: Comparison) -> str:
    """One sentence on what this many tasks allow to conclude and what they do not."""
    n = len(found.tasks)
    counted = f"{n} task{'' if n == 1 else 's'}"
    if found.smallest > ALPHA:
        return (
            f"With {counted} the smallest p is {_p(found.smallest)}, so p < .05 is impossible and nothing can be"
            f" concluded about other tasks; {_here(found)}."
        )
    if found.smallest_holm > ALPHA:
        return (
            f"With {counted} and a family of {found.family} tests the smallest corrected p is"
            f" {_p(found.smallest_holm)}, so nothing can be concluded about other tasks, however large the difference;"
            f" {_here(found)}."
        )
    if found.holm <= ALPHA:
        better, worse = (found.first, found.second) if found.test.effect > 0 else (found.second, found.first)
        return f"{better} is better than {worse} on tasks like these {counted}; {_here(found)}."
    return (
        f"{counted} do not show a difference for tasks like these, which is no evidence that there is none;"
        f" {_here(found)}."
    )


def _here(found: Comparison) -> str:
    """What the paired tests say of the very tasks."""
    told = [task for task in found.tasks if task.holm <= ALPHA]
    first = [task.task for task in told if task.estimate.value > 0]
    second = [task.task for task in told if task.estimate.value < 0]
    untold = [task.task for task in found.tasks if task not in told]
    parts = [f"{method} is better on {', '.join(tasks)}" for method, tasks in _sides(found, first, second) if tasks]
    if untold:
        parts.append(f"they cannot be told apart on {', '.join(untold)}")
    return "of these, " + ", ".join(parts) if len(found.tasks) > 1 else " ".join(parts)


def _sides(found: Comparison, first: list[str], second: list[str]) -> list[tuple[str, list[str]]]:
    return [(found.first, first), (found.second, second)]


def _p(value: float) -> str:
    return f"{value:.2g}"
