"""Prompts for IOI's planted models: base and source pairs over the whole planted pool, as token ids."""

from __future__ import annotations

import numpy as np
import torch

from bench.planting.spec import Pairs
from tasks.ioi.fillers import PLANTED_NAMES, PLANTED_OBJECTS, PLANTED_PLACES, PLANTED_TEMPLATES
from tasks.ioi.templates import TEMPLATES

SPECIAL = ("<pad>", "<unk>")
KINDS = {"random": 0.35, "s2_io_flip": 0.2, "s1_io_flip": 0.2, "s1_io_flip_s2_io_flip": 0.15, "abc": 0.1}


def words(template: str) -> list[str]:
    """A template's words; punctuation stands alone, as in the tokenizer."""
    return TEMPLATES[template].replace(",", " ,").replace(".", " .").split()


def vocabulary() -> list[str]:
    """The planted models' words, by id."""
    plain = {w for name in PLANTED_TEMPLATES for w in words(name) if not w.startswith("{")}
    return [*SPECIAL, *sorted(plain), *PLANTED_PLACES, *PLANTED_OBJECTS, *PLANTED_NAMES]


def lengths() -> dict[int, list[str]]:
    """The planted templates by their number of words."""
    out: dict[int, list[str]] = {}
    for name in PLANTED_TEMPLATES:
        out.setdefault(len(words(name)), []).append(name)
    return out


def _choose(rng: np.random.Generator, n: int, pool: int, taken: list[np.ndarray] | None = None) -> np.ndarray:
    """n draws below `pool`, each different from the row's draws in `taken`."""
    out = rng.integers(0, pool, n)
    for _ in range(100):
        clash = np.zeros(n, dtype=bool)
        for other in taken or []:
            clash |= out == other
        if not clash.any():
            break
        out = np.where(clash, rng.integers(0, pool, n), out)
    return out


def _fill(names: np.ndarray, rest: np.ndarray, grid: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """Put fillers [n, 5] (A, B, S, place, object) into template grids [n, T]; -1 in `slots` where a slot is absent."""
    out, rows = grid.copy(), np.arange(len(grid))
    for i, values in enumerate([*names, *rest]):
        has = slots[:, i] >= 0
        out[rows[has], slots[has, i]] = values[has]
    return out


def sample(
    rng: np.random.Generator, n: int, kinds: dict[str, float] | None = None, template: str | None = None
) -> Pairs:
    """n pairs of prompts of one length (or of one template), base and source of a pair of the same template.

    Sources are drawn by kind: other names, order, place and object (`random`); the name said again exchanged
    (`s2_io_flip`), the first two names exchanged (`s1_io_flip`), both, or a third name said again (`abc`).
    """
    vocab = {word: i for i, word in enumerate(vocabulary())}
    groups = list(lengths().values())
    group = [template] if template else groups[rng.integers(len(groups))]
    which = rng.integers(0, len(group), n)
    grids, slots = zip(*[_layout(name, vocab) for name in group], strict=True)
    grid, slot = np.array(grids)[which], np.array(slots)[which]
    first = vocab[PLANTED_NAMES[0]]
    base = _draw(rng, n)
    odds = kinds or KINDS
    kind = rng.choice(list(odds), n, p=np.array(list(odds.values())) / sum(odds.values()))
    source, dup = _source(rng, base, kind)
    starts = (vocab[PLANTED_PLACES[0]], vocab[PLANTED_OBJECTS[0]])

    def text(d: dict[str, np.ndarray]) -> torch.Tensor:
        rest = np.stack([d["place"] + starts[0], d["object"] + starts[1]])
        return torch.from_numpy(_fill(np.stack([d["a"], d["b"], d["s"]]) + first, rest, grid, slot))

    return _pairs(text(base), text(source), base, source, dup, slot, first)


def _layout(name: str, vocab: dict[str, int]) -> tuple[list[int], list[int]]:
    """A template as token ids (0 in its slots), and the places of A, B, S, PLACE and OBJECT."""
    parts = words(name)
    fields = ["{A}", "{B}", "{S}", "{PLACE}", "{OBJECT}"]
    return [vocab.get(w, 0) for w in parts], [parts.index(f) if f in parts else -1 for f in fields]


def _draw(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """Names in both slots, the name said again, place and object; `dup` is the slot said again, 0 or 1."""
    a = _choose(rng, n, len(PLANTED_NAMES))
    b = _choose(rng, n, len(PLANTED_NAMES), [a])
    dup = rng.integers(0, 2, n)
    place, thing = rng.integers(0, len(PLANTED_PLACES), n), rng.integers(0, len(PLANTED_OBJECTS), n)
    return {"a": a, "b": b, "dup": dup, "s": np.where(dup == 0, a, b), "place": place, "object": thing}


def _source(
    rng: np.random.Generator, base: dict[str, np.ndarray], kind: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The source prompts' fillers, and the slot that they say again (-1 for `abc`)."""
    n = len(kind)
    fresh, out = _draw(rng, n), {}
    renewed = (kind == "random") | (kind == "abc")
    for key in ("a", "b", "s", "place", "object"):
        out[key] = np.where(renewed, fresh[key], base[key])
    swap = np.isin(kind, ["s1_io_flip", "s1_io_flip_s2_io_flip"])
    out["a"], out["b"] = np.where(swap, base["b"], out["a"]), np.where(swap, base["a"], out["b"])
    other = np.where(base["dup"] == 0, base["b"], base["a"])
    out["s"] = np.where(np.isin(kind, ["s2_io_flip", "s1_io_flip_s2_io_flip"]), other, out["s"])
    third = _choose(rng, n, len(PLANTED_NAMES), [out["a"], out["b"]])
    out["s"] = np.where(kind == "abc", third, out["s"])
    dup = np.where(out["s"] == out["a"], 0, np.where(out["s"] == out["b"], 1, -1))
    return out, dup


def _pairs(
    base_ids: torch.Tensor,
    source_ids: torch.Tensor,
    base: dict[str, np.ndarray],
    source: dict[str, np.ndarray],
    dup: np.ndarray,
    slot: np.ndarray,
    first: int,
) -> Pairs:
    """What the causal model says: D and I choose the slot in the base, N names the source's answer."""
    io = np.where(base["dup"] == 0, base["b"], base["a"])
    source_io = np.where(dup == 0, source["b"], source["a"])
    by_slot = np.where(dup == 0, base["b"], base["a"])
    valid = dup >= 0

    def ids(values: np.ndarray, keep: np.ndarray | None = None) -> torch.Tensor:
        return torch.from_numpy(values + first if keep is None else np.where(keep, values + first, -1))

    targets = {"D": ids(by_slot, valid), "I": ids(by_slot, valid), "N": ids(source_io, valid)}
    end = np.full(len(io), base_ids.shape[1] - 1)
    at = {"S2": (slot[:, 2], slot[:, 2]), "END": (end, end)}
    for name, flip in (("S1", 0), ("IO", 1)):
        spots = [np.where((d == 0) ^ bool(flip), slot[:, 0], slot[:, 1]) for d in (base["dup"], np.maximum(dup, 0))]
        at[name] = (spots[0], spots[1])
    positions = {k: (torch.from_numpy(x), torch.from_numpy(y)) for k, (x, y) in at.items()}
    return Pairs(base_ids, source_ids, ids(io), ids(base["s"]), ids(source_io, valid), targets, positions)
