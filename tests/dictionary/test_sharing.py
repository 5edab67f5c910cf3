"""What the dictionaries of a job share, and what each pays: recorded activations, text, losses without a dictionary."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.data import batches
from bench.dictionary.files import declared
from bench.engine import Engine
from bench.explanation import Explanation
from bench.measuring import measure
from bench.metrics.ce_loss_score import CeLossScore
from bench.metrics.explained_variance import ExplainedVariance
from bench.metrics.random_model_variance import RandomModelVariance
from bench.variable.randomised import randomised
from methods.dictionaries.mean import Mean
from methods.dictionaries.neurons import Neurons
from methods.dictionaries.sae_topk import SaeTopK
from tests.dictionary.test_judging import rows, scored
from tests.engine.tiny import tiny
from tests.methods.linear import job

torch.set_num_threads(1)


@pytest.fixture
def here():
    made = job(Engine(tiny("gpt2"), check=False), rows(24))
    return replace(made, batches=lambda split: batches(rows(24 if split == "train" else 8), "other", 4))


def handed(method, here):
    parts = method.explain(here)
    return Explanation(
        method.level, parts.components, np.asarray(parts.scores, dtype=np.float32), "t", "1", "m", "", method.name, "1",
        "other", track=method.track, extra=parts.extra, tensors=parts.tensors,
    )  # fmt: skip


def counted(engine):
    """How many rows the model really ran, beside what is charged."""
    ran, inside = [], engine.wiring.run

    def run(tokens, *more):
        ran.append(len(tokens))
        return inside(tokens, *more)

    engine.wiring.run = run
    return ran


def test_a_site_is_recorded_once_for_all_methods_and_each_pays_for_it(here):
    ran, engine = counted(here.engine), here.engine
    first = Neurons(l0=3.0, site="stream1").explain(here)
    once, paid = sum(ran), engine.cost.forwards
    assert once == paid == 24 + 8
    again = Neurons(l0=3.0, site="stream1").explain(here)
    assert sum(ran) == once and engine.cost.forwards == 2 * paid
    assert again.scores == first.scores and all(
        np.array_equal(again.tensors[k], first.tensors[k]) for k in again.tensors
    )
    fresh = Neurons(l0=3.0, site="stream1").explain(replace(here, shared={}))
    assert fresh.scores == first.scores and sum(ran) == 2 * once
    other = Neurons(l0=3.0, site="stream2").explain(here)
    assert sum(ran) == 3 * once and other.scores != first.scores


def test_figures_are_the_same_whatever_was_scored_before(here):
    found = [handed(method, here) for method in (Neurons(l0=3.0), Neurons(l0=9.0), Neurons(l0=3.0, site="stream2"))]
    metrics, together = (ExplainedVariance(), CeLossScore()), scored(here.engine)
    ran = counted(here.engine)
    for i, explanation in enumerate(found):
        for metric in metrics:
            before = sum(ran)
            shared = metric.reduce(metric.measure(explanation, together))[""]
            cost = sum(ran) - before
            alone = metric.reduce(metric.measure(explanation, scored(here.engine)))[""]
            assert float(shared) == float(alone)
            n = together.n_examples
            per = (
                {"explained_variance": 1, "ce_loss_score": 3}
                if i != 1
                else {"explained_variance": 0, "ce_loss_score": 1}
            )
            assert cost == per[metric.name] * n


def test_the_randomised_model_s_dictionary_is_trained_and_judged_there(here):
    engine, context = here.engine, scored(here.engine)
    method = SaeTopK(l0=4.0, batch_size=64, steps=60, lr=5e-3, site="stream1")
    asked = []

    def on_model(other):
        asked.append(other)
        return handed(method, replace(here, engine=other, shared={}))

    metric = RandomModelVariance()
    result = measure(metric, handed(method, here), replace(context, on_model=on_model))
    assert result.status == "ok", result.reason
    figures = metric.reduce(result.arrays)
    (other,) = asked
    expected = randomised(engine, context.seed)
    for ours, theirs in zip(other.model.parameters(), expected.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    dictionary = declared(handed(method, replace(here, engine=expected, shared={})))
    x = torch.cat([
        expected.model(batch.clean.ids, attention_mask=batch.clean.mask.long(), output_hidden_states=True,
                       position_ids=(batch.clean.mask.cumsum(1) - 1).clamp(min=0)).hidden_states[1][
            batch.clean.mask & (batch.clean.mask.cumsum(1) > 1)]
        for batch in context.batches()
    ]).detach()  # fmt: skip
    error = (x - dictionary.reconstruct(x)).double().square().sum()
    variance = (x.double() - x.double().mean(dim=0)).square().sum()
    assert float(figures["part=control"]) == pytest.approx(1 - float(error / variance), abs=1e-4)
    own = ExplainedVariance().reduce(ExplainedVariance().measure(handed(method, here), context))[""]
    assert float(figures[""]) == pytest.approx(float(own) - float(figures["part=control"]), abs=1e-9)
    assert float(figures["part=control_l0"]) == pytest.approx(4.0)
    assert measure(metric, handed(method, here), context).status == "undefined"


def test_the_mean_alone_explains_nothing_and_has_no_latent(here):
    mean = handed(Mean(site="stream1"), here)
    dictionary = declared(mean)
    x = dictionary.tensors["b_dec"] + torch.randn(5, len(dictionary.tensors["b_dec"]))
    assert torch.equal(dictionary.reconstruct(x), dictionary.tensors["b_dec"].expand(5, -1))
    assert not dictionary.encode(x).any() and mean.extra["control"] and mean.extra["l0"] == 0
    (values,) = ExplainedVariance().reduce(ExplainedVariance().measure(mean, scored(here.engine))).values()
    assert -1 < float(values) <= 0
