"""Entity tracking's planted models: the mechanism to plant, and the entry points of `bench plant`.

The mechanism is that of Prakash et al. 2024 (arXiv:2402.14811), in two chains that vote, so that every role has two
heads. Per chain, forwards: at the label of each box a structure reader writes which label stands there, and in which
slot; at the query's label a position detector finds the earlier mention and copies its slot; at END a position
transmitter reads that slot; a value fetcher attends to the object in the slot and copies what MLP 0 wrote there. A
weaker third fetcher breaks ties (backup), one head writes against the answer (negative), and two look at the answer
and write nothing that matters (decoys).

The variant `base` is trained on two and three boxes; `tuned`, the default, goes on from its weights on two to seven, so
that the same heads do the same in both.
"""

from __future__ import annotations

from pathlib import Path

from bench.planting.evidence.planting import Planting
from bench.planting.model import Shape
from bench.planting.spec import PlantSpec, Role, Trial
from tasks.entity_tracking.plant_checks import checks
from tasks.entity_tracking.plant_prompts import fresh, sample, sample_few, vocabulary

CHAINS = (("a0.h0", "a1.h0", "a2.h0", "a3.h0"), ("a0.h1", "a1.h1", "a2.h1", "a3.h1"))
LANES = {
    "mark0": 9, "mark1": 9, "first0": 5, "first1": 5, "slot0": 5, "slot1": 5, "decoy": 5, "name": 9, "word": 27,
}  # fmt: skip
BACKUP, NEGATIVE, DECOYS = "a4.h1", "a4.h0", ("a3.h2", "a4.h3")
TUNED, BASE = "tuned", "base"


def _roles() -> dict[str, Role]:
    word = ("word",)
    out = {"m0": Role("required", writes=("name",), reads={"mlp": word})}
    for c, (s, d, t, f) in enumerate(CHAINS):
        mark, first, slot = (f"mark{c}",), (f"first{c}",), (f"slot{c}",)
        itself, stop = ("LABEL", "LABEL"), ("QUERY", "STOP")
        out[s] = Role("required", "structure", "LABEL", itself, mark, {"q": word, "k": word, "v": word}, (stop,))
        out[d] = Role("required", "detected", "QUERY", ("QUERY", "LABEL"), first, {"q": word, "k": mark, "v": mark})
        out[t] = Role("required", "position", "END", ("END", "QUERY"), slot, {"q": word, "k": word, "v": first})
        out[f] = Role("required", "object", "END", ("END", "OBJECT"), word, {"q": slot, "k": word, "v": ("name",)})
    fetch = {"q": ("slot0", "slot1"), "k": word, "v": ("name",)}
    out[BACKUP] = Role("backup", None, "END", ("END", "OBJECT"), word, fetch)
    out[NEGATIVE] = Role("negative", None, "END", ("END", "OBJECT"), word, fetch)
    return out | {name: Role("inert", None, "END", ("END", "OBJECT"), ("decoy",), fetch) for name in DECOYS}


def _edges() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The edges that the mechanism needs, and those that it may use (checks sort them later)."""
    need, may = ["input->m0"], []
    for s, d, t, f in CHAINS:
        need += [f"input->{s}<v>", f"{s}->{d}<k>", f"input->{d}<q>", f"{d}->{t}<v>", f"{t}->{f}<q>"]
        need += [f"m0->{f}<v>", f"{f}->logits"]
        may += [f"input->{s}<q>", f"input->{s}<k>", f"{s}->{d}<v>", f"input->{t}<q>", f"input->{t}<k>"]
        may += [f"input->{f}<q>", f"input->{f}<k>"]
    for extra in (BACKUP, NEGATIVE):
        may += [f"{chain[2]}->{extra}<q>" for chain in CHAINS]
        may += [f"input->{extra}<q>", f"input->{extra}<k>", f"m0->{extra}<v>", f"{extra}->logits"]
    return tuple(need), tuple(may)


def _trials() -> tuple[Trial, ...]:
    """Both votes move the answer; one alone does not while the backup stands, and does with the backup.

    Structure readers are taken at the label asked for, from where it stands in the source, or at all labels as they are
    there.
    """
    (s0, d0, t0, f0), (s1, d1, t1, f1) = CHAINS
    return (
        Trial((), "base", 0.22),
        Trial((BACKUP,), "base", 0.05),
        Trial((BACKUP,), "base", 0.06, outside=False),
        Trial((NEGATIVE,), "base", 0.05),
        Trial((NEGATIVE,), "base", 0.05, outside=False),
        Trial((BACKUP, NEGATIVE), "base", 0.05),
        Trial((s0, s1), "structure", 0.1, local=1.0),
        Trial((s0, s1), "layout", 0.06, local=0.0),
        Trial((d0, d1), "detected", 0.1),
        Trial((t0, t1), "position", 0.08),
        Trial((f0, f1), "object", 0.08),
        Trial((f0,), "base", 0.07),
        Trial((f1,), "base", 0.07),
        Trial((f0, BACKUP), "object", 0.07),
        Trial((f1, BACKUP), "object", 0.07),
    )


def spec(variant: str | None = None) -> PlantSpec:
    """The planting of a variant."""
    need, may = _edges()
    shape = Shape(len(vocabulary()), n_layer=5, n_head=4, d_model=80, d_mlp=128, n_positions=32)
    sampler, steps = (sample_few, 1400) if variant == BASE else (sample, 1000)
    return PlantSpec(
        "entity_tracking", shape, _roles(), need, may, _trials(), sampler, LANES, "word", steps=steps, cycle=steps,
        checks=checks(variant or TUNED),
    )  # fmt: skip


planting = Planting(
    spec, vocabulary, fresh, Path(__file__).parent, files=("plant", "plant_prompts", "fillers"), permute=True,
    variants=(TUNED, BASE), starts={TUNED: BASE},
)  # fmt: skip
