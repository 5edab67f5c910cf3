"""The induction model that is written by hand: what it says, and what matters to it, worked out without it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from bench.data import Tokens
from bench.engine import Engine
from bench.planting.evidence.circuit import Circuit, draft
from bench.planting.evidence.measure import Measure
from bench.planting.export import save
from bench.planting.gpt2 import GPT2
from bench.planting.spec import Pairs
from tasks.induction.plant import planting
from tasks.induction.plant_prompts import KINDS, fresh, sample, vocabulary
from tasks.induction.prompts import LONGEST
from tasks.induction.words import PLANTED_TRIGGERS
from tasks.induction.written import POSITIONS, written

EXACT = 2e-3
"""What logits (of up to 12) may be off by."""
FIRST_WORD = 2 + len(PLANTED_TRIGGERS)
SEEDS = (0, 1)
PREVIOUS, HERE, LOOKS, AGAINST = ("a0.h0", "a0.h1"), "m0", ("a2.h0", "a2.h1"), "a2.h2"


@cache
def model(seed: int) -> GPT2:
    return written(seed)


@cache
def named(seed: int) -> dict[str, str]:
    """Each head of the plan by its name in the seed, found by what it does: nothing of the writer is asked.

    Previous-token heads write the lanes that induction heads read; they are told apart by the spec's roles.
    """
    roles = planting.spec_of(seed, "written").roles
    previous = [n for n, r in roles.items() if r.variable == "P"]
    looks = [n for n, r in roles.items() if r.variable == "N"]
    against = [n for n, r in roles.items() if r.role == "negative"]
    return dict(zip((*PREVIOUS, *LOOKS, AGAINST, HERE), (*previous, *looks, *against, HERE), strict=True))


def digits(seed: int) -> Tensor:
    """How many digits two tokens share, [V, V]: each token's code is two ones in the embedding."""
    gram = model(seed).wte @ model(seed).wte.T
    assert (gram - gram.round()).abs().max() < 1e-5
    return gram.detach().round()


def by_hand(seed: int, ids: Tensor, answer: Tensor) -> Tensor:
    """The logits [n, V] of prompts [n, T]: 8 - 2 for each digit of the answer's, 1 for each of the last token's."""
    shared = digits(seed)
    return 6 * shared[answer] + shared[ids[:, -1]]


def pairs_of(kind: str, n: int = 48, seed: int = 7) -> list[Pairs]:
    return fresh(seed, n, {kind: 1.0})


def cut(seed: int, pairs: Pairs, edges: list[str]) -> Tensor:
    """Logits of the words (answers are words) with some edges taken from the sources."""
    (logits,) = Measure(model(seed), [pairs]).logits((), edges)
    return logits[:, FIRST_WORD:]


def words_by_hand(seed: int, pairs: Pairs) -> Tensor:
    """:func:`by_hand`, of the words alone: those of triggers depend on the last token itself."""
    return by_hand(seed, pairs.base, pairs.answer)[:, FIRST_WORD:]


def expected_in(seed: int) -> set[str]:
    """The edges that the construction says are needed."""
    name = named(seed)
    first, second = (name[p] for p in PREVIOUS)
    edges = {"input->m0", f"input->{first}<v>", f"input->{second}<v>"}
    for look in (name[n] for n in LOOKS):
        edges |= {f"input->{look}<q>", f"{first}->{look}<k>", f"{second}->{look}<k>", f"m0->{look}<v>"}
        edges |= {f"{look}->logits"}
    return edges


@pytest.mark.parametrize("seed", SEEDS)
def test_codes_are_pairs_of_digits_that_triggers_and_words_do_not_share(seed):
    shared, first = digits(seed), FIRST_WORD
    assert shared[:2].abs().sum() == 0 and (shared.diagonal()[2:] == 2).all()
    assert (shared - 2 * torch.eye(len(shared))).max() == 1, "no two tokens have one code"
    assert shared[2:first, first:].abs().sum() == 0
    assert (shared[first:, first:] == 1).sum(1).eq(12).all(), "6 words share each of a word's two digits"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "first"])
@pytest.mark.parametrize("seed", SEEDS)
def test_logits_are_those_worked_out_by_hand(seed, kind):
    for pairs in pairs_of(kind):
        for ids, answer in ((pairs.base, pairs.answer), (pairs.source, pairs.source_answer)):
            with torch.no_grad():
                logits = model(seed)(ids).logits
            assert (logits - by_hand(seed, ids, answer)).abs().max() < EXACT


@pytest.mark.parametrize("length", [7, LONGEST])
def test_prompts_of_any_length_come_out_right(length):
    assert POSITIONS == LONGEST
    pairs = sample(np.random.default_rng(3), 64, {"random": 1.0}, length)
    with torch.no_grad():
        logits = model(0)(pairs.base).logits
    assert (logits - by_hand(0, pairs.base, pairs.answer)).abs().max() < EXACT


@pytest.mark.parametrize("seed", SEEDS)
def test_heads_look_where_they_should(seed):
    """Back by one; to what followed the trigger; and to the first word where nothing follows one."""
    name = named(seed)
    for kind in ("random", "first"):
        for pairs in pairs_of(kind):
            with torch.no_grad():
                patterns = [p.numpy() for p in model(seed)(pairs.source).patterns]
            rows, size = np.arange(len(pairs.source)), pairs.source.shape[1]
            for layer, head in (map(int, name[p][1:].split(".h")) for p in PREVIOUS):
                assert patterns[layer][:, head, np.arange(1, size), np.arange(size - 1)].min() > 1 - 1e-6
            target = pairs.positions["ANSWER"][1].numpy() if kind == "random" else 0 * rows
            for layer, head in (map(int, name[n][1:].split(".h")) for n in (*LOOKS, AGAINST)):
                assert patterns[layer][rows, head, size - 1, target].min() > 0.9995


@pytest.mark.parametrize("seed", SEEDS)
def test_the_stream_is_equally_long_everywhere_so_that_norms_do_nothing(seed):
    for pairs in pairs_of("random"):
        with torch.no_grad():
            run = model(seed)(pairs.base)
        stream, layer = torch.zeros_like(run.outs[0]), 0
        for name, out in zip(model(seed).graph.sources, run.outs, strict=True):
            if name.startswith("a2"):
                break
            stream = stream + out
            if name in ("input", "m0", "m1"):
                block = list(model(seed).blocks())[layer]
                assert (model(seed).norm(stream, block.norm1) - stream).abs().max() < EXACT
                assert stream.norm(dim=-1).std() < 1e-3
                layer += 1
        assert layer == 3


slow = pytest.mark.slow
EXHAUSTIVE = [
    pytest.param(seed, kind, marks=[] if (seed, kind) == (0, "random") else slow)
    for seed in SEEDS
    for kind in ("random", "bigrams", "order", "trigger", "output")
]


@pytest.mark.parametrize(("seed", "kind"), EXHAUSTIVE)
def test_exactly_the_declared_edges_matter_one_by_one(seed, kind):
    """Every edge is cut alone. Those outside move no word's logit; of those inside, the ones whose input differs do."""
    pairs, needed = pairs_of(kind, 24)[0], expected_in(seed)
    measure, clean = Measure(model(seed), [pairs]), words_by_hand(seed, pairs)
    moved = {}
    for edge in model(seed).graph.edges:
        (logits,) = measure.logits((), [edge])
        moved[edge] = (logits[:, FIRST_WORD:] - clean).abs().max(1).values
    against = {edge for edge in _declared(seed) if named(seed)[AGAINST] in edge}
    for edge, by in moved.items():
        if edge not in needed | against:
            assert by.max() < EXACT, edge
    if kind in ("bigrams", "random"):  # one in four triggers, and one in seven words, has the same digit
        assert all((moved[edge] > 1).double().mean() > 0.5 for edge in needed)
        keys = f"input->{named(seed)[AGAINST]}<k>"
        assert all(moved[edge].max() > 1 for edge in against - {keys}) and moved[keys].max() < EXACT
    part_of = {"order": "k", "trigger": "q", "output": "v"}
    if kind in part_of:
        for look in (named(seed)[n] for n in LOOKS):
            for part, sources in (("q", ("input",)), ("k", _previous(seed)), ("v", ("m0",))):
                for source in sources:
                    share = (moved[f"{source}->{look}<{part}>"] > 1).double().mean()
                    assert (share > 0.6) == (part == part_of[kind]), (source, look, part, share)


def _previous(seed: int) -> tuple[str, ...]:
    return tuple(named(seed)[p] for p in PREVIOUS)


def _declared(seed: int) -> set[str]:
    spec = planting.spec_of(seed, "written")
    return {*spec.required_edges, *spec.other_edges}


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("seed", SEEDS)
def test_all_edges_outside_can_be_cut_at_once(seed, kind):
    """Also from sources without an answer."""
    circuit = draft(planting.spec_of(seed, "written"), seed)
    for pairs in pairs_of(kind):
        logits = cut(seed, pairs, circuit.edges["out"])
        assert (logits - words_by_hand(seed, pairs)).abs().max() < EXACT


@pytest.mark.parametrize("seed", SEEDS)
def test_the_engine_says_so_too(seed, tmp_path: Path):
    """The circuit alone, on the exported weights, through code that shares nothing with the writer's."""
    save(model(seed), vocabulary(), tmp_path / "model")
    engine, graph = Engine.load(tmp_path / "model"), model(seed).graph
    kept = expected_in(seed)
    for pairs in pairs_of("random", 24):
        base, source = (Tokens(ids, torch.ones_like(ids, dtype=torch.bool)) for ids in (pairs.base, pairs.source))
        mask = graph.mask(edge for edge in graph.edges if edge not in kept)
        logits = engine.run_circuit(base, ~mask.bool(), engine.sources(source))
        assert (logits.argmax(-1) == pairs.answer).all()
        for edge in sorted(kept):
            broken = engine.run_circuit(base, ~(mask + graph.mask([edge])).bool(), engine.sources(source))
            assert (broken.argmax(-1) == pairs.answer).double().mean() < 0.5, edge


def test_seeds_put_the_roles_into_other_heads_and_turn_the_axes():
    assert named(0) != named(1)
    assert not torch.allclose(model(0).wte, model(1).wte, atol=0.1)


SHIPPED = planting.shipped("written")


def test_seed_0_is_shipped():
    assert sorted(SHIPPED) == [0]


@pytest.mark.parametrize("seed", sorted(SHIPPED))
def test_what_is_shipped_is_what_the_code_writes(seed):
    shipped = AutoModelForCausalLM.from_pretrained(SHIPPED[seed], local_files_only=True)
    assert sum(p.numel() for p in shipped.parameters()) < 500_000
    for name, weight in model(seed).to_state().items():
        assert torch.allclose(shipped.state_dict()[name], weight, atol=1e-6), name
    circuit = Circuit.read(SHIPPED[seed] / "circuit.json")
    assert set(circuit.edges["in"]) == expected_in(seed)
    assert (circuit.variant, circuit.steps, circuit.evidence["failed"]) == ("written", 0, [])
    assert {n for n, node in circuit.nodes.items() if node["role"] == "required"} == {
        named(seed)[n] for n in (*PREVIOUS, *LOOKS, HERE)
    }


@pytest.mark.parametrize("seed", sorted(SHIPPED))
def test_transformers_reads_text_and_answers(seed):
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED[seed], local_files_only=True)
    shipped = AutoModelForCausalLM.from_pretrained(SHIPPED[seed], local_files_only=True)
    text = "bird king stone river moon chair cloud bread table paper fish moon"
    with torch.no_grad():
        logits = shipped(**tokenizer(text, return_tensors="pt")).logits[0, -1]
    assert tokenizer.decode(logits.argmax()).strip() == "chair" and abs(logits.max() - 12) < EXACT
