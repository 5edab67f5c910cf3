"""Induction's planted models: the mechanisms, and the entry points of `bench plant`.

`trained` (SIIT, a Llama without biases). Two chains vote, so that every role has two heads. Per chain a head writes at
each place the token before (P), and at END an induction head looks for the place before which the last token stands,
which MLP 1 reads at END (T), and copies what MLP 0 wrote there (N). A weaker third one breaks ties (backup), one head
writes against the answer (negative), and two look at the answer and write nothing that matters (decoys).

`written` (a GPT-2): the weights of :mod:`tasks.induction.written`; nothing is trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.planting.evidence.planting import Planting
from bench.planting.model import PlantedModel, Shape
from bench.planting.spec import PlantSpec, Role, Trial
from tasks.induction import written
from tasks.induction.plant_checks import TRAINED, WRITTEN
from tasks.induction.plant_prompts import fresh, sample, vocabulary

CHAINS = (("a0.h0", "a2.h0"), ("a1.h0", "a3.h0"))
VALUES, ASKED = "m0", "m1"
BACKUP, NEGATIVE, DECOYS = "a4.h0", "a4.h1", ("a2.h1", "a3.h1")
LANES = {"before0": 8, "before1": 8, "asked": 8, "decoy": 6, "name": 12, "word": 21}


def _roles() -> dict[str, Role]:
    word, before = ("word",), ("before0", "before1")
    out = {
        VALUES: Role("required", writes=("name",), reads={"mlp": word}),
        ASKED: Role("required", "T", "END", None, ("asked",), {"mlp": word}),
    }
    also = (("ANSWER", "TRIGGER"), ("WRONG", "OTHER"))
    for lane, (p, _) in zip(before, CHAINS, strict=True):
        out[p] = Role("required", "P", None, ("HERE", "BEFORE"), (lane,), dict.fromkeys("qkv", word), also)
    end = ("END", ("END", "ANSWER"))
    for lane, (_, n) in zip(before, CHAINS, strict=True):
        out[n] = Role("required", "N", *end, word, {"q": ("asked",), "k": (lane,), "v": ("name",)})
    mover = {"q": ("asked",), "k": before, "v": ("name",)}
    out[BACKUP] = Role("backup", None, *end, word, mover)
    out[NEGATIVE] = Role("negative", None, *end, word, mover)
    return out | {name: Role("inert", None, *end, ("decoy",), mover) for name in DECOYS}


def _edges() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The edges that the mechanism needs, and those that it may use (checks sort them later)."""
    need, may = [f"input->{VALUES}", f"input->{ASKED}"], []
    for p, n in CHAINS:
        need += [f"input->{p}<v>", f"{p}->{n}<k>", f"{ASKED}->{n}<q>", f"{VALUES}->{n}<v>", f"{n}->logits"]
        may += [f"input->{p}<q>", f"input->{p}<k>"]
    for extra in (BACKUP, NEGATIVE):
        may += [f"{p}->{extra}<k>" for p, _ in CHAINS]
        may += [f"{ASKED}->{extra}<q>", f"{VALUES}->{extra}<v>", f"{extra}->logits"]
    return tuple(need), tuple(may)


def _trials() -> tuple[Trial, ...]:
    """Both votes move the answer; one alone does not while the backup stands, and does with the backup."""
    (p0, n0), (p1, n1) = CHAINS
    return (
        Trial((), "base", 0.24),
        Trial((BACKUP,), "base", 0.05),
        Trial((BACKUP,), "base", 0.05, outside=False),
        Trial((NEGATIVE,), "base", 0.05),
        Trial((NEGATIVE,), "base", 0.05, outside=False),
        Trial((BACKUP, NEGATIVE), "base", 0.05),
        Trial((ASKED,), "T", 0.1),
        Trial((p0, p1), "P", 0.14),
        Trial((n0, n1), "N", 0.08),
        Trial((n0,), "base", 0.05),
        Trial((n1,), "base", 0.05),
        Trial((n0, BACKUP), "N", 0.05),
        Trial((n1, BACKUP), "N", 0.05),
    )


def _trained() -> PlantSpec:
    need, may = _edges()
    shape = Shape(len(vocabulary()), n_layer=5, d_mlp=96, n_positions=32, arch="llama")
    return PlantSpec(
        "induction", shape, _roles(), need, may, _trials(), sample, LANES, "word", steps=1500, cycle=750, checks=TRAINED
    )


def _written() -> PlantSpec:
    """The claim about the weights written by hand; there are no trials, as nothing is trained."""
    roles = {"m0": Role("required")}
    roles |= {name: Role("required", "P", None, ("ANSWER", "TRIGGER")) for name in written.PREVIOUS}
    roles |= {name: Role("required", "N", "END", ("END", "ANSWER")) for name in written.INDUCTION}
    roles[written.NEGATIVE] = Role("negative", None, "END", ("END", "ANSWER"))
    back, *movers, mlp = written.DECOYS
    roles[back] = Role("inert", None, "ANSWER", ("ANSWER", "TRIGGER"))
    roles |= {name: Role("inert", None, "END", ("END", "ANSWER")) for name in movers}
    roles[mlp] = Role("inert", None, "END")
    need, may = ["input->m0"], []
    for p in written.PREVIOUS:
        need += [f"input->{p}<v>"]
        may += [f"input->{p}<q>", f"input->{p}<k>"]
    for n, edges in [*((n, need) for n in written.INDUCTION), (written.NEGATIVE, may)]:
        edges += [f"input->{n}<q>", *(f"{p}->{n}<k>" for p in written.PREVIOUS), f"m0->{n}<v>", f"{n}->logits"]
        may += [f"input->{n}<k>"]
    return PlantSpec(
        "induction", written.SHAPE, roles, tuple(need), tuple(may), (), sample, steps=0, ramp=(0, 0), checks=WRITTEN
    )


def spec(variant: str | None = None) -> PlantSpec:
    """The planting of a variant."""
    return _written() if variant == "written" else _trained()


@dataclass(frozen=True)
class InductionPlanting(Planting):
    """Planting of which one variant starts from weights written by hand, and is trained for no step."""

    def _start(self, seed: int, variant: str | None, start: Path | None) -> PlantedModel | None:
        return written.written(seed) if variant == "written" else super()._start(seed, variant, start)


# what is written by hand is proved against its code weight by weight, so that it need not be among the hashed files
planting = InductionPlanting(
    spec, vocabulary, fresh, Path(__file__).parent, ("plant", "plant_prompts", "words"),
    permute=True, variants=("trained", "written"),
)  # fmt: skip
