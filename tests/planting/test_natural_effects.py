"""Costs of cuts: against whole circuits run by the engine, against the trainer's masked pass, and by hand."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data import Tokens
from bench.engine import Engine
from bench.planting.architectures import build
from bench.planting.evidence.circuit import Circuit
from bench.planting.evidence.measure import Measure
from bench.planting.export import load, save
from bench.planting.natural import stored
from bench.planting.natural.effects import Ablation, costs_of, measure
from bench.planting.natural.truth import node_roles
from tasks.ioi import plant as ioi
from tests.planting import toy

PLANTED = Path(ioi.__file__).parent / "planted"


@pytest.fixture(params=("gpt2", "llama", "neox"))
def directory(request, tmp_path):
    """A tiny model with large random weights."""
    torch.manual_seed(3)
    model = build(toy.SHAPES[request.param])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.5)
    save(model, toy.VOCABULARY, tmp_path)
    return tmp_path


def pairs_for(directory, n=24):
    """Two lengths of prompts; the model's own answers, so that it is right and the sources change the answer."""
    model, out = load(directory), []
    for seed, cut in ((0, 0), (1, 2)):
        pairs = toy.fresh(seed, n, {"repeat": 1.0})[0]
        pairs = replace(pairs, base=pairs.base[:, cut:], source=pairs.source[:, cut:])
        with torch.no_grad():
            answer, wrong = model(pairs.base).logits.argmax(-1), model(pairs.source).logits.argmax(-1)
        out.append(replace(pairs, answer=answer, wrong=torch.where(wrong == answer, (answer + 1) % 15, wrong)))
    return out


def tokens(ids):
    return Tokens(ids, torch.ones_like(ids, dtype=torch.bool))


def by_circuits(engine, pairs, edges):
    """Accuracy and mean logit difference with some edges cut, one circuit after another; nothing is shared."""
    right, margin = [], []
    index = [list(engine.graph.edges).index(edge) for edge in edges]
    kept = np.ones(engine.graph.n_edges, dtype=bool)
    kept[index] = False
    for p in pairs:
        mask = torch.from_numpy(engine.graph.edge_mask(kept))
        logits = engine.run_circuit(tokens(p.base), mask, engine.sources(tokens(p.source)))
        for row, answer, wrong in zip(logits, p.answer, p.wrong, strict=True):
            right.append(float(row.argmax() == answer))
            margin.append(float(row[answer] - row[wrong]))
    return np.mean(right), np.mean(margin)


def test_every_cut_is_what_the_same_circuit_gives(directory):
    engine, pairs = Engine.load(directory), pairs_for(directory)
    effects, edges = measure(Ablation(engine, pairs)), engine.graph.edges
    whole, nothing = by_circuits(engine, pairs, []), by_circuits(engine, pairs, edges)
    assert (effects.accuracy, effects.n) == (1.0, 48) and whole[0] == 1.0
    assert effects.span == pytest.approx(whole[1] - nothing[1], rel=1e-4)

    def expected(cut):
        right, margin = by_circuits(engine, pairs, cut)
        return whole[0] - right, (whole[1] - margin) / (whole[1] - nothing[1])

    out = {node: [edge for edge in edges if edge.split("->")[0] == node] for node in engine.graph.components}
    single = {node: expected(cut) for node, cut in out.items()}
    for i, node in enumerate(effects.nodes):
        assert (effects.node.accuracy[i], effects.node.margin[i]) == pytest.approx(single[node], abs=1e-4)
    assert effects.pairs == tuple(itertools.combinations(engine.graph.components, 2))
    for i, (a, b) in enumerate(effects.pairs):
        both = expected(out[a] + out[b])
        assert (effects.pair.accuracy[i], effects.pair.margin[i]) == pytest.approx(both, abs=1e-4)
        excess = [x - y - z for x, y, z in zip(both, single[a], single[b], strict=True)]
        assert (effects.excess.accuracy[i], effects.excess.margin[i]) == pytest.approx(excess, abs=1e-4)
    assert effects.edges == edges
    for i in np.random.default_rng(0).permutation(len(edges))[:40]:
        found = effects.edge.accuracy[i], effects.edge.margin[i]
        assert found == pytest.approx(expected([edges[i]]), abs=1e-4)
    assert np.ptp(effects.edge.margin) > 0.05, "edges that do nothing would test nothing"


def test_the_trainers_masked_pass_says_the_same(directory):
    """Written apart from the engine, and used for the evidence of planted models."""
    pairs = pairs_for(directory)
    ablation, other = Ablation(Engine.load(directory), pairs), Measure(load(directory), pairs)
    sets = [("a0.h1",), ("m0", "a1.h0"), ("a0.h0", "m1")]
    found = ablation.nodes(sets)
    for i, nodes in enumerate(sets):
        logits = other.logits(nodes)
        np.testing.assert_allclose(found.margin[i], torch.cat(other.difference(logits)).double(), atol=1e-3)
        assert found.right[i].mean() == other.accuracy(logits)


def test_edges_cut_together_are_one_circuit(directory):
    engine, pairs = Engine.load(directory), pairs_for(directory)
    chosen = engine.graph.edges[::3]
    found = Ablation(engine, pairs).together(chosen)
    assert (found.right.mean(), found.margin.mean()) == pytest.approx(by_circuits(engine, pairs, chosen), rel=1e-4)


def test_sources_that_change_nothing_are_refused(directory):
    pairs = [replace(p, source=p.base) for p in pairs_for(directory)]
    with pytest.raises(ValueError, match="use sources that change the answer"):
        Ablation(Engine.load(directory), pairs)


def test_costs_by_hand():
    """Four examples: half the answers lost; logit differences 1, 2, 0, 1 lost of 4, 4, 2, 2: a third."""
    found = costs_of(np.array([[1.0, 0, 1, 0]]), np.array([[1.0, 2, 0, 1]]), np.array([4.0, 4, 2, 2]))
    assert found.accuracy == [0.5] and found.margin == pytest.approx([1 / 3])
    assert found.accuracy_se == pytest.approx([np.sqrt(1 / 3) / 2])
    left = np.array([1 - 4 / 3, 2 - 4 / 3, -2 / 3, 1 - 2 / 3])
    assert found.margin_se == pytest.approx([np.sqrt((left**2).sum() / 3) / 2 / 3])


def test_the_standard_error_of_a_ratio_is_the_spread_of_many_samples():
    rng = np.random.default_rng(1)
    lost = 5 + 2 * rng.standard_normal((2000, 200))
    margin = 0.3 * lost + rng.standard_normal((2000, 200))
    found = [costs_of(np.zeros((1, 200)), m[None], x) for m, x in zip(margin, lost, strict=True)]
    shares = [float(f.margin[0]) for f in found]
    assert np.std(shares) == pytest.approx(np.mean([f.margin_se[0] for f in found]), rel=0.06)
    assert np.mean(shares) == pytest.approx(0.3, abs=0.003)


def test_what_is_stored_comes_back(directory, tmp_path):
    effects = measure(Ablation(Engine.load(directory), pairs_for(directory)))
    stored.write(tmp_path / "effects.csv", {"one": effects, "two": replace(effects, accuracy=0.5)})
    back = stored.read(tmp_path / "effects.csv")
    assert list(back) == ["one", "two"] and back["two"].accuracy == 0.5
    one = back["one"]
    assert (one.n, one.nodes, one.pairs, one.edges) == (effects.n, effects.nodes, effects.pairs, effects.edges)
    assert one.span == pytest.approx(effects.span)
    for kind in ("node", "pair", "excess", "edge"):
        for ours, theirs in zip(getattr(one, kind), getattr(effects, kind), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_planted_models_required_nodes_come_out_as_required(seed):
    directory = PLANTED / f"seed{seed}"
    pairs = ioi.fresh(11, 30, ioi.planting.spec_of(seed).checks.mixed)
    roles = node_roles([measure(Ablation(Engine.load(directory), pairs), edges=False)])
    circuit = Circuit.read(directory / "circuit.json")
    assert [name for name in circuit.by_role("required") if roles[name] != "required"] == []
    assert [name for name in circuit.by_role("negative") if roles[name] != "negative"] == []
