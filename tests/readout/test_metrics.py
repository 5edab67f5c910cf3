"""Metrics of readouts on a planted model, against the engine's own patches, scipy and exhaustive draws."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from bench.data import Tokens
from bench.engine.sites import Site, patch
from bench.method import Skip
from bench.metric import Undefined
from bench.metrics.calibration import Calibration
from bench.metrics.causal_basis import CausalBasis
from bench.metrics.kl_to_final import KlToFinal
from bench.metrics.rank_agreement import RankAgreement, spearman
from bench.objectives import logit_diff
from bench.readout.basis import divergence, erased, extract, responses
from bench.readout.declared import Readout
from bench.readout.effects import effects
from methods.readouts.logit_lens import LogitLens
from methods.readouts.tuned_lens import TunedLens


def explanation(method, planted):
    handed = method.explain(planted.job)
    return SimpleNamespace(
        extra=handed.extra, tensors=handed.tensors, level=method.level, components=handed.components,
        scores=np.asarray(handed.scores, dtype=np.float32),
    )  # fmt: skip


def test_total_effects_are_the_engines_patches_and_a_blocks_are_of_all_its_nodes(planted):
    context = planted.context()
    engine = planted.engine
    heads, _ = effects(context, ["a1.h0", "a2.h3"], "counterfactual")
    layers, _ = effects(context, ["layer1", "layer3"], "counterfactual")
    batch = next(planted.of("test"))
    other = engine.sources(batch.corrupt)
    clean = logit_diff(engine.logits(batch.clean), batch)
    z = other.z[1]

    def with_head(x):
        x = x.clone()
        x[:, :, 0] = z[:, :, 0]
        return x

    patched = logit_diff(engine.tap(batch.clean, {Site("z", 1): with_head}), batch)
    assert heads[: len(batch), 0] == pytest.approx((clean - patched).numpy(), abs=1e-4)
    taps = {Site("z", 1): lambda x: z, Site("mlp_out", 1): patch(other.mlp[1])}
    patched = logit_diff(engine.tap(batch.clean, taps), batch)
    assert layers[: len(batch), 0] == pytest.approx((clean - patched).numpy(), abs=1e-4)


def test_direct_effects_of_zeroing_are_direct_logit_attribution(planted):
    """The engine's own attribution, which differentiates the logits at the normed residual."""
    engine, context = planted.engine, planted.context()
    names = planted.data.head_names
    _, heads = effects(context, names, "zero")
    _, layers = effects(context, [f"layer{i}" for i in range(planted.data.n_layers)], "zero")
    batch = next(planted.of("test"))
    theirs = engine.direct_effects(batch.clean, lambda logits: logit_diff(logits, batch)).T.double().numpy()
    for column, name in enumerate(names):
        assert heads[: len(batch), column] == pytest.approx(theirs[:, engine.graph.source_index(name)], abs=1e-4)
    width = engine.graph.n_heads + 1
    blocks = theirs[:, 1:].reshape(len(batch), -1, width).sum(axis=2)
    assert layers[: len(batch)] == pytest.approx(blocks, abs=1e-3)


def test_spearman_is_scipys_also_with_ties_and_along_draws():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, 9).astype(float)
    draws = rng.integers(0, 5, (6, 9)).astype(float)
    assert spearman(scores, draws) == pytest.approx([spearmanr(scores, draw).statistic for draw in draws])
    assert spearman(np.ones(4), np.arange(4.0)) == 0


def test_rank_agreement_of_the_effects_themselves_is_one_and_of_their_negative_minus_one(planted):
    context, one = planted.context(), explanation(LogitLens(), planted)
    total, direct = effects(context, one.components, "resample")
    metric = RankAgreement()
    for sign in (1, -1):
        one.scores = (sign * total.mean(axis=0)).astype(np.float32)
        figures = metric.reduce(metric.measure(one, context))
        assert figures[""] == pytest.approx(sign)
        expected = sign * spearmanr(total.mean(axis=0), direct.mean(axis=0)).statistic
        assert figures["effect=direct"] == pytest.approx(expected)
    one.scores = np.zeros(len(one.components), dtype=np.float32)
    with pytest.raises(Undefined, match="all scores are equal"):
        metric.measure(one, context)
    one.components = tuple(f"thing{i}" for i in range(len(one.components)))
    with pytest.raises(Undefined, match="is no layer and no head"):
        metric.measure(replace_scores(one), planted.context())


def replace_scores(one):
    return SimpleNamespace(**{**vars(one), "scores": np.arange(len(one.components), dtype=np.float32)})


def test_the_null_deals_scores_within_layers(planted):
    from bench.metrics.rank_agreement import _groups, _null

    names = ("a0.h0", "a0.h1", "a1.h0", "a1.h1")
    scores = np.array([1.0, 2.0, 30.0, 40.0])
    groups = _groups(SimpleNamespace(level="head", components=names))
    arrays = {"scores": scores, "total": np.array([[1.0, 2.0, 3.0, 4.0]]), "direct": np.array([[1.0, 2.0, 3.0, 4.0]])}
    # of the four deals within layers: none, one, one or two neighbours changed
    assert set(np.round(_null(arrays, groups, 0)[:, 0], 6)) == {1.0, 0.8, 0.6}
    assert (_groups(SimpleNamespace(level="head", components=("a0.h0", "a1.h0"))) == 0).all()


def test_a_measure_without_a_reader_has_no_figure_and_no_failure(planted):
    bare = SimpleNamespace(extra={}, tensors={}, level="layer", components=("layer0",), scores=np.zeros(1))
    for metric in (KlToFinal(), CausalBasis()):
        with pytest.raises(Skip, match="that declare a readout"):
            metric.measure(bare, planted.context())


def test_metrics_of_one_explanation_look_once_and_pay_each(planted):
    context, one = planted.context(), explanation(LogitLens(), planted)
    planted.engine.cost.reset()
    first = KlToFinal().measure(one, context)
    assert planted.engine.cost.forwards == 20
    Calibration().measure(one, context)
    assert planted.engine.cost.forwards == 40
    other = explanation(TunedLens(steps=2), planted)
    assert not np.array_equal(KlToFinal().measure(other, context)["kl"], first["kl"])


def test_calibration_of_the_models_own_distribution_is_perfect_and_of_its_arg_max_is_not_promised(planted):
    one = explanation(LogitLens(), planted)
    figures = {a: Calibration(against=a).measure(one, planted.context()) for a in ("final", "argmax", "answer")}
    assert Calibration().reduce(figures["final"])[f"layer={planted.data.n_layers}"] == pytest.approx(0, abs=1e-9)
    confidence, agrees = figures["argmax"]["confidence"][:, 2], figures["argmax"]["hit"][:, 2]
    by_hand = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            by_hand += inside.mean() * abs(agrees[inside].mean() - confidence[inside].mean())
    assert Calibration(against="argmax").reduce(figures["argmax"])["layer=2"] == pytest.approx(by_hand, abs=1e-6)
    with pytest.raises(ValueError, match="none of"):
        Calibration(against="x")


def test_extracted_directions_are_orthonormal_and_above_random_and_principal_ones(planted):
    data = planted.full
    stream = data.at_end("validation").streams[:, 4]
    mean = stream.mean(dim=0)

    def energies(directions):
        base = data.lens(stream).log_softmax(dim=-1)
        return torch.stack([divergence(base, data.lens(erased(stream, mean, v))).mean() for v in directions])

    basis = extract(data.lens, stream, mean, 4, 10)
    assert torch.allclose(basis @ basis.T, torch.eye(4), atol=1e-4)
    drawn = torch.nn.functional.normalize(torch.randn(200, stream.shape[1], generator=torch.Generator().manual_seed(0)))
    principal = torch.linalg.svd(stream - mean, full_matrices=False).Vh
    assert energies(basis[:1]) >= torch.cat([energies(drawn), energies(principal)]).max()
    left = torch.nn.functional.normalize(drawn - drawn @ basis[:1].T @ basis[:1])
    assert energies(basis[1:2]) >= energies(left).max()


def test_the_models_response_is_a_tap_at_the_read_position(planted):
    data, engine = planted.full, planted.engine
    batch = next(planted.of("test"))
    mean = data.at_end("validation").streams[:, 2].mean(dim=0)
    basis = torch.nn.functional.normalize(torch.randn(2, engine.d_model, generator=torch.Generator().manual_seed(0)))
    found = responses(data, batch, {2: basis}, {2: mean})
    base = engine.logits(batch.clean).log_softmax(dim=-1)
    rows, last = torch.arange(len(batch)), batch.clean.last

    def tap(x):
        x = x.clone()
        x[rows, last] = x[rows, last] - ((x[rows, last] - mean) @ basis[1])[:, None] * basis[1]
        return x

    expected = divergence(base, engine.tap(Tokens(batch.clean.ids, batch.clean.mask), {Site("stream", 2): tap}))
    assert torch.allclose(found[:, 0, 1], expected, atol=1e-5)


def test_the_figure_is_scipys_correlation_by_layer_and_readers_without_a_gradient_have_none(planted):

    context = planted.context()
    metric = CausalBasis(directions=4, iterations=4)
    arrays = metric.measure(explanation(LogitLens(), planted), context)
    same = replace_arrays(arrays, response=arrays["energy"])
    assert metric.reduce(same)[""] == pytest.approx(1)
    expected = [
        spearmanr(arrays["energy"][:, i].mean(axis=0), arrays["response"][:, i].mean(axis=0)).statistic
        for i in range(len(arrays["layers"]))
    ]
    assert metric.reduce(arrays)[""] == pytest.approx(np.mean(expected))
    reader = Readout("patchscope", {}, {"ids": [3], "position": 0, "layer": None})
    opaque = SimpleNamespace(extra={"reader": {"kind": reader.kind, **reader.settings}}, tensors={}, level="layer")
    with pytest.raises(Skip, match="has no gradient"):
        metric.measure(opaque, context)


def replace_arrays(arrays, **more):
    return {**arrays, **more}


def test_contexts_that_have_no_recorded_streams_say_so(planted):
    with pytest.raises(Undefined, match="needs recorded streams"):
        replace(planted.context(), readout_data=None).recorded()
