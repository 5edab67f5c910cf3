"""Which centuries, years and number words a tokenizer reads as tokens of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.task import TaskError
from tasks._common import Encoder, cuts, fill, single
from tasks.greater_than.fillers import NUMBERS, YEARS, rank
from tasks.greater_than.templates import AFTER, WORDS, direction_words, text
from tasks.greater_than.templates import YEARS as KIND_YEARS

LEAST_YEARS = 60
"""Two-digit years that must be read as tokens in every century."""
LEAST_NUMBERS = 12
"""Number words that must be one token."""


def example(
    numbers: str, template: str, noun: str, start: str, century: str = "17", direction: str = AFTER
) -> str:
    """A prompt as text."""
    first, last = direction_words(numbers, template, direction)
    return fill(text(numbers, template), {"N": noun, "Y": start, "XX": century, "F": first, "L": last})[0]


def read_years(
    encoder: Encoder, template: str, noun: str, centuries: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Centuries, and the years that in each of them are one token behind the century's, and the same one as answer.

    Centuries are taken from the one that reads most years on, as long as :data:`LEAST_YEARS` are left.
    Raises :class:`TaskError` where there are not two such centuries.
    """
    read = {century: _years(encoder, template, noun, century) for century in centuries}
    chosen: list[str] = []
    left = set(YEARS)
    for century in sorted(read, key=lambda century: -len(read[century])):
        if len(left & read[century]) >= LEAST_YEARS:
            chosen, left = [*chosen, century], left & read[century]
    if len(chosen) < 2:
        raise TaskError(
            f"greater_than needs {LEAST_YEARS} years in each of 2 centuries that are read as two tokens, the century "
            f"and the year (17|32); this tokenizer reads {_best(read)}, and {_reads(encoder, template, noun)}; number "
            f"words may do (task.numbers=words), or another model"
        )
    return tuple(c for c in centuries if c in chosen), tuple(year for year in YEARS[1:] if year in left)


def read_numbers(
    encoder: Encoder, templates: Sequence[str], noun: str, numbers: Sequence[str]
) -> tuple[str, ...]:
    """The number words that are one token in every template, and the same one as answer, in rising order."""
    ends = [f"{example(WORDS, template, noun, numbers[0])} {{}}" for template in templates]
    starts = [example(WORDS, template, noun, "{}") for template in templates]
    found = sorted(single(encoder, numbers, [*starts, *ends]), key=rank)
    if len(found) < LEAST_NUMBERS:
        raise TaskError(
            f"{LEAST_NUMBERS} number words of one known token are needed, {len(found)} are there; take another model "
            f"or give examples of your own (task.data=FILE)"
        )
    return tuple(found)


def ends_in_century(prompt: str) -> bool:
    """Whether a prompt ends in the middle of a year."""
    return re.search(r"(?<!\d)\d\d$", prompt) is not None


def start_of(prompt: str, answer: str, wrong: str) -> dict[str, tuple[int, int]] | None:
    """The start in somebody's own prompt, a year of four digits or a number word; None where there is not just one."""
    years = [match.span(1) for match in re.finditer(r"(?<!\d)\d\d(\d\d)(?!\d)", prompt)]
    words = [match.span() for match in re.finditer(r"\w+", prompt) if match.group() in NUMBERS]
    found = years if ends_in_century(prompt) else words
    return {"START": found[0]} if len(found) == 1 else None


def _years(encoder: Encoder, template: str, noun: str, century: str) -> set[str]:
    """The years that are one token in ``century``, the same at the start and as answer."""
    prompts = {year: example(KIND_YEARS, template, noun, year, century) for year in YEARS}
    ends = {year: f"{prompt}{year}" for year, prompt in prompts.items()}
    at = next(iter(prompts.values())).index(century)
    spans = {year: (at + len(century), at + len(century) + len(year)) for year in YEARS}
    encoder.warm(cut for year in YEARS for cut in cuts(ends[year], [spans[year], (at, at + len(century))]))
    found = set()
    for year, prompt in prompts.items():
        tokens = {encoder.token(ends[year], *spans[year]), encoder.token(ends[year], len(prompt), len(ends[year]))}
        centuries = {encoder.token(prompt, at, at + len(century)), encoder.ids(prompt)[-1]}
        if None not in tokens | centuries and len(tokens) == len(centuries) == 1:
            found.add(year)
    return found


def _best(read: dict[str, set[str]]) -> str:
    best = max(read, key=lambda century: len(read[century]))
    return f"{len(read[best])} so in the best century ({best}..)"


def _reads(encoder: Encoder, template: str, noun: str) -> str:
    """How the year 1732 is read."""
    prompt = example(KIND_YEARS, template, noun, "32")
    end = prompt.index("1732") + 4
    if not encoder.knows(prompt[:end]):
        return "1732 as an unknown word"
    count = len(encoder.ids(prompt[:end])) - len(encoder.ids(prompt[: end - 4].rstrip()))
    return f"1732 as {count} token{'s' if count != 1 else ''}" + (", but not as 17 and 32" if count == 2 else "")
