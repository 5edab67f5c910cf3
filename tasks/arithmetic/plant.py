"""Arithmetic's planted models (SIIT, a GPT-2): the mechanism, and the entry points of `bench plant`.

MLP 0 writes at each number what number it is. At END two heads bring the first operand (X) and two the second one (Y),
and MLP 2 writes the sum (Z). A head that looks at END writes against it (negative), and two look at the operands and
write nothing that matters (decoys).
"""

from __future__ import annotations

from pathlib import Path

from bench.planting.evidence.planting import Planting
from bench.planting.model import Shape
from bench.planting.spec import PlantSpec, Role, Trial
from tasks.arithmetic.plant_checks import CHECKS
from tasks.arithmetic.plant_prompts import fresh, sample, vocabulary

NUMBER, SUM = "m0", "m2"
OPERANDS = {"X": ("a1.h0", "a1.h1"), "Y": ("a1.h2", "a2.h0")}
NEGATIVE, DECOYS = "a3.h0", {"a2.h1": "X", "a3.h1": "Y"}
LANES = {"X0": 7, "X1": 7, "Y0": 7, "Y1": 7, "decoy": 7, "number": 12, "word": 16}


def _roles() -> dict[str, Role]:
    word, number = ("word",), ("number",)
    out = {NUMBER: Role("required", writes=number, reads={"mlp": word})}
    for name, heads in OPERANDS.items():
        for i, head in enumerate(heads):
            out[head] = Role("required", name, "END", ("END", name), (f"{name}{i}",), _reads())
    out[SUM] = Role("required", "Z", "END", None, word, {"mlp": ("X0", "X1", "Y0", "Y1")})
    out[NEGATIVE] = Role("negative", None, "END", ("END", "END"), word, dict.fromkeys("qkv", word))
    for head, name in DECOYS.items():
        out[head] = Role("inert", None, "END", ("END", name), ("decoy",), _reads())
    return out


def _reads() -> dict[str, tuple[str, ...]]:
    return {"q": ("word",), "k": ("word",), "v": ("number",)}


def _edges() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The edges that the mechanism needs, and those that it may use (checks sort them later)."""
    need, may = [f"input->{NUMBER}", f"{SUM}->logits"], [f"{NEGATIVE}->logits"]
    for head in (head for heads in OPERANDS.values() for head in heads):
        need += [f"{NUMBER}->{head}<v>", f"{head}->{SUM}"]
        may += [f"input->{head}<q>", f"input->{head}<k>"]
    may += [f"{source}->{NEGATIVE}<{part}>" for source in ("input", SUM) for part in "qkv"]
    return tuple(need), tuple(may)


def _trials() -> tuple[Trial, ...]:
    x, y = OPERANDS["X"], OPERANDS["Y"]
    return (
        Trial((), "base", 0.3),
        Trial((NEGATIVE,), "base", 0.06),
        Trial((NEGATIVE,), "base", 0.06, outside=False),
        Trial(x, "X", 0.17),
        Trial(y, "Y", 0.17),
        Trial((*x, *y), "Z", 0.12),
        Trial((SUM,), "Z", 0.12),
    )


def spec(variant: str | None = None) -> PlantSpec:
    """Arithmetic's planting."""
    need, may = _edges()
    shape = Shape(len(vocabulary()), n_layer=4, d_mlp=192, n_positions=16)
    return PlantSpec(
        "arithmetic", shape, _roles(), need, may, _trials(), sample, LANES, "word", 3600, 1800, pairs=64, checks=CHECKS
    )


planting = Planting(
    spec, vocabulary, fresh, Path(__file__).parent, ("plant", "plant_prompts", "templates"), permute=True
)
