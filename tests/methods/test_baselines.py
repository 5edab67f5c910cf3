"""Floors and the ceiling."""

import numpy as np
import pytest
import torch

from bench.explanation import Explanation
from bench.graph import ComponentGraph
from bench.method import Skip, Truth
from bench.metric import ScoreContext
from bench.metrics.auroc import Auroc
from bench.metrics.average_precision import AveragePrecision
from bench.metrics.sign_accuracy import SignAccuracy
from bench.scoring.selection import random_ties
from methods.baselines.attention_to_answer import AttentionToAnswer
from methods.baselines.oracle import Oracle
from methods.baselines.random import Random
from methods.baselines.random_layer import RandomLayer, layer_of
from tests.methods.linear import LinearEngine, examples, job

LEVELS = ("node", "edge")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("method", [Random, RandomLayer])
def test_chance_follows_the_seed_alone(method, level):
    engine, rows = LinearEngine(), examples()
    first = method(level=level).scores(job(engine, rows, seed=1))
    assert first.shape == (len(engine.graph.names(level)),)
    np.testing.assert_array_equal(first, method(level=level).scores(job(engine, rows[:2], seed=1)))
    assert (first != method(level=level).scores(job(engine, rows, seed=2))).any()


@pytest.mark.parametrize("level", LEVELS)
def test_random_layer_takes_the_same_share_of_every_layer(level):
    engine = LinearEngine(ComponentGraph(4, 3))
    layers = layer_of(engine.graph, level)
    for seed in range(5):
        scores = RandomLayer(level=level).scores(job(engine, examples(), seed=seed))
        assert len(set(scores)) == len(scores)
        for k in range(1, len(scores) + 1):
            top = np.argsort(-scores)[:k]
            threshold = 1 - scores[top[-1]]
            for layer in np.unique(layers):
                size, taken = (layers == layer).sum(), (layers[top] == layer).sum()
                assert abs(taken - threshold * size) <= 1 + 1e-9


def test_layers_are_blocks_and_edges_count_by_their_destination():
    graph = ComponentGraph(2, 2)
    assert dict(zip(graph.components, layer_of(graph, "node"), strict=True))["m1"] == 1
    layers = dict(zip(graph.edges, layer_of(graph, "edge"), strict=True))
    assert (layers["input->a0.h0<q>"], layers["input->m1"], layers["a0.h0->a1.h1<k>"], layers["m0->logits"]) == (
        0,
        1,
        1,
        2,
    )


TRUTH = {"a0.h0": "required", "a0.h1": "inert", "m0": "free", "a1.h0": "negative", "a1.h1": "backup", "m1": "required"}


def truth(graph):
    status = {}
    for i, edge in enumerate(graph.edges):
        ends = {edge.split("->")[0], edge.split("->")[1].split("<")[0]}
        status[edge] = "in" if ends <= {"a0.h0", "m1", "input", "logits"} else ("out", "undetermined")[i % 2]
    return Truth(TRUTH, status)


def test_the_oracle_ranks_by_role_and_signs_what_speaks_against_the_answer():
    engine = LinearEngine()
    here = job(engine, examples(), truth=truth(engine.graph))
    nodes = dict(zip(engine.graph.components, Oracle(level="node").scores(here), strict=True))
    assert nodes["a0.h0"] == nodes["m1"] > -nodes["a1.h0"] > nodes["a1.h1"] > nodes["m0"] > nodes["a0.h1"] == 0
    edges = dict(zip(engine.graph.edges, Oracle(level="edge").scores(here), strict=True))
    assert edges["input->m1"] == 1 and edges["a0.h0->m1"] == 1
    for name, status in here.truth.edges.items():
        assert abs(edges[name]) == {"in": 1, "undetermined": 0.5, "out": 0}[status]
        if "a1.h0" in name:
            assert edges[name] <= 0


@pytest.mark.parametrize("level", LEVELS)
def test_the_oracle_is_perfect_against_the_truth_that_it_was_given(level):
    engine = LinearEngine()
    here = job(engine, examples(), truth=truth(engine.graph))
    oracle = Oracle(level=level)
    explanation = Explanation(
        level, engine.graph.names(level), oracle.scores(here).astype(np.float32),
        "ioi", "1", "planted", "r", "oracle", "1", "other", extra=oracle.extra(here),
    )  # fmt: skip
    context = ScoreContext(engine, lambda: iter(()), 0, (), "", lambda batch: None, "other", truth=here.truth)
    for metric in (Auroc(), AveragePrecision(), SignAccuracy()):
        assert metric.reduce(metric.measure(explanation, context))[""] == pytest.approx(1)
    assert random_ties(explanation)


def test_the_oracle_is_skipped_where_nothing_was_planted():
    with pytest.raises(Skip, match="planted"):
        Oracle().scores(job(LinearEngine(), examples()))


def test_a_baselines_level_and_objective_are_not_in_its_label():
    assert Random(level="node", objective="kl").label() == "random"
    assert Oracle(level="node").level == "node" and Oracle.baseline


class Attending(LinearEngine):
    """Head (l, h) puts weight 0.1 (l + 1) + 0.01 h on the second real token, from everywhere."""

    def attention(self, tokens):
        self.cost.forwards += len(tokens)
        patterns = []
        for layer in range(2):
            pattern = torch.zeros(len(tokens), 2, tokens.ids.shape[1], tokens.ids.shape[1])
            for row in range(len(tokens)):
                for head in range(2):
                    pattern[row, head, :, tokens.offset[row] + 1] = 0.1 * (layer + 1) + 0.01 * head
            patterns.append(pattern)
        return patterns


@pytest.mark.parametrize("side", ["left", "right"])
def test_attention_to_answer_reads_the_row_of_the_last_token_at_the_answers_places(side):
    engine = Attending()
    rows = [{**r, "ids": [r["ids"][1] + 1, *r["ids"][1:]]} for r in examples() if r["ids"][1] < 10]
    rows = [r for r in rows if r["ids"].count(r["answer_id"]) == 1]
    absent = {**rows[0], "answer_id": next(i for i in range(11) if i not in rows[0]["ids"])}
    scores = AttentionToAnswer(level="node").scores(job(engine, [*rows, absent], side=side))
    np.testing.assert_allclose(scores, [0.1, 0.11, 0, 0.2, 0.21, 0], atol=1e-6)
    assert engine.cost.forwards == len(rows) + 1
    edges = AttentionToAnswer(level="edge").scores(job(engine, rows, side=side))
    np.testing.assert_allclose(edges, np.append(0, scores)[engine.graph.edge_index[1]], atol=1e-6)
    with pytest.raises(Skip, match="says its answer"):
        AttentionToAnswer().scores(job(engine, [absent]))


class Decoder:
    """Token 10 reads like token 1, a blank aside."""

    @staticmethod
    def decode(ids):
        return " 1" if ids == [10] else str(ids[0])


def test_an_answer_at_the_start_of_a_sentence_counts_as_said():
    row = {**examples(1)[0], "ids": [3, 10, 4], "answer_id": 1}
    scores = AttentionToAnswer(level="node").scores(job(Attending(tokenizer=Decoder()), [row]))
    assert scores[0] == pytest.approx(0.1, abs=1e-6)
