"""Circuits of latents under the metrics over sizes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.data import batches
from bench.explanation import Explanation, ExplanationError
from bench.features.circuits import run_kept, states
from bench.features.declared import handed
from bench.features.latents import Latents
from bench.measuring import measure
from bench.metrics.area_log import AreaLog
from bench.metrics.faithfulness import Faithfulness
from bench.objectives import logit_diff
from bench.scoring.ablation import ABLATIONS
from bench.scoring.space import space_of
from methods.features.feature_patching import FeaturePatching
from tests.features.support import dictionary, engine_of, here, rows, scored, some


@pytest.fixture(scope="module")
def engine():
    return engine_of()


def explanation(latents, scores=None, seed=1):
    scores = np.random.default_rng(seed).standard_normal(len(latents.names)) if scores is None else scores
    parts = handed(latents, scores)
    return Explanation("feature", parts.components, parts.scores.astype(np.float32), "t", "1", "m", "", "x", "1",
                       "other", extra=parts.extra, tensors=parts.tensors)  # fmt: skip


def two(engine):
    return Latents([dictionary("attn0", 32, n=7, seed=1), dictionary("m1", 32, n=5, seed=2)]).on(engine)


def test_values_are_those_of_circuits_run_one_by_one(engine):
    latents, context = two(engine), scored(engine, batch_size=9)
    found = measure(AreaLog(), made := explanation(latents), context)
    assert found.status == "ok", found.reason
    (b,) = batches(rows(), "other", 9)
    ablated = states(engine, latents, b.corrupt)
    order = np.argsort(-np.abs(made.scores), kind="stable")
    sizes = found.arrays["edges"][0]
    assert found.arrays["n_edges"] == 14 and sizes[0] == pytest.approx(1 / 14) and sizes[-1] == 1
    for column, size in enumerate(sizes):
        kept = torch.zeros(14, dtype=torch.bool)
        kept[order[: round(size * 14)].copy()] = True
        value = logit_diff(run_kept(engine, latents, b.clean, kept, ablated), b).numpy()
        assert found.arrays["circuits"][:, 0, column] == pytest.approx(value, abs=1e-5)
    whole = logit_diff(engine.logits(b.clean), b).numpy()
    assert found.arrays["whole"] == pytest.approx(whole, abs=1e-5)
    assert found.arrays["circuits"][:, 0, -1] == pytest.approx(whole, abs=1e-5)


@pytest.mark.parametrize("name", ABLATIONS)
def test_batches_and_padding_have_no_say_under_any_ablation(engine, name):
    made = explanation(some(engine))
    one = measure(AreaLog(), made, scored(engine, name))
    assert one.status == "ok", one.reason
    other = measure(AreaLog(), made, scored(engine, name, 2, "right"))
    scale = np.abs(one.arrays["circuits"]).max()
    assert other.arrays["circuits"] == pytest.approx(one.arrays["circuits"], abs=2e-5 * scale)
    assert np.abs(one.arrays["whole"] - one.arrays["empty"]).max() > 0.01


def test_exact_effects_give_more_than_random_rankings_which_are_the_floor(engine):
    latents = two(engine)
    exact = FeaturePatching().of_latents(here(engine, rows(9)), latents)
    context = scored(engine, permutations=6)
    metric = AreaLog()
    found = measure(metric, explanation(latents, exact), context)
    floor = metric.floors(found.arrays)[""]
    drawn = metric.p_draws(found.arrays)[""]
    assert len(drawn) == 6 and floor == pytest.approx(drawn.mean()) and len(set(drawn.tolist())) > 1
    assert float(metric.reduce(found.arrays)[""]) > floor
    edges = {**found.arrays}
    del edges["own_floor"]
    assert metric.floors(edges) == {}  # of edges it is the baseline's


def test_faithfulness_keeps_what_its_sizes_allow_and_ties_are_not_carried_to_the_null(engine):
    latents = two(engine)
    found = measure(Faithfulness(), explanation(latents), scored(engine))
    assert found.status == "ok", found.reason
    assert found.arrays["edges"][0].tolist() == [0] * 6 + [1 / 14, 2 / 14, 7 / 14, 1]
    f = Faithfulness().reduce(found.arrays)
    assert float(f["size=0.001"]) == pytest.approx(0) and float(f["size=1"]) == pytest.approx(1)


def test_equal_latents_share_runs_and_other_dictionaries_do_not(engine):
    latents, context = two(engine), scored(engine)
    first = measure(AreaLog(), explanation(latents), context)
    before = engine.cost.forwards
    again = measure(AreaLog(), explanation(latents), context)
    assert engine.cost.forwards == before
    assert np.array_equal(first.arrays["circuits"], again.arrays["circuits"])
    others = Latents([dictionary("attn0", 32, n=7, seed=8), dictionary("m1", 32, n=5, seed=9)]).on(engine)
    third = measure(AreaLog(), explanation(others), context)
    assert engine.cost.forwards > before
    assert np.abs(third.arrays["circuits"] - first.arrays["circuits"]).max() > 1e-3


def test_components_and_selections_that_do_not_fit_are_refused(engine):
    latents, context = two(engine), scored(engine)
    made = explanation(latents)
    short = replace(made, components=made.components[:-1], scores=made.scores[:-1])
    failed = measure(AreaLog(), short, context)
    assert failed.status == "failed" and "m1/error" in failed.reason
    for select in ("bootstrap", "greedy", "exact"):
        assert measure(AreaLog(select=select), made, context).status == "skipped"
    with pytest.raises(ExplanationError, match="lacks the words of its dictionaries"):
        space_of(replace(made, extra={}), context)
