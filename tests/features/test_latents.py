"""Taking activations apart and putting them together: identities with the model itself."""

import pytest
import torch

from bench.data import batches
from bench.dictionary.dictionary import DictionaryError
from bench.engine.sites import Site
from bench.explanation import Explanation, ExplanationError
from bench.features.circuits import mean_states, no_states, run_kept, states
from bench.features.declared import declared, handed
from bench.features.latents import Latents
from tests.features.support import dictionary, engine_of, rows, some

MODELS = ("gpt2", "gemma2", "gpt_neox", "opt")


def batch(side="left"):
    return next(batches(rows(), "other", 9, side=side))


def close(found, expected, tolerance=1e-5):
    assert float((found - expected).abs().max()) <= tolerance * float(expected.abs().max())


@pytest.mark.parametrize("model", MODELS)
def test_a_circuit_of_everything_is_the_model_although_every_site_is_taken_apart(model):
    """One latent that is never active is cut at each site, so that none is left as it is."""
    engine = engine_of(model)
    dead = [
        dictionary(d.site, d.d_in, d.d_out, seed=i, reads=d.reads, architecture=d.architecture, scaling=d.scaling,
                   apply_b_dec_to_input=d.apply_b_dec_to_input, **({"W_skip": True} if d.is_transcoder else {}))
        for i, d in enumerate(some(engine).dictionaries)
    ]  # fmt: skip
    for d in dead:
        d.tensors["W_enc"][:, 0], d.tensors["b_enc"][0] = 0, -1e6
    latents = Latents(dead).on(engine)
    kept = torch.ones(len(latents.names), dtype=torch.bool)
    whole = run_kept(engine, latents, batch().clean, kept, no_states(latents))
    for where in latents.slices:
        kept[where.start] = False
    almost = run_kept(engine, latents, batch().clean, kept, no_states(latents))
    close(whole, engine.logits(batch().clean))
    close(almost, engine.logits(batch().clean))


@pytest.mark.parametrize("model", MODELS)
def test_nothing_kept_is_the_run_with_the_other_prompts_activations_at_every_site(model):
    engine, b = engine_of(model), batch()
    latents = some(engine)
    kept = torch.zeros(len(latents.names), dtype=torch.bool)
    found = run_kept(engine, latents, b.clean, kept, states(engine, latents, b.corrupt))
    sites = [Site("attention_out", 0), Site("mlp_out", 0), Site("stream", 1), Site("z", 1), Site("mlp_out", 1),
             Site("final")]  # fmt: skip
    values = engine.record(b.corrupt, sites)
    expected = engine.tap(b.clean, {site: (lambda x, v=v: v) for site, v in values.items()})
    close(found, expected)
    close(found, engine.logits(b.corrupt))  # the last residual is among the sites


def test_zero_leaves_the_decoders_bias_and_the_mean_is_each_components_own():
    engine, b = engine_of(), batch()
    latents = Latents([dictionary("attn0", 32, seed=1), dictionary("m1", 32, seed=2)]).on(engine)
    kept = torch.zeros(len(latents.names), dtype=torch.bool)
    zero = run_kept(engine, latents, b.clean, kept, no_states(latents))
    biases = [d.tensors["b_dec"] for d in latents.dictionaries]
    taps = {
        Site("attention_out", 0): lambda x: biases[0].expand_as(x),
        Site("mlp_out", 1): lambda x: biases[1].expand_as(x),
    }
    close(zero, engine.tap(b.clean, taps))
    means = mean_states(engine, latents, [next(batches(rows()[:4], "other", 4)), next(batches(rows()[4:], "other", 5))])
    values = engine.record(b.clean, [Site("attention_out", 0)])[Site("attention_out", 0)][b.clean.mask]
    own = latents.dictionaries[0]
    codes = own.encode(values)
    close(means[0].codes[0, 0], codes.mean(dim=0))
    close(means[0].error[0, 0], (values - own.decode(codes)).mean(dim=0))


def test_one_latent_cut_by_hand():
    """At m0 latent 3 and the error of the counterfactual prompt, the rest the clean one's own."""
    engine, b = engine_of(), batch()
    own = dictionary("m0", 32, seed=2)
    latents = Latents([own]).on(engine)
    kept = torch.ones(12, dtype=torch.bool)
    kept[3], kept[11] = False, False
    found = run_kept(engine, latents, b.clean, kept, states(engine, latents, b.corrupt))
    site = Site("mlp_out", 0)
    clean, corrupt = (engine.record(tokens, [site])[site] for tokens in (b.clean, b.corrupt))
    codes = own.encode(clean)
    codes[..., 3] = own.encode(corrupt)[..., 3]
    close(found, engine.tap(b.clean, {site: lambda x: own.decode(codes) + own.error(corrupt)}))


def test_names_are_in_order_and_an_explanation_gives_the_latents_back():
    latents = Latents([dictionary("m1", 32, n=2), dictionary("attn0", 32, n=1, scaling="constant", scale=2.0)])
    assert latents.names == ("m1/f0", "m1/f1", "m1/error", "attn0/f0", "attn0/error")
    parts = handed(latents, torch.arange(5).float().numpy())
    found = Explanation("feature", parts.components, parts.scores, "t", "1", "m", "", "x", "1", "other",
                        extra=parts.extra, tensors=parts.tensors)  # fmt: skip
    assert declared(found).digest == latents.digest
    assert declared(found).digest != Latents([dictionary("m1", 32, n=2), dictionary("attn0", 32, n=1)]).digest
    with pytest.raises(ExplanationError, match="lacks W_dec, W_enc"):
        declared(Explanation("feature", parts.components, parts.scores, "t", "1", "m", "", "x", "1", "other",
                             extra=parts.extra))  # fmt: skip


def test_what_does_not_fit_is_refused():
    with pytest.raises(DictionaryError, match="two dictionaries are at m1"):
        Latents([dictionary("m1", 32), dictionary("m1", 32, seed=1)])
    with pytest.raises(DictionaryError, match="33 dimensions at m1, where the model has 32"):
        Latents([dictionary("m1", 33)]).on(engine_of())
    with pytest.raises(DictionaryError, match="the model has no m7"):
        Latents([dictionary("m7", 32)]).on(engine_of())
