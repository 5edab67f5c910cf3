"""The layerwise measures as methods, and the metric that holds them against their controls."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.data import batches
from bench.engine import Engine
from bench.explanation import Explanation, load
from bench.measuring import measure
from bench.method import Skip
from bench.metric import ScoreContext
from bench.metrics.above_control import AboveControl
from bench.readout.measure import MeasureError, Sums
from bench.readout.measures import named
from bench.variable.randomised import randomised
from methods.measures.answer_settling import AnswerSettling
from methods.measures.block_coupling import BlockCoupling
from methods.measures.intrinsic_dimension import IntrinsicDimension
from methods.measures.next_token_law import NextTokenLaw
from methods.measures.trajectory_continuity import TrajectoryContinuity
from tests.engine.tiny import prompts, tiny
from tests.methods.linear import job

torch.set_num_threads(1)
METHODS = [
    NextTokenLaw(shuffles=2), IntrinsicDimension(neighbours=16), IntrinsicDimension(points=40, control="shuffled"),
    BlockCoupling(top=4, examples=0), TrajectoryContinuity(), TrajectoryContinuity(form="cosine", positions="all"),
    AnswerSettling(positions="all"),
]  # fmt: skip
COMPONENTS = {
    "block_coupling": ("block0",), "trajectory_continuity": ("stream2",),
    "trajectory_continuity[form=cosine,positions=all]": ("block1",),
}  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(tiny("gpt2"), check=False)


def rows(n: int = 12) -> list[dict]:
    lists = prompts(tuple(6 + i % 4 for i in range(n)))
    return [
        {"ids": ids, "counterfactuals": {"other": {"ids": ids}}, "positions": {"END": len(ids) - 1},
         "answer_id": 5, "wrong_id": 6}
        for ids in lists
    ]  # fmt: skip


def explained(engine: Engine, method, **more) -> Explanation:
    handed = method.explain(job(engine, rows(), **more))
    return Explanation(
        level=method.level, components=handed.components, scores=np.asarray(handed.scores, dtype=np.float32),
        task="t", task_version="1", model="m", model_revision="r", method=method.label(), method_version="1",
        counterfactual="other", positions=method.position_axis(), track=method.track, extra=handed.extra,
        tensors=handed.tensors,
    )  # fmt: skip


def context(engine: Engine, batch_size: int = 5, side: str = "left") -> ScoreContext:
    found = rows()
    return ScoreContext(
        engine, lambda: batches(found, "other", batch_size, side=side), len(found), [str(i) for i in range(len(found))],
        "none", lambda batch: None, "other",
    )  # fmt: skip


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.label())
def test_an_explanation_has_value_and_control_per_layer_whatever_the_batches(engine, method, tmp_path):
    one = explained(engine, method, batch_size=4)
    streams = ("stream0", "stream1", "stream2")
    wanted = COMPONENTS.get(method.label(), COMPONENTS.get(method.name, streams))
    assert one.components == wanted and one.scores.shape == (len(wanted), 2) and one.positions == "value,control"
    other = explained(engine, method, batch_size=7, side="right")
    assert other.scores[:, 0] == pytest.approx(one.scores[:, 0], rel=2e-3, abs=1e-5)
    for name, content in one.files().items():
        (tmp_path / name).write_bytes(content)
    again = load(tmp_path)
    assert named(again.extra) == method.measure() and set(again.tensors) == set(one.tensors)


def test_the_cost_is_what_the_docstrings_say(engine):
    for method in METHODS:
        engine.cost.reset()
        method.explain(job(engine, rows()))
        passes = engine.cost.forwards / 12, engine.cost.backwards / 12
        expected = {"next_token_law": (2, 0), "block_coupling": (1, engine.d_model)}.get(method.name, (1, 0))
        assert passes == expected and method.passes(engine.graph) in (expected, None), method.label()


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.label())
def test_the_metric_takes_the_measure_again_and_subtracts_the_control(engine, method):
    """On the prompts that the method saw both must agree; the law is learnt and taken on one and the same here."""
    explanation = explained(engine, method, batch_size=5)
    result = measure(AboveControl(), explanation, context(engine))
    assert result.status == "ok" and len(result.clusters) == 12, result.reason
    figures = AboveControl().reduce(result.arrays)
    sign = method.measure().direction
    expected = sign * (explanation.scores[:, 0] - explanation.scores[:, 1])
    layers = {k: float(v) for k, v in figures.items() if k.startswith("layer=")}
    assert list(layers.values()) == pytest.approx(expected.tolist(), abs=1e-5)
    assert float(figures[""]) == pytest.approx(expected.mean(), abs=1e-5)
    assert list(layers) == [f"layer={c[-1]}" for c in explanation.components]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.label())
def test_the_part_of_shuffled_weights_is_the_measure_of_that_model(engine, method):
    """Run as if the randomised model were the one that is explained."""
    learns = method.measure().learns
    asked = context(engine)
    asked = replace(asked, on=lambda split: asked) if learns else asked
    found = measure(AboveControl(), explained(engine, method, batch_size=5), asked)
    other = randomised(engine, asked.seed)
    there = measure(AboveControl(), explained(other, method, batch_size=5), context(other))
    figures = AboveControl().reduce(found.arrays)
    expected = float(AboveControl().reduce(there.arrays)[""])
    assert float(figures["weights=shuffled"]) == pytest.approx(expected, abs=1e-5)
    assert AboveControl().suffix_direction("weights=shuffled") == 0
    if learns:  # without its training prompts it is not there
        bare = measure(AboveControl(), explained(engine, method, batch_size=5), context(engine))
        assert "weights=shuffled" not in AboveControl().reduce(bare.arrays)


def test_a_bootstrap_resamples_numerator_and_denominator_together():
    rng = np.random.default_rng(0)
    sums = Sums(rng.random((6, 2, 2)), rng.random((6, 2, 2)))
    weights = rng.multinomial(6, np.full(6, 1 / 6), size=3)
    for draw, counts in zip(sums.figures(weights), weights, strict=True):
        kept = np.repeat(np.arange(6), counts)
        assert draw == pytest.approx(sums.top[kept].sum(axis=0) / sums.bottom[kept].sum(axis=0))


def test_the_metric_says_what_it_cannot_score(engine):
    good = explained(engine, NextTokenLaw(shuffles=2))
    cases = {
        "name a layerwise measure": replace(good, extra={}),
        "no measure": replace(good, extra={"measure": "other"}),
        "shuffles=-1": replace(good, extra={**good.extra, "parameters": {"shuffles": -1}}),
        "unexpected keyword": replace(good, extra={**good.extra, "parameters": {"path": "x"}}),
        "must be a mapping": replace(good, extra={**good.extra, "parameters": [1]}),
        "needs the components": replace(good, components=("stream0", "stream1", "layer2")),
        "needs the fitted weights": replace(good, tensors={}),
    }
    for reason, broken in cases.items():
        found = measure(AboveControl(), broken, context(engine))
        assert found.status in ("undefined", "skipped") and reason in found.reason, (reason, found.reason)


@pytest.mark.parametrize("wrong", [{"top": 1.5}, {"top": True}, {"top": 10**9}, {"control": "none"}, {"control": 1}])
def test_parameters_are_plain_and_small(wrong):
    with pytest.raises(MeasureError, match="block_coupling"):
        named({"measure": "block_coupling", "parameters": wrong})


class Letters:
    def __call__(self, text):
        return {"input_ids": [3 + ord(letter) % 40 for letter in text]}


def test_a_text_stands_in_for_the_prompts(engine, tmp_path):
    file = tmp_path / "story.txt"
    file.write_text("the cat sat on the mat and looked at the rat " * 12)
    engine.tokenizer = Letters()
    try:
        law = NextTokenLaw(text=str(file), window=20, shuffles=2)
        handed = law.explain(job(engine, rows()))
        assert law.label() == "next_token_law[shuffles=2,text=story.txt,window=20]" and handed.extra["of"] == "text"
        assert handed.scores[1, 0] < 0.9  # what repeats itself can be told
        engine.cost.reset()
        AnswerSettling(text=str(file), window=20).explain(job(engine, rows()))
        assert engine.cost.forwards == 540 // 20
        with pytest.raises(Skip, match="text of 10 windows of 64 tokens; this one has 540"):
            AnswerSettling(text=str(file)).explain(job(engine, rows()))
        with pytest.raises(Skip, match=r"text lost\.txt, and there is no such file"):
            AnswerSettling(text=str(tmp_path / "lost.txt")).explain(job(engine, rows()))
    finally:
        engine.tokenizer = None
    with pytest.raises(Skip, match="tokenizer"):
        AnswerSettling(text=str(file)).explain(job(engine, rows()))


def test_parameters_that_are_none_are_refused_at_once():
    for wrong in ({"positions": "first"}, {"window": 1}):
        with pytest.raises(ValueError, match="first|window"):
            AnswerSettling(**wrong)
