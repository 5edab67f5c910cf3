"""Attribution of latents against closed forms, the engine's own gradients, and exact patching."""

import numpy as np
import pytest
import torch

from bench.dictionary.files import handed as hand_over
from bench.dictionary.files import save
from bench.dictionary.formats import save_saelens
from bench.engine import Engine
from bench.engine.sites import Site
from bench.explanation import Explanation
from bench.features.attribution import entrances
from bench.features.circuits import run_kept, states
from bench.features.latents import Latents
from bench.method import Skip
from methods.attribution.atp import Atp
from methods.baselines.activation_norm import ActivationNorm
from methods.baselines.oracle import Oracle
from methods.baselines.random import Random
from methods.features.feature_atp import FeatureAtp
from methods.features.feature_ig import FeatureIg
from methods.features.feature_patching import FeaturePatching
from tests.features.support import dictionary, engine_of, here, rows, some

ALL = (FeatureAtp, FeatureIg, FeaturePatching)


class Fixed:
    """Methods with given latents."""

    @staticmethod
    def scores(method, job, latents):
        return method.of_latents(job, latents)


@pytest.mark.parametrize("model", ["gpt2", "gemma2", "opt"])
def test_neurons_as_latents_have_the_engines_own_gradients_and_sum_to_atp_of_their_mlp(model):
    engine = engine_of(model)
    job = here(engine)
    found = FeatureAtp(dictionaries="neurons").explain(job)
    scores = dict(zip(found.components, found.scores, strict=True))
    sites = [Site("neurons", layer) for layer in range(2)]
    expected = [0.0, 0.0]
    for batch in job.batches("train"):
        clean, corrupt = (engine.record(tokens, sites) for tokens in (batch.clean, batch.corrupt))
        gradient = engine.gradients(batch.clean, lambda logits, b=batch: job.objective(logits, b, logits), sites)
        for layer, site in enumerate(sites):
            product = (clean[site] - corrupt[site]) * gradient[site] * batch.clean.mask[..., None]
            expected[layer] = expected[layer] + product.double().sum(dim=(0, 1)) / 9
    for layer in range(2):
        ours = [scores[f"n{layer}/f{i}"] for i in range(len(expected[layer]))]
        assert ours == pytest.approx(expected[layer].numpy(), abs=1e-5 * float(expected[layer].abs().max()))
        assert scores[f"n{layer}/error"] == 0
    heads = np.array([[scores[f"a1/f{h * engine.d_head + i}"] for i in range(engine.d_head)] for h in range(4)])
    nodes = dict(zip(engine.graph.components, Atp().scores(job), strict=True))
    if not engine.wiring.post_norm:  # there the nodes are taken behind the norm
        assert heads.sum(axis=1) == pytest.approx([nodes[f"a1.h{h}"] for h in range(4)], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("at", ["clean", "corrupt"])
def test_whatever_the_dictionary_latents_and_error_sum_to_atp_of_the_mlp(at):
    engine = engine_of()
    job = here(engine)
    latents = Latents([dictionary("m0", 32, seed=2), dictionary("m1", 32, seed=5)]).on(engine)
    scores = FeatureAtp(at=at).of_latents(job, latents)
    nodes = dict(zip(engine.graph.components, Atp(at=at).scores(job), strict=True))
    for site, where in zip(("m0", "m1"), latents.slices, strict=True):
        assert scores[where].sum() == pytest.approx(nodes[site], rel=1e-4)
        assert abs(scores[where][-1]) > 1e-2 * abs(scores[where]).max()  # the error matters


def test_on_a_linear_path_attribution_is_the_exact_effect():
    """Without the final norm all behind the last MLP is linear: then every latent's effect is its share."""
    engine = engine_of("gpt2")
    engine.model.transformer.ln_f = torch.nn.Identity()
    linear = Engine(engine.model, check=False)
    latents = Latents([dictionary("m1", 32, seed=3), dictionary("stream2", 32, seed=4, activation="topk", k=4)]).on(
        linear
    )
    job = here(linear)
    exact = FeaturePatching().of_latents(job, latents)
    assert (np.abs(exact) > 1e-3).sum() > 10
    for method in (FeatureAtp(), FeatureAtp(at="corrupt"), FeatureIg(steps=2)):
        assert method.of_latents(job, latents) == pytest.approx(exact, abs=1e-4 * np.abs(exact).max())
    head = linear.model.lm_head.weight
    total = 0.0
    for batch in job.batches("train"):  # in closed form: the change of codes times the decoder times the unembedding
        way = head[batch.answer] - head[batch.wrong]
        values = [linear.record(t, [Site("mlp_out", 1)])[Site("mlp_out", 1)] for t in (batch.clean, batch.corrupt)]
        own = latents.dictionaries[0]
        change = (own.encode(values[0]) - own.encode(values[1]))[torch.arange(len(batch)), batch.clean.last]
        total = total + (change * (way @ own.tensors["W_dec"].T)).sum(dim=0).double() / 9
    assert exact[:11] == pytest.approx(total.detach().numpy(), abs=1e-4 * np.abs(exact).max())


def test_exact_effects_are_those_of_circuits_without_one_component():
    """Two ways to the same: moved activations from a cached prefix, and a run that takes every site apart."""
    engine = engine_of()
    latents = some(engine)
    job = here(engine, batch_size=9)
    (batch,) = job.batches("train")
    exact = FeaturePatching().of_latents(job, latents)
    ablated = states(engine, latents, batch.corrupt)

    def m(kept):
        return float(job.objective(run_kept(engine, latents, batch.clean, kept, ablated), batch, None).double().mean())

    whole = m(torch.ones(len(exact), dtype=torch.bool))
    for index in (*range(0, len(exact), 7), *(where.stop - 1 for where in latents.slices)):
        kept = torch.ones(len(exact), dtype=torch.bool)
        kept[index] = False
        assert exact[index] == pytest.approx(whole - m(kept), abs=2e-4 * np.abs(exact).max()), latents.names[index]


def test_integrated_gradients_of_a_site_sum_to_the_effect_of_the_whole_site():
    engine = engine_of("llama")
    latents = Latents([dictionary("attn0", 32, seed=1), dictionary("m0", 32, seed=2), dictionary("stream1", 32, seed=3),
                       dictionary("a1", 32, seed=4), dictionary("stream2", 32, seed=5)]).on(engine)  # fmt: skip
    job = here(engine, batch_size=9)
    (batch,) = job.batches("train")
    found = FeatureIg(steps=100, include="midpoint").of_latents(job, latents)
    clean = job.objective(engine.logits(batch.clean), batch, None).double().mean()
    for site, where in zip(entrances_of(latents, engine), latents.slices, strict=True):
        other = engine.record(batch.corrupt, [site])[site]
        patched = job.objective(engine.tap(batch.clean, {site: lambda x, v=other: v}), batch, None).double().mean()
        effect = float(clean - patched)
        assert found[where].sum() == pytest.approx(effect, rel=0.02, abs=0.01), site
    coarse = FeatureAtp().of_latents(job, latents)
    gaps = [abs(coarse[where].sum() - found[where].sum()) for where in latents.slices]
    assert max(gaps) > 0.05  # one gradient would not do


def entrances_of(latents, engine):
    assert [site.kind for site in entrances(engine, latents)] == ["stream"] * 4 + ["final"]
    return [site.engine_site(engine) for site in latents.sites]


@pytest.mark.parametrize("cls", ALL)
def test_batches_and_padding_have_no_say(cls):
    engine = engine_of("gpt2")
    latents = some(engine)
    one = cls().of_latents(here(engine, batch_size=4), latents)
    for size, side in ((1, "left"), (9, "right")):
        other = cls().of_latents(here(engine, batch_size=size, side=side), latents)
        assert other == pytest.approx(one, abs=2e-5 * np.abs(one).max())


@pytest.mark.parametrize("cls", ALL[:2])
@pytest.mark.parametrize("sites", [1, 3])
def test_passes_are_those_that_are_declared(cls, sites, tmp_path):
    engine = engine_of()
    for i, site in enumerate(("m0", "m1", "attn1")[:sites]):
        save(dictionary(site, 32, seed=i), tmp_path / site)
    method = cls(dictionaries="+".join(str(tmp_path / site) for site in ("m0", "m1", "attn1")[:sites]))
    engine.cost.reset()
    method.explain(here(engine))
    assert (engine.cost.forwards / 9, engine.cost.backwards / 9) == method.passes(engine.graph)
    neurons = cls(dictionaries="neurons@n0")
    engine.cost.reset()
    neurons.explain(here(engine))
    assert (engine.cost.forwards / 9, engine.cost.backwards / 9) == neurons.passes(engine.graph)


def test_files_of_any_layout_and_explanations_of_the_store_are_read(tmp_path):
    engine = engine_of()
    own, theirs, handed = (dictionary(site, 32, seed=i) for i, site in enumerate(("m0", "m1", "attn0")))
    save(own, tmp_path / "own")
    save_saelens(theirs, tmp_path / "theirs", "tiny")
    parts = hand_over(handed, 0.5)
    explanation = Explanation("dictionary", parts.components, np.float32(parts.scores), "t", "1", "m", "", "x", "1",
                              "other", track="dictionary", extra=parts.extra, tensors=parts.tensors)  # fmt: skip
    (tmp_path / "stored").mkdir()
    for name, data in explanation.files().items():
        (tmp_path / "stored" / name).write_bytes(data)
    method = FeatureAtp(dictionaries=tuple(str(tmp_path / name) for name in ("own", "theirs", "stored")))
    assert method.label() == "feature_atp[dictionaries=own+theirs+stored]"
    found = method.explain(here(engine))
    expected = FeatureAtp().of_latents(here(engine), Latents([own, theirs, handed]).on(engine))
    assert found.scores == pytest.approx(expected, rel=1e-5, abs=1e-8)
    before = method.digest
    save(dictionary("m0", 32, seed=9), tmp_path / "own")
    assert FeatureAtp(dictionaries=method.dictionaries).digest != before


def test_trained_dictionaries_are_shared_between_methods_and_paid_by_each(monkeypatch):
    from methods.dictionaries.sae_topk import SaeTopK
    from methods.features import dictionaries

    class Quick(SaeTopK):
        def __init__(self, **more):
            super().__init__(**{**more, "steps": 20, "l0": 4.0, "batch_size": 64, "tolerance": 100.0})

    monkeypatch.setitem(dictionaries.MAKERS, "sae_topk", Quick)
    engine = engine_of()
    job = here(engine, rows(24))
    job.n_examples["validation"] = 24
    spent, explained = [], []
    for method in (
        FeatureAtp(dictionaries="sae_topk@m0+attn1"),
        Random(level="feature", dictionaries="sae_topk@m0+attn1"),
    ):
        engine.cost.reset()
        explained.append(method.explain(job))
        spent.append(engine.cost.forwards)
    assert spent[0] - spent[1] == 2 * 24 and spent[1] > 0
    first, second = explained
    assert first.components == second.components and len(first.components) == 2 * (4 * 32 + 1)
    assert all(np.array_equal(first.tensors[name], second.tensors[name]) for name in first.tensors)
    assert np.abs(second.scores).mean() == pytest.approx(0.8, abs=0.15)  # of a standard normal


def test_baselines_take_the_level_or_say_why_not():
    job = here(engine_of())
    found = Random(level="feature", dictionaries="neurons@n1").explain(job)
    assert found.components[-1] == "n1/error"
    assert Random(level="feature", dictionaries="neurons@n1").label() == "random[dictionaries=neurons@n1]"
    assert Random(dictionaries="sae_topk").label() == "random"
    with pytest.raises(Skip, match="names no latents"):
        Oracle(level="feature").explain(job)
    with pytest.raises(Skip, match="scores nodes and edges"):
        ActivationNorm(level="feature").explain(job)


def test_a_budget_skips_before_the_sweep():
    engine = engine_of()
    engine.cost.reset()
    with pytest.raises(Skip, match="may need"):
        FeaturePatching(dictionaries="neurons@n0", budget=10).explain(here(engine))
    assert engine.cost.forwards == 0
    with pytest.raises(ValueError, match="every score would be 0"):
        FeatureAtp(objective="kl")
