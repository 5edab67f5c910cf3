"""Entity tracking's planted models: their prompts, their claims, and base against tuned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bench.planting.evidence.circuit import Circuit
from bench.planting.evidence.measure import Measure
from bench.planting.export import load
from bench.planting.train import code_hash
from tasks.entity_tracking import EntityTracking
from tasks.entity_tracking.plant import planting, spec
from tasks.entity_tracking.plant_prompts import KINDS, MANY, Scenes, fresh, moved, place, sample, vocabulary

WORDS = vocabulary()
MODELS = [(variant, seed) for variant in planting.variants for seed in planting.shipped(variant)]


def text(ids: torch.Tensor) -> str:
    return " ".join(WORDS[int(i)] for i in ids)


def read(prompt: str) -> tuple[dict[str, str], str]:
    """Label to object in order, and the label asked for, from the text alone."""
    told, asked = prompt.split(" . ")
    return {label: word for word, _, label in (part.split() for part in told.split(" , "))}, asked.split()[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("boxes", [2, 3, 7])
def test_pairs_agree_with_a_reading_of_their_text(kind: str, boxes: int) -> None:
    drawn = sample(np.random.default_rng(boxes), 24, {kind: 1.0}, boxes)
    for i in range(24):
        base, source = text(drawn.base[i]), text(drawn.source[i])
        (held, asked), (others, other_asked) = read(base), read(source)
        assert len(held) == len(others) == boxes and len(base.split()) == 4 * boxes + 2
        slot = [*others].index(other_asked) if other_asked in others else None
        by_slot = "" if slot is None else [*held.values()][slot]
        said = {
            "structure": by_slot if asked == other_asked else "",
            "layout": dict(zip(others, held.values(), strict=True)).get(asked, ""),
            "detected": by_slot, "position": by_slot, "object": others.get(other_asked, ""),
        }  # fmt: skip
        for name, word in said.items():
            assert int(drawn.targets[name][i]) == (WORDS.index(word) if word else -1)
        assert WORDS[int(drawn.answer[i])] == held[asked] != WORDS[int(drawn.wrong[i])] in held.values()
        assert int(drawn.source_answer[i]) == int(drawn.targets["object"][i])
        at = {name: int(here[i]) for name, (here, _) in drawn.positions.items()}
        words = base.split()
        assert words[at["OBJECT"]] == held[asked] and at["LABEL"] == words.index(asked) == at["OBJECT"] + 2
        assert (words[at["STOP"]], words[at["QUERY"]], words[at["END"]]) == (".", asked, "has")
        assert int(drawn.positions["LABEL"][1][i]) == (-1 if slot is None else source.split().index(other_asked))


def test_kinds_keep_and_change_what_they_say() -> None:
    def both(kind: str) -> list[tuple[dict[str, str], str, dict[str, str], str]]:
        drawn = sample(np.random.default_rng(0), 40, {kind: 1.0}, 4)
        return [(*read(text(b)), *read(text(s))) for b, s in zip(drawn.base, drawn.source, strict=True)]

    for held, asked, others, other_asked in both("positional"):
        assert other_asked == asked and [*held.values()] == [*others.values()] and {*held} == {*others}
        assert all(a != b for a, b in zip(held, others, strict=True))
    assert all([*h] == [*o] and a == b for h, a, o, b in both("object"))
    assert all(h == o and a != b for h, a, o, b in both("label"))
    assert all(b not in o for _, _, o, b in both("next_box"))
    assert all([*h].index(a) != [*o].index(b) for h, a, o, b in both("all"))


def test_places_and_moved_labels_by_hand() -> None:
    labels = np.array([[3, 5, 1], [2, 4, 6]])
    assert place(np.array([1, 9]), labels).tolist() == [2, -1]
    scenes = Scenes(np.array([[7, 8, 9], [7, 8, 9]]), labels, np.array([1, 4]))
    assert scenes.slot.tolist() == [2, 1]
    assert text(torch.from_numpy(scenes.ids)[0]).startswith(f"{WORDS[6 + 7]} in {WORDS[6 + 42 + 3]} , ")
    dealt = moved(np.random.default_rng(0), np.tile(np.arange(4), (200, 1)))
    assert (dealt != np.arange(4)).all() and (np.sort(dealt, 1) == np.arange(4)).all()
    assert len({tuple(row) for row in dealt.tolist()}) == 9, "all derangements of four"


def test_fresh_takes_the_number_of_boxes_from_the_kinds() -> None:
    def boxes(kinds: dict[str, float]) -> list[int]:
        return [(p.base.shape[1] - 2) // 4 for p in fresh(1, 3, kinds)]

    assert boxes({"all": 1.0}) == list(MANY) and boxes({"all@few": 0.5, "label@few": 0.5}) == [2, 3]
    assert boxes({"random@7": 1.0}) == [7]
    with pytest.raises(ValueError, match="different numbers of boxes"):
        fresh(1, 3, {"all": 0.5, "label@few": 0.5})


def test_the_variants_hold_the_same_mechanism() -> None:
    for seed in (0, 1):
        tuned, base = (planting.spec_of(seed, variant) for variant in ("tuned", "base"))
        tuned.check()
        base.check()
        assert (tuned.roles, tuned.required_edges, tuned.shape) == (base.roles, base.required_edges, base.shape)
    assert planting.spec_of(0).roles != planting.spec_of(1).roles
    assert sum(role.role == "required" for role in spec().roles.values()) == 9


@pytest.fixture(params=MODELS, ids=lambda model: f"{model[0]}-seed{model[1]}")
def directory(request: pytest.FixtureRequest) -> Path:
    variant, seed = request.param
    return planting.shipped(variant)[seed]


def test_the_shipped_evidence_is_whole(directory: Path) -> None:
    circuit = Circuit.read(directory / "circuit.json")
    assert circuit.seed == int(directory.name.removeprefix("seed"))
    assert circuit.code == code_hash(planting.code_files())
    assert circuit.evidence["failed"] == [] and circuit.evidence["accuracy"] >= 0.99
    assert len(circuit.by_role("required")) == 9 and len(circuit.by_role("inert")) == 2
    assert [len(entry["nodes"]) for entry in circuit.variables.values()] == [2, 2, 2, 2]
    bounds = circuit.evidence["bounds"]
    assert all(bounds[f"{n} boxes"] >= 0.99 for n in ((2, 3) if circuit.variant == "base" else MANY))
    assert circuit.variant != "base" or bounds["7 boxes"] < 0.8


def test_transformers_loads_it_and_it_answers(directory: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(directory, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    assert sum(p.numel() for p in model.parameters()) < 500_000
    for asked, answer in (("K", "cup"), ("B", "apple"), ("Q", "key")):
        ids = tokenizer(f"apple in B, cup in K, key in Q. {asked} has", return_tensors="pt")
        with torch.no_grad():
            assert tokenizer.decode(model(**ids).logits[0, -1].argmax()).strip() == answer


def test_a_few_fresh_prompts_bear_the_claim_out(directory: Path) -> None:
    circuit = Circuit.read(directory / "circuit.json")
    checks = planting.spec_of(circuit.seed, circuit.variant).checks
    m = Measure(load(directory), fresh(77, 12, checks.mixed))
    assert m.accuracy() >= 0.95
    assert m.accuracy(m.logits((), circuit.edges["out"])) >= 0.95
    for name, entry in circuit.variables.items():
        places = {node: circuit.nodes[node]["position"] for node in entry["nodes"]}
        assert m.interchange(m.logits(entry["nodes"], places=places), name) >= 0.9
    assert m.accuracy(m.logits(circuit.by_role("required", "backup", "negative"))) < 0.5


@pytest.mark.parametrize("seed", sorted(planting.shipped("base")))
def test_the_tuned_models_fetchers_mend_the_base_model(seed: int) -> None:
    """Cross-model patching at seven boxes (CMAP in the paper): the outputs of a role's heads come from the tuned model.

    The value fetchers' alone suffice; what stands before them in the chain does less, since the base's fetchers follow.
    """
    base, tuned = (load(planting.shipped(variant)[seed]) for variant in ("base", "tuned"))
    circuit = Circuit.read(planting.shipped("base")[seed] / "circuit.json")
    pairs = fresh(78, 40, {"random@7": 1.0})
    m = Measure(base, pairs)
    with torch.no_grad():
        m.source = [tuned(p.base) for p in pairs]
    mended = {name: m.accuracy(m.logits(entry["nodes"])) for name, entry in circuit.variables.items()}
    assert m.accuracy() < 0.8 <= mended["object"] - 0.1
    assert all(mended[name] < mended["object"] for name in ("structure", "detected", "position"))


@pytest.mark.slow
def test_the_evidence_comes_out_again(directory: Path) -> None:
    shipped: dict[str, Any] = Circuit.read(directory / "circuit.json").evidence
    again = planting.verify(directory)
    assert again["failed"] == []
    for key, value in again.items():
        if isinstance(value, float):
            assert value == pytest.approx(shipped[key], abs=2e-3, rel=1e-3), key


def test_the_task_finds_its_models() -> None:
    task = EntityTracking()
    assert {0, 1} <= {*task.planted()} == {*task.planted("base")}
    assert not {*task.planted().values()} & {*task.planted("base").values()}
