"""Recall and reasoning planted in one model: its prompts, its claims, and the double dissociation on its weights."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bench.engine import Engine
from bench.planting.evidence.circuit import Circuit
from bench.planting.evidence.measure import Measure
from bench.planting.export import load
from bench.planting.model import Cut
from bench.planting.train import code_hash
from bench.task import DataRequest
from tasks.recall_reasoning import RecallReasoning, selectivity
from tasks.recall_reasoning.causal import RecallReasoningModel
from tasks.recall_reasoning.fillers import CAPITALS, PLANTED_PEOPLE, PLANTED_SUBJECTS, PLANTED_TEMPLATES
from tasks.recall_reasoning.natural import sample_agents, sample_ordered, sample_persons, sample_retold
from tasks.recall_reasoning.plant import fresh, planting, spec
from tasks.recall_reasoning.plant_checks import CHECKS, REASONING_ONLY, RECALL_ONLY, SHARED
from tasks.recall_reasoning.plant_prompts import KINDS, sample, vocabulary
from tasks.recall_reasoning.templates import MODES
from tests.tasks.test_recall_reasoning import read

SHIPPED = planting.shipped()
WORDS = vocabulary()


@pytest.fixture(params=sorted(SHIPPED), ids=lambda seed: f"seed{seed}")
def directory(request: pytest.FixtureRequest) -> Path:
    return SHIPPED[request.param]


def text(ids: torch.Tensor) -> str:
    """A prompt as the task writes it."""
    return " ".join(WORDS[i] for i in ids).replace(" ,", ",").replace(" .", ".")


def word(token: int) -> str:
    return WORDS[token] if token >= 0 else ""


@pytest.mark.parametrize("kind", [*KINDS, *(f"{mode}_{kind}" for mode in MODES for kind in KINDS)])
def test_pairs_say_what_the_causal_model_says_of_their_text(kind: str) -> None:
    causal = RecallReasoningModel()
    pairs = sample(np.random.default_rng(3), 40, {kind: 1.0})
    asked = set()
    for row in range(40):
        base, source = (read(text(ids[row])) for ids in (pairs.base, pairs.source))
        asked.add(base["mode"])
        answers = [v["R"] if v["mode"] == "recall" else v["A"] for v in (base, source)]
        assert [word(pairs.answer[row]), word(pairs.source_answer[row])] == answers
        other = causal.values(base["mode"], base["S2" if base["E"] == base["S1"] else "S1"], *chains(base))
        assert word(pairs.wrong[row]) == (other["R"] if base["mode"] == "recall" else other["A"])
        for name, target in pairs.targets.items():
            assert word(target[row]) == causal.interchange(base, source, name)["answer"], name
        for ids, values, side in ((pairs.base, base, 0), (pairs.source, source, 1)):
            at = {name: int(where[side][row]) for name, where in pairs.positions.items()}
            found = {name: WORDS[ids[row, place]] for name, place in at.items()}
            assert (found["E"], found["S"], found["B1"], found["B2"]) == (values["E"], values["E"], *[values["B"]] * 2)
            assert {found["C"]} | {found["XC"]} == {values["C1"], values["C2"]} and found["C"] == values["A"]
            assert at["S"] + 2 == at["B1"] and at["B2"] + 2 == at["C"] and at["XS"] + 2 == at["XB1"]
    assert asked == ({kind.split("_")[0]} if "_" in kind else set(MODES))


def chains(values: dict[str, str]) -> list[tuple[str, str]]:
    return [(values[f"{part}1"], values[f"{part}2"]) for part in "SBC"]


@pytest.mark.parametrize("kind", ["exchange", "subject", "bridge", "facts", "mode"])
def test_sources_are_the_task_s_counterfactuals(kind: str) -> None:
    """Values of base and source differ just where the task's clean and counterfactual prompts do."""
    rows = rows_of(next(iter(SHIPPED.values()))) if SHIPPED else pytest.skip("no model is shipped")
    pairs = sample(np.random.default_rng(4), 200, {kind: 1.0})

    def changes(one: dict[str, str], two: dict[str, str]) -> frozenset[str]:
        return frozenset(name for name in one if one[name] != two[name])

    drawn = {changes(read(text(b)), read(text(s))) for b, s in zip(pairs.base, pairs.source, strict=True)}
    assert drawn == {changes(row["values"], row["counterfactuals"][kind]["values"]) for row in rows}


def test_the_spec_is_sound_and_shares_what_it_says() -> None:
    spec().check()
    required = set(spec().nodes("required"))
    assert required == {*SHARED, *RECALL_ONLY, *REASONING_ONLY}
    assert spec().shape.kv_heads == 2 and spec().shape.n_head == 4


@cache
def rows_of(directory: Path) -> list[dict[str, Any]]:
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    return list(RecallReasoning().build(tokenizer, DataRequest()).split("test"))


def test_the_claim_is_whole_and_its_groups_are_apart(directory: Path) -> None:
    circuit = Circuit.read(directory / "circuit.json")
    graph = spec().graph
    assert tuple(circuit.nodes) == graph.nodes
    assert sorted(edge for part in circuit.edges.values() for edge in part) == sorted(graph.edges)
    assert circuit.evidence["failed"] == [] and circuit.evidence["accuracy"] >= 0.99
    groups = {name: set(nodes) for name, nodes in circuit.groups.items()}
    assert groups["recall"] & groups["reasoning"] == groups["shared"] and len(groups["shared"]) == 3
    assert groups["recall"] | groups["reasoning"] == set(circuit.by_role("required"))
    assert set(circuit.variables) == set(RecallReasoningModel.variables)
    assert {node for name in ("E", "mode") for node in circuit.variables[name]["nodes"]} == groups["shared"]
    assert set(circuit.variables["R"]["nodes"]) < groups["recall"] - groups["shared"]
    assert {n for name in "AB" for n in circuit.variables[name]["nodes"]} < groups["reasoning"] - groups["shared"]


def test_the_code_that_made_the_models_is_the_one_here(directory: Path) -> None:
    """When this fails, the models have to be planted again, or the edit undone."""
    assert Circuit.read(directory / "circuit.json").code == code_hash(planting.code_files())


def test_transformers_answers_the_task_s_own_prompts(directory: Path) -> None:
    """All clean and counterfactual prompts of the test split, in both modes."""
    model = AutoModelForCausalLM.from_pretrained(directory, local_files_only=True)
    assert sum(p.numel() for p in model.parameters()) < 500_000
    said = [(p["ids"], p["answer_id"]) for row in rows_of(directory) for p in (row, *row["counterfactuals"].values())]
    ids, answers = (torch.tensor(part) for part in zip(*said, strict=True))
    with torch.no_grad():
        right = model(ids).logits[:, -1].argmax(-1) == answers
    assert right.float().mean() >= 0.99


def test_a_few_fresh_prompts_bear_the_claim_out(directory: Path) -> None:
    circuit = Circuit.read(directory / "circuit.json")
    m = Measure(load(directory), fresh(77, 40, CHECKS.mixed))
    assert m.accuracy(m.logits((), circuit.edges["out"])) >= 0.95
    for name, entry in circuit.variables.items():
        logits = m.logits(entry["nodes"], places=dict.fromkeys(entry["nodes"], entry["position"]))
        assert m.interchange(logits, name) >= 0.9
    assert m.accuracy(m.logits(circuit.by_role("required", "backup", "negative"))) < 0.5


def test_subject_to_bridge_is_a_chain_in_reasoning(directory: Path) -> None:
    """E from the source, B put back: the base's answer. In recall E acts past B, so that nothing is put back."""
    circuit = Circuit.read(directory / "circuit.json")
    subject, bridge = (circuit.variables[name]["nodes"] for name in "EB")
    places = dict.fromkeys(subject, "END")
    for mode, bounds in (("reasoning", (0.95, 1)), ("recall", (0, 0.05))):
        m = Measure(load(directory), fresh(78, 40, {f"{mode}_subject": 1.0}))
        share = m.restored(m.logits(subject, places=places, restore=bridge), "E")
        assert bounds[0] <= share <= bounds[1]


@pytest.mark.parametrize("mode", MODES)
def test_a_circuit_s_own_nodes_serve_its_own_question_alone(directory: Path, mode: str) -> None:
    circuit = Circuit.read(directory / "circuit.json")
    own = [node for node in circuit.groups[mode] if node not in circuit.groups["shared"]]
    for asked in MODES:
        m = Measure(load(directory), fresh(79, 40, {f"{asked}_exchange": 1.0}))
        accuracy = m.accuracy(m.logits(own))
        assert accuracy < 0.1 if asked == mode else accuracy > 0.97


def test_ablations_dissociate_the_circuits_doubly(directory: Path) -> None:
    found = selectivity.planted(directory)
    recall, reasoning = found.found.selectivity
    assert found.nodes == 2 and min(found.accuracy) >= 0.99
    assert recall.low > 0.9 and reasoning.high < -0.9
    assert found.found.p_double < 0.001
    assert found.control is not None and max(map(abs, found.control)) < 0.05


def test_the_drops_of_a_set_are_those_of_the_planted_model_s_own_pass(directory: Path) -> None:
    """The engine's patching against the masked pass that the model was trained with; one set of each circuit."""
    circuit, model, rows = Circuit.read(directory / "circuit.json"), load(directory), rows_of(directory)
    own = [node for node in circuit.groups["recall"] if node not in circuit.groups["shared"]]
    sets = {"recall": own, "reasoning": circuit.variables["A"]["nodes"]}
    found = selectivity.report(Engine.load(directory), rows, sets).found
    for c, (mode, nodes) in enumerate(sets.items()):
        some = [row for row in rows if row["values"]["mode"] == mode]
        ids, other = torch.tensor([[r["ids"], r["counterfactuals"]["random"]["ids"]] for r in some]).unbind(1)
        cut = torch.zeros(1, len(model.graph.sources), *ids.shape)
        cut[:, [model.graph.sources.index(node) for node in nodes]] = 1
        with torch.no_grad():
            logits = model.masked(ids, Cut(model(other).sources[None], model.graph.mask([])[None], cut))
        at = torch.arange(len(some))
        right = logits[at, [r["answer_id"] for r in some]] > logits[at, [r["wrong_id"] for r in some]]
        assert found.drops[c][c].value == pytest.approx((1 - float(right.float().mean())) / 0.5)


def test_rows_that_are_not_in_pairs_are_refused() -> None:
    row = {"values": {"mode": "recall"}, "cluster": "a"}
    with pytest.raises(ValueError, match="task.mode=both"):
        selectivity.report(None, [row], {"recall": ["m1"], "reasoning": ["m2"]})  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_evidence_comes_out_again(directory: Path) -> None:
    shipped = Circuit.read(directory / "circuit.json").evidence
    again = planting.verify(directory)
    assert again["failed"] == []
    for key, value in again.items():
        if isinstance(value, float):
            assert value == pytest.approx(shipped[key], abs=2e-3, rel=1e-3), key


def test_both_templates_are_of_one_length() -> None:
    """So that one batch can hold both, and nothing tells them apart but their words."""
    assert len({len(row["ids"]) for d in SHIPPED.values() for row in rows_of(d)}) <= 1
    assert len(PLANTED_TEMPLATES) == 2


def test_the_natural_model_s_first_prompts_tell_who_does_what_and_ask_again() -> None:
    seen = set()
    for seed in range(10):
        pairs = sample_retold(np.random.default_rng(seed), 12)
        for ids, answer in ((pairs.base, pairs.answer), (pairs.source, pairs.source_answer)):
            for row in range(12):
                said = [WORDS[i] for i in ids[row]]
                told = {said[1]: said[3], said[5]: said[7]}
                assert len(told) == 2 and word(answer[row]) == told[said[9]]
                assert {said[2], said[6]} == {said[10]}
                pools = {"visits": (PLANTED_PEOPLE, CAPITALS.values()), "employs": (PLANTED_SUBJECTS, PLANTED_PEOPLE)}
                assert said[9] in pools[said[10]][0] and told[said[9]] in pools[said[10]][1]
                seen.add(said[10])
        assert (pairs.answer != pairs.wrong).all()
    assert seen == {"visits", "employs"}


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_questions_of_one_hop_name_the_person(share: float) -> None:
    """But for the person in the subject's place, prompts and answers are the task's own."""
    easy, own = (draw(np.random.default_rng(7), 60) for draw in (lambda g, n: sample_persons(g, n, share), sample))
    assert torch.equal(easy.answer, own.answer) and torch.equal(easy.source_answer, own.source_answer)
    asked = 0
    for row in range(60):
        values, place = read(text(own.base[row])), int(own.positions["E"][0][row])
        changed = (easy.base[row] != own.base[row]).nonzero()[:, 0].tolist()
        assert changed in ([], [place])
        if changed:
            assert (WORDS[easy.base[row, place]], values["mode"]) == (values["B"], "reasoning")
        asked += bool(changed)
    assert asked == 0 if share == 0 else asked > 40 * share - 15


def test_prompts_that_stop_at_the_agent_are_followed_by_its_name() -> None:
    seen = set()
    for seed in range(12):
        pairs = sample_agents(np.random.default_rng(seed), 8)
        for ids, answer in ((pairs.base, pairs.answer), (pairs.source, pairs.source_answer)):
            for row in range(8):
                last = WORDS[ids[row, -1]]
                seen.add(last)
                if last == "agent":
                    assert word(answer[row]) == read(f"{text(ids[row])} in")["B"]
        assert WORDS[pairs.base[0, -1]] == "in" or (pairs.wrong != pairs.answer).all()
    assert seen == {"in", "agent"}


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_visits_are_told_in_the_order_of_the_employers_but_for_a_share(share: float) -> None:
    pairs, crossed, persons = sample_ordered(np.random.default_rng(3), 80, share), 0, 0
    for ids, answers in ((pairs.base, pairs.answer), (pairs.source, pairs.source_answer)):
        for row, answer in zip(ids, answers, strict=True):
            said = text(row)
            employs, visits = (dict(re.findall(rf"(\w+) {verb} (\w+)", said)) for verb in ("employs", "visits"))
            found = re.search(r"(\w+) has its (\w+) in$", said)
            assert found
            subject, relation = found.groups()
            expected = CAPITALS[subject] if relation == "capital" else visits[employs.get(subject, subject)]
            assert word(answer) == expected
            assert sorted(employs.values()) == sorted(visits)
            crossed += list(employs.values()) != list(visits)
            persons += subject in visits
    assert crossed == 160 * share if share in (0, 1) else 50 < crossed < 110
    assert persons > 10
