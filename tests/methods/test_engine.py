"""Methods on the real engine and tiny random models."""

import dataclasses

import numpy as np
import pytest
import torch

from bench.data import batches
from bench.engine import Engine
from methods.attribution.atp import Atp
from methods.attribution.eap import Eap
from methods.attribution.eap_ig import EapIg
from methods.baselines.activation_norm import ActivationNorm
from methods.baselines.attention_to_answer import AttentionToAnswer
from methods.patching.edge_patching import EdgePatching
from methods.patching.patching import Patching
from tests.engine.double import double
from tests.engine.tiny import VOCAB, pairs, tiny
from tests.methods.linear import job

torch.set_num_threads(1)


def rows(count: int = 7) -> list[dict]:
    """A split of random prompts of 8 to 11 tokens; the answer and the token at S2 are in the prompt."""
    clean, corrupt = pairs(tuple(8 + i % 4 for i in range(count)))
    return [
        {
            "ids": c,
            "counterfactuals": {"other": {"ids": x}},
            "answer_id": c[1],
            "wrong_id": 3 + (c[1] + 7) % (VOCAB - 3),
            "positions": {"S2": len(c) // 2, "END": len(c) - 1},
        }
        for c, x in zip(clean, corrupt, strict=True)
    ]


@pytest.fixture(scope="module", params=["gpt2", "qwen2", "gemma2", "gpt_neox"])
def engine(request) -> Engine:
    return Engine(tiny(request.param))


@pytest.fixture(scope="module")
def gpt2() -> Engine:
    return Engine(tiny("gpt2"))


ALL = [
    Patching(),
    Patching(direction="denoising"),
    Patching(positions="S2"),
    Patching(corruption="noise"),
    Patching(corruption="noise", direction="denoising"),
    EdgePatching(sample=40),
    Atp(),
    Atp(at="corrupt"),
    Eap(),
    Eap(at="corrupt"),
    EapIg(),
    EapIg(include="corrupt"),
    ActivationNorm(),
    AttentionToAnswer(),
]


def label(method) -> str:
    return method.label()


@pytest.mark.parametrize("method", ALL, ids=label)
def test_batch_size_and_padding_side_have_no_say(engine, method):
    examples = rows()
    expected = method.scores(job(engine, examples, batch_size=7))
    assert np.abs(expected).max() > 1e-3
    for batch_size, side in ((1, "left"), (3, "left"), (3, "right"), (64, "right")):
        scores = method.scores(job(engine, examples, batch_size=batch_size, side=side))
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("method", [m for m in ALL if not m.baseline], ids=label)
def test_scores_flip_when_answer_and_wrong_are_exchanged(gpt2, method):
    examples = rows()
    flipped = [{**r, "answer_id": r["wrong_id"], "wrong_id": r["answer_id"]} for r in examples]
    scores, other = method.scores(job(gpt2, examples)), method.scores(job(gpt2, flipped))
    np.testing.assert_allclose(other, -scores, rtol=0, atol=1e-5 * np.abs(scores).max())


@pytest.mark.parametrize("method", ALL, ids=label)
def test_the_cost_is_the_one_in_the_docstring(gpt2, method):
    examples = rows()
    gpt2.cost.reset()
    method.scores(job(gpt2, examples, batch_size=3))
    nodes = len(gpt2.graph.components)
    expected = {
        "patching": (nodes + 3, 0), "edge_patching": (40 + 3, 0), "atp": (2, 1), "eap": (2, 1), "eap_ig": (6, 5),
        "activation_norm": (1, 0), "attention_to_answer": (1, 0),
    }  # fmt: skip
    assert (gpt2.cost.forwards / len(examples), gpt2.cost.backwards / len(examples)) == expected[method.name]


def mixed(clean, corrupt, share: float):
    """Sources on the line from clean to corrupt."""

    def line(a, b):
        return a + share * (b - a)

    return dataclasses.replace(
        clean,
        input=line(clean.input, corrupt.input),
        z=tuple(line(a, b) for a, b in zip(clean.z, corrupt.z, strict=True)),
        mlp=tuple(line(a, b) for a, b in zip(clean.mlp, corrupt.mlp, strict=True)),
    )


@pytest.mark.parametrize("objective", ["logit_diff", "logprob", "prob"])
@pytest.mark.parametrize("method", [Atp, Eap], ids=lambda m: m.name)
def test_attribution_is_the_finite_difference_of_patching_in_fp64(method, objective):
    step, examples = 1e-5, rows(3)
    with double():
        engine = Engine(tiny("gpt2", dtype=torch.float64))
        here = job(engine, examples, objective, batch_size=3)
        scores = method(objective=objective).scores(here)
        (batch,) = batches(examples, "other", 3)
        clean, corrupt = engine.sources(batch.clean), engine.sources(batch.corrupt)
        patch = engine.patch_nodes if method is Atp else engine.patch_edges
        names = engine.graph.names(method.level)

        def value(logits):
            return here.objective(logits, batch)

        up, down = (patch(batch.clean, mixed(clean, corrupt, s), names, value) for s in (step, -step))
    expected = -((up - down) / (2 * step)).mean(dim=1).numpy()
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("end", ["clean", "corrupt"])
def test_one_step_of_eap_ig_is_eap_at_that_end(engine, end):
    examples = rows()
    eap = Eap(at=end).scores(job(engine, examples))
    one = EapIg(steps=1, include=end).scores(job(engine, examples))
    np.testing.assert_allclose(one, eap, rtol=0, atol=1e-5 * np.abs(eap).max())


def test_eap_ig_converges_whichever_end_is_in(gpt2):
    examples = rows(2)
    with_clean, with_corrupt = (EapIg(steps=64, include=e).scores(job(gpt2, examples)) for e in ("clean", "corrupt"))
    few = EapIg(steps=2).scores(job(gpt2, examples))
    middle = (with_clean + with_corrupt) / 2
    assert np.abs(with_clean - middle).max() < 0.25 * np.abs(few - middle).max()


def test_input_edges_of_eap_ig_sum_to_the_change_of_the_objective(gpt2):
    """Integrated gradients are complete at the input, whose gradient is the sum over all destinations that read it.

    The mean of the two rules is the trapezoid.
    """
    examples = rows(2)
    here = job(gpt2, examples, batch_size=2)
    both = [EapIg(steps=96, include=e).scores(here) for e in ("clean", "corrupt")]
    destination, source = gpt2.graph.edge_index
    total = float(sum(s[source == 0].sum() for s in both)) / 2
    (batch,) = batches(examples, "other", 2)
    values = [here.objective(gpt2.logits(t), batch) for t in (batch.clean, batch.corrupt)]
    assert total == pytest.approx(float((values[0] - values[1]).mean()), rel=2e-2)


def test_patching_a_run_into_itself_changes_nothing_and_the_directions_mirror_each_other(gpt2):
    same = [{**r, "counterfactuals": {"other": {"ids": r["ids"]}}} for r in rows()]
    for method in (Patching(), Patching(direction="denoising"), EdgePatching(sample=30)):
        np.testing.assert_allclose(method.scores(job(gpt2, same)), 0, atol=1e-5)
    exchanged = [
        {**r, "ids": r["counterfactuals"]["other"]["ids"], "counterfactuals": {"other": {"ids": r["ids"]}}}
        for r in rows()
    ]
    noising = Patching().scores(job(gpt2, rows()))
    denoising = Patching(direction="denoising").scores(job(gpt2, exchanged))
    np.testing.assert_allclose(denoising, -noising, atol=1e-5 * np.abs(noising).max())


def test_noise_without_size_changes_nothing_and_with_size_does(gpt2):
    for direction in ("noising", "denoising"):
        still = Patching(corruption="noise", direction=direction, noise_scale=0.0).scores(job(gpt2, rows()))
        np.testing.assert_allclose(still, 0, atol=1e-5)
        moved = Patching(corruption="noise", direction=direction).scores(job(gpt2, rows()))
        assert np.abs(moved).max() > 1e-2


def test_activation_norm_is_the_length_of_what_the_reference_writes(engine):
    from tests.engine.reference import Reference

    examples = rows(3)
    scores = ActivationNorm(level="node").scores(job(engine, examples))
    reference = Reference(tiny(engine.model.config.model_type))
    runs = [reference.plain(r["ids"]).sources for r in examples]
    expected = [
        np.mean([float(run[name].detach().norm(dim=-1).mean()) for run in runs]) for name in engine.graph.components
    ]
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_attention_to_answer_is_the_models_own_attention(gpt2):
    examples = rows(3)
    scores = AttentionToAnswer(level="node").scores(job(gpt2, examples))
    model, total = tiny("gpt2"), 0.0
    for r in examples:
        out = model(torch.tensor([r["ids"]]), output_attentions=True)
        said = torch.tensor(r["ids"]) == r["answer_id"]
        total = total + torch.stack([a[0, :, -1, said].sum(dim=-1) for a in out.attentions])
    expected = torch.cat([total / 3, torch.zeros(len(total), 1)], dim=1).flatten().detach().numpy()
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-6)
