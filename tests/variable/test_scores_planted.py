"""Scores and controls on a planted model, whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from bench.data import pad
from bench.engine.sites import Site
from bench.metric import Undefined
from bench.metrics.erasure import Erasure, erased
from bench.metrics.interchange import Interchange
from bench.metrics.permuted_labels import PermutedLabels, deal_labels
from bench.metrics.probe_accuracy import ProbeAccuracy
from bench.metrics.random_model_gap import RandomModelGap
from bench.metrics.steering import ALPHAS, Steering
from bench.metrics.told_apart import ToldApart
from bench.metrics.wrong_causal_model import WrongCausalModel, derange
from bench.scoring.significance import ALPHA, holm
from bench.scoring.truth import p_value
from bench.variable.featurizer import Featurizer
from bench.variable.pairs import ACROSS, CAUSE
from bench.variable.places import Place
from bench.variable.randomised import randomised
from methods.variables.full_vector import FullVector
from methods.variables.identity import Identity
from methods.variables.oracle_site import OracleSite
from methods.variables.random_rotation import RandomRotation
from tasks.ioi import IOI
from tests.variable.measuring import Means, Planted

SITE, THEIRS, DECOY = "a1.h0+a1.h1@S2", "a2.h0+a2.h1@END", "a3.h2@END"
SIZES = {"train": 48, "validation": 24, "test": 40}


@pytest.fixture(scope="module")
def planted():
    return Planted(IOI(), sizes=SIZES)


def test_what_a_probe_reads_need_not_be_used(planted):
    """At a decoy head the slot is decoded, and swapping the whole head moves no answer."""
    decoy, used = FullVector(site=DECOY), FullVector(site=SITE)
    assert planted.truth.roles["a3.h2"] == "inert"
    for method, swapped in ((decoy, 0.0), (used, 1.0)):
        assert planted.measured(ProbeAccuracy(), method, "D")[1][""] >= 0.9
        assert planted.measured(Interchange(), method, "D")[1][""] == pytest.approx(swapped, abs=0.02)
    assert planted.measured(Erasure(), Means(site=DECOY), "D")[1][""] == pytest.approx(0.0, abs=0.03)
    assert planted.measured(Steering(), Means(site=DECOY), "D")[1][""] == pytest.approx(0.0, abs=0.5)


def test_a_model_may_carry_a_variable_in_a_code_of_each_template_s_own():
    """As seed 3 does, accepted on sources of the base's template: within one all pairs hit, across them half do not."""
    planted, method = Planted(IOI(), seed=3, sizes={**SIZES, "test": 120}), OracleSite()
    _, own = planted.measured(Interchange(), method, "D")
    _, other = planted.measured(Interchange(across=True), method, "D")
    assert own[""] >= 0.98 and other[""] <= 0.7
    data = planted.data("D").in_full()
    for kind, alike in ((CAUSE, True), (ACROSS, False)):
        rows, pairs = data.rows("test"), data.pairs("test", kind)
        same = [rows[b]["template"] == rows[s]["template"] for b, s in zip(pairs.base, pairs.source, strict=True)]
        assert len(pairs) >= 20 and set(same) == {alike}


def test_erasing_and_steering_the_variable_shows_and_a_random_rotation_does_not(planted):
    _, lost = planted.measured(Erasure(), Means(site=SITE), "D")
    assert lost[""] > 0.3 and lost["of=logit_diff"] > 5
    _, steered = planted.measured(Steering(), Means(site=SITE), "D")
    assert steered[""] > 5 and steered["part=wrong_way"] == 0.0
    _, none = planted.measured(Erasure(), FullVector(site=SITE), "D")
    assert none[""] == 0.0
    _, still = planted.measured(Steering(), Identity(site=SITE), "D")
    assert still == {"": 0.0, "part=slope": 0.0, "part=wrong_way": 0.5}
    _, random = planted.measured(Steering(), RandomRotation(site=SITE), "D")
    assert abs(random[""]) < 0.5


def test_erased_vectors_have_the_mean_in_the_part_and_are_alike_elsewhere():
    rng = np.random.default_rng(0)
    x, basis = torch.as_tensor(rng.standard_normal((20, 5))), np.linalg.qr(rng.standard_normal((5, 2)))[0].T
    mean, part = x.mean(dim=0), Featurizer.subspace(basis)
    new = erased(x, mean, part)
    inside, outside = torch.as_tensor(basis), torch.eye(5) - torch.as_tensor(basis.T @ basis)
    assert torch.allclose(new @ inside.T, (mean @ inside.T).expand(20, 2), atol=1e-6)
    assert torch.allclose(new @ outside.double(), x @ outside.double(), atol=1e-6)


def test_a_slope_is_that_of_runs_with_the_engines_own_tap(planted):
    method, place = FullVector(site="stream2@S2"), Place.parse("stream2@S2")
    arrays, _ = planted.measured(Steering(), method, "D")
    data, engine = planted.data("D").in_full(), planted.engine
    pairs, labels, rows = data.pairs("test"), data.labels("test"), data.rows("test")
    train, vectors = np.array(data.labels("train")), data.vectors("train", place)
    for i in range(3):
        base, source = rows[pairs.base[i]], rows[pairs.source[i]]
        both = (pairs.source[i], pairs.base[i])
        theirs, mine = (vectors[torch.as_tensor(train == labels[j])].mean(dim=0) for j in both)
        odds = []
        for alpha in ALPHAS:

            def add(x, alpha=alpha, at=base["positions"]["S2"], step=theirs - mine):
                changed = x.clone()
                changed[0, at] += alpha * step
                return changed

            logits = engine.tap(pad([base["ids"]]), {Site("stream", 2): add})[0]
            odds.append(float(logits[pairs.target[i]] - logits[base["answer_id"]]))
        assert source["values"]["D"] != base["values"]["D"]
        assert arrays["slopes"][pairs.base[i], 0, 0] == pytest.approx(np.polyfit(ALPHAS, odds, 1)[0], abs=1e-3)


@pytest.mark.parametrize(
    ("variable", "site", "apart"),
    [
        ("D", SITE, 1.0), ("D", "stream2@S2", 1.0), ("D", THEIRS, 0.0), ("D", "stream3@END", 0.0),
        ("I", THEIRS, 1.0), ("I", "stream3@END", 1.0), ("I", SITE, 0.0), ("I", "stream2@S2", 0.0),
    ],
)  # fmt: skip
def test_variables_of_a_class_are_told_apart_where_each_sits(planted, variable, site, apart):
    """Interchange alone cannot: it is 1 at each of these sites. The planted evidence has joint_D_I_restored 1.0."""
    assert planted.measured(Interchange(), FullVector(site=site), variable)[1][""] == 1.0
    assert planted.measured(ToldApart(), FullVector(site=site), variable)[1][""] == apart


def test_doing_nothing_tells_nothing_apart_and_the_oracle_all(planted):
    for variable in ("D", "I"):
        assert planted.measured(ToldApart(), Identity(site=SITE), variable)[1][""] == 0.0
        assert planted.measured(ToldApart(), OracleSite(), variable)[1][""] == 1.0


def test_a_variable_that_inputs_tell_apart_has_no_such_figure(planted):
    with pytest.raises(Undefined, match="N makes a class of its own"):
        planted.measured(ToldApart(), FullVector(site="stream5@END"), "N")


def test_a_randomised_model_has_the_same_numbers_elsewhere(planted):
    engine = planted.engine
    before = {name: p.clone() for name, p in engine.model.named_parameters()}
    state = torch.random.get_rng_state()
    other, again, third = (randomised(engine, seed) for seed in (0, 0, 1))
    assert torch.equal(state, torch.random.get_rng_state())
    for name, p in other.model.named_parameters():
        assert torch.equal(p.flatten().sort().values, before[name].flatten().sort().values)
        assert torch.equal(p, dict(again.model.named_parameters())[name])
        assert torch.equal(before[name], dict(engine.model.named_parameters())[name])
    weight = "transformer.h.0.mlp.c_fc.weight"
    assert not torch.equal(dict(other.model.named_parameters())[weight], dict(third.model.named_parameters())[weight])
    assert other.model.lm_head.weight is other.model.transformer.wte.weight
    tokens = pad([planted.examples["test"][0]["ids"]])
    assert (other.logits(tokens) - engine.logits(tokens)).abs().max() > 1
    with torch.no_grad():  # the wiring runs the shuffled model itself
        assert torch.allclose(other.logits(tokens)[0], other.model(tokens.ids).logits[0, -1], atol=1e-4)
    before_cost = engine.cost.forwards
    other.logits(tokens)
    assert engine.cost.forwards == before_cost + 1


def test_controls_are_far_below_a_method_that_is_right(planted):
    for metric in (RandomModelGap(), WrongCausalModel()):
        _, figures = planted.measured(metric, Means(site=SITE), "D")
        assert figures[""] > 0.9 and figures["part=control"] < 0.1
    _, other = planted.measured(WrongCausalModel(wrong="N"), FullVector(site=SITE), "D")
    assert other[""] >= 0.85


def test_permuting_labels_costs_a_method_that_uses_them_all_and_one_that_does_not_nothing(planted):
    _, full = planted.measured(PermutedLabels(), FullVector(site=SITE), "D")
    assert full[""] == 0.0 and full["part=fitted"] == 1.0
    _, means = planted.measured(PermutedLabels(), Means(site=SITE), "D")
    assert means["part=control"] < 0.4 and means[""] > 0.2


def test_controls_pay_for_fitting_the_method_again(planted):
    planted.engine.cost.reset()
    planted.measured(Interchange(), Means(site=SITE), "D")
    alone = planted.engine.cost.forwards
    planted.engine.cost.reset()
    planted.measured(PermutedLabels(), Means(site=SITE), "D")
    fitting = 48 + 24 + 24 + 24  # train and validation vectors, what is right on validation, one full swap
    assert planted.engine.cost.forwards == alone + fitting + 3 * 40


def test_a_stored_file_has_no_controls(planted):
    explanation = planted.explain(FullVector(site=SITE), planted.data("D"))
    with pytest.raises(Undefined, match="a stored file has none"):
        PermutedLabels().measure(explanation, planted.context())


def test_an_arbitrary_mapping_maps_every_answer_to_another():
    cycle = np.random.default_rng(0).permutation(np.arange(10, 20))
    mapped = derange(np.arange(10, 20), cycle)
    assert sorted(mapped) == list(range(10, 20)) and (mapped != np.arange(10, 20)).all()


def test_dealing_labels_keeps_their_counts_and_leaves_the_unlabelled():
    labels = ["a", "", "b", "b", "a", "c", ""]
    dealt = deal_labels(labels, 3)
    assert sorted(dealt) == sorted(labels) and dealt[1] == dealt[6] == ""


def rejected(planted, metric, variables, methods, seed):
    """Whether any cell of a family has a control above its floor, by Holm."""
    p = []
    for variable in variables:
        for method in methods:
            arrays, figures = planted.measured(metric, method, variable, seed)
            p.append(p_value(figures["part=control"], metric.p_draws(arrays)["part=control"]))
    return bool((holm(p) < ALPHA).any())


def exceeds(planted, metric, seeds, cells):
    """Families whose control is above the floor, and the probability of as many if 5 % were."""
    hits = sum(any(rejected(planted, metric, *cell, seed) for cell in cells) for seed in seeds)
    return hits, stats.binomtest(hits, len(seeds), ALPHA, alternative="greater").pvalue


CELLS = [(("D",), (Means(site=SITE), FullVector(site=SITE)))]


@pytest.mark.parametrize("metric", [PermutedLabels(), RandomModelGap()], ids=lambda m: m.name)
def test_a_controls_families_stay_at_their_floor(planted, metric):
    hits, p = exceeds(planted, metric, range(8), CELLS)
    assert p > 0.01, f"{hits} of 8 families"


def test_a_control_that_finds_something_would_be_seen(planted):
    """The same test rejects where the method is fitted and scored on the true labels."""
    arrays, figures = planted.measured(Interchange(), Means(site=SITE), "D")
    assert p_value(figures[""], Interchange().p_draws(arrays)[""]) < ALPHA / 10
