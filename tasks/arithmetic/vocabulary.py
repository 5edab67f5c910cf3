"""Which templates and problems a tokenizer can be asked about."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from bench.task import TaskError
from tasks._common import Encoder, fill, single
from tasks.arithmetic.causal import OPERATORS
from tasks.arithmetic.problems import orders
from tasks.arithmetic.templates import STYLES, TEMPLATES, Template

SAMPLE = 2
"""The number that stands in the places that are not looked at."""


Read = tuple[tuple[str, ...], tuple[str, ...]]
"""Templates, and the problems that all of them can ask."""


def read_vocabulary(
    encoder: Encoder, templates: Sequence[str], problems: Sequence[str], sign: str, needed: int, prompts: int
) -> Read:
    """Templates of the first style that leaves ``needed`` problems and ``prompts`` prompts, and those problems.

    Raises :class:`TaskError` with the counts where no style does.
    """
    counts = []
    for style in dict.fromkeys(TEMPLATES[name].style for name in sorted(templates, key=_rank)):
        read = {n: _problems(encoder, TEMPLATES[n], problems, sign) for n in templates if TEMPLATES[n].style == style}
        kept, left = _most(read, problems, needed)
        if len(left) >= needed and n_prompts(kept, left) >= prompts:
            return kept, left
        counts.append(f"{len(left)} ({n_prompts(kept, left)}) in {style}")
    raise TaskError(
        f"{needed} problems (in {prompts} prompts) are needed whose operands and result are one token each for this "
        f"tokenizer, there are {', '.join(counts)}; take another model or operator (task.operator)"
    )


def n_prompts(templates: Sequence[str], problems: Sequence[str]) -> int:
    """How many different prompts the templates and problems make."""
    return len(templates) * sum(len(orders(label)) for label in problems)


def _rank(name: str) -> int:
    return STYLES.index(TEMPLATES[name].style)


def _most(read: Mapping[str, Collection[str]], problems: Sequence[str], needed: int) -> Read:
    """Of the templates, from the one that reads most problems on, as many as make most prompts.

    Those that leave fewer than ``needed`` problems together come last.
    """
    ranked = sorted(read, key=lambda name: -len(read[name]))
    found = []
    for n in range(1, len(ranked) + 1):
        left = tuple(label for label in problems if all(label in read[name] for name in ranked[:n]))
        found.append((tuple(name for name in read if name in ranked[:n]), left))
    return max(found, key=lambda pair: (min(len(pair[1]), needed), n_prompts(*pair)))


def _problems(encoder: Encoder, template: Template, problems: Sequence[str], sign: str) -> Collection[str]:
    """The problems whose operands, in every order, and whose result are one known token where they stand."""
    words = {"X": template.number(SAMPLE), "Y": template.number(SAMPLE), "OP": template.operators[sign]}
    text = template.texts[sign]
    if not encoder.knows(fill(text, {**words, "X": " ", "Y": " "})[0]):
        return ()
    pairs = {label: orders(label) for label in problems}
    results = {label: OPERATORS[sign](*found[0]) for label, found in pairs.items()}
    numbers = sorted({n for found in pairs.values() for pair in found for n in pair} | set(results.values()))
    spelled = {n: template.number(n) for n in numbers if template.number(n)}
    behind = f"{fill(text, words)[0]}{'' if template.glued else ' '}{{}}"
    frames = {"X": fill(text, {**words, "X": "{}"})[0], "Y": fill(text, {**words, "Y": "{}"})[0], "Z": behind}
    read = {slot: set(single(encoder, spelled.values(), (frame,))) for slot, frame in frames.items()}
    good = {slot: {n for n, word in spelled.items() if word in found} for slot, found in read.items()}
    return {
        label
        for label, found in pairs.items()
        if results[label] in good["Z"] and all(x in good["X"] and y in good["Y"] for x, y in found)
    }
