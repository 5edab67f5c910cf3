"""Prompts for arithmetic's planted models: base and source pairs over the whole planted pool, as token ids."""

from __future__ import annotations

import numpy as np
import torch

from bench.planting.spec import Pairs
from tasks.arithmetic.templates import PLANTED_LARGEST, PLANTED_TEMPLATES, TEMPLATES

SPECIAL = ("<pad>", "<unk>")
KINDS = {"random": 0.4, "both": 0.2, "operand1": 0.2, "operand2": 0.2}
NEAR = 10
"""How far the wrong answer, and the result of a source of the kind `both`, are at most from the answer."""
FIRST = len(SPECIAL)
"""Id of the number 0."""


def words(template: str) -> list[str]:
    """A template's words, with `{X}` and `{Y}` for the operands."""
    text = TEMPLATES[template].texts["+"].replace("{OP}", TEMPLATES[template].operators["+"])
    return text.split()


def vocabulary() -> list[str]:
    """The planted models' words, by id."""
    plain = {word for name in PLANTED_TEMPLATES for word in words(name) if not word.startswith("{")}
    return [*SPECIAL, *map(str, range(PLANTED_LARGEST + 1)), *sorted(plain)]


def lengths() -> dict[int, list[str]]:
    """The planted templates by their number of words."""
    out: dict[int, list[str]] = {}
    for name in PLANTED_TEMPLATES:
        out.setdefault(len(words(name)), []).append(name)
    return out


def problems() -> np.ndarray:
    """All problems of the pool, [m, 2]: operands whose sum is at most the largest number."""
    numbers = range(PLANTED_LARGEST + 1)
    return np.array([(x, y) for x in numbers for y in numbers if x + y <= PLANTED_LARGEST])


def _near(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """n problems, and for each another with another result nearby: pairs that come in either order equally often."""
    pool = problems()
    first, second = pool[rng.integers(0, len(pool), (2, 30 * n + 300))]
    apart = np.abs(first.sum(1) - second.sum(1))
    good = ((apart >= 1) & (apart <= NEAR) & (first != second).all(1)).nonzero()[0][:n]
    return first[good], second[good]


def _sources(rng: np.random.Generator, base: np.ndarray, both: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """The operands [n, 2] of the source prompts: all others in `random` and `both`, one in the other kinds."""
    pool = problems()
    source = np.where((kind == "both")[:, None], both, pool[rng.integers(0, len(pool), len(base))])
    for i, name in enumerate(("operand1", "operand2")):
        rows = np.where(kind == name)[0]
        # another number between 0 and the largest that leaves the sum in the pool, if there is one
        most = PLANTED_LARGEST - base[rows, 1 - i]
        drawn = rng.integers(0, np.maximum(most, 1))
        source[rows, 1 - i] = base[rows, 1 - i]
        source[rows, i] = np.where(most > 0, drawn + (drawn >= base[rows, i]), base[rows, i])
    return source


def sample(
    rng: np.random.Generator, n: int, kinds: dict[str, float] | None = None, template: str | None = None
) -> Pairs:
    """n pairs of prompts of one length (or of one template); a `random` source has any template of that length."""
    vocab, groups = {word: i for i, word in enumerate(vocabulary())}, list(lengths().values())
    group = [template] if template else groups[rng.integers(len(groups))]
    odds = kinds or KINDS
    kind = rng.choice(list(odds), n, p=np.array(list(odds.values())) / sum(odds.values()))
    base, both = _near(rng, n)
    source = _sources(rng, base, both, kind)
    which = rng.integers(0, len(group), n)
    other = np.where(kind == "random", rng.integers(0, len(group), n), which)
    grid = np.array([[vocab.get(word, 0) for word in words(name)] for name in group])
    places = np.array([[words(name).index(slot) for slot in ("{X}", "{Y}")] for name in group])
    rows, prompts, at = np.arange(n)[:, None], [], []
    for operands, chosen in ((base, which), (source, other)):
        ids = grid[chosen]
        ids[rows, places[chosen]] = operands + FIRST
        prompts.append(torch.from_numpy(ids))
        at.append(torch.from_numpy(places[chosen]))
    end = torch.full((n,), grid.shape[1] - 1)
    positions = {"X": (at[0][:, 0], at[1][:, 0]), "Y": (at[0][:, 1], at[1][:, 1]), "END": (end, end)}
    return _pairs(prompts, base, source, both.sum(1), positions)


def fresh(seed: int, n: int, kinds: dict[str, float]) -> list[Pairs]:
    """n pairs of each template, from a stream of random numbers that no training reads."""
    return [sample(np.random.default_rng([seed, i, 2**32]), n, kinds, t) for i, t in enumerate(PLANTED_TEMPLATES)]


def _pairs(
    prompts: list[torch.Tensor],
    base: np.ndarray,
    source: np.ndarray,
    wrong: np.ndarray,
    positions: dict[str, tuple[torch.Tensor, torch.Tensor]],
) -> Pairs:
    """What the causal model says: X and Y are added, and Z is said; nothing where the sum is no word."""

    def ids(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.where(values <= PLANTED_LARGEST, values + FIRST, -1))

    targets = {"X": ids(source[:, 0] + base[:, 1]), "Y": ids(base[:, 0] + source[:, 1]), "Z": ids(source.sum(1))}
    return Pairs(prompts[0], prompts[1], ids(base.sum(1)), ids(wrong), targets["Z"], targets, positions)
