"""Which templates and fillers a model can handle, from its answers to screening prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from bench.task import DataRequest


def right(
    request: DataRequest, prompts: Sequence[list[int]], answers: Sequence[int], wrongs: Sequence[int]
) -> list[bool] | None:
    """Whether the model prefers each prompt's answer to its wrong answer, ``[n]``; None where no model was given.

    Where a request can only ``predict``, the answer has to be the likeliest of the whole vocabulary.
    """
    if request.choose is not None:
        chosen = request.choose(list(prompts), [list(pair) for pair in zip(answers, wrongs, strict=True)])
    elif request.predict is not None:
        chosen = request.predict(list(prompts))
    else:
        return None
    return [int(token) == answer for token, answer in zip(chosen, answers, strict=True)]


def rates(correct: Iterable[bool], labels: Iterable[Iterable[str]]) -> dict[str, float]:
    """Share of right answers per label; each prompt counts for all of its labels."""
    hits: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for good, names in zip(correct, labels, strict=True):
        for name in names:
            hits[name] += int(good)
            seen[name] += 1
    return {name: hits[name] / seen[name] for name in seen}


def keep(candidates: Sequence[str], share: Mapping[str, float], threshold: float, least: int) -> list[str]:
    """Candidates with at least ``threshold`` right, in their order, and never fewer than the ``least`` best ones."""
    ranked = sorted(candidates, key=lambda name: -share.get(name, 0.0))
    best = {name for i, name in enumerate(ranked) if i < least or share.get(name, 0.0) >= threshold}
    return [name for name in candidates if name in best]
