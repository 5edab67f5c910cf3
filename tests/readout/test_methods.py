"""Methods of the `readout` track: gradients, closed forms, planted combinations, an independent library's pursuit."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn.linear_model import OrthogonalMatchingPursuit
from torch.nn.functional import kl_div

from bench.method import Skip
from bench.readout.declared import READER, Readout
from bench.readout.sweep import contributions, sweep
from methods.baselines.oracle import Oracle
from methods.baselines.random import Random
from methods.readouts.attention_lens import AttentionLens
from methods.readouts.head_pursuit import HeadPursuit
from methods.readouts.logit_lens import LogitLens
from methods.readouts.patchscopes import Patchscopes, encoded
from methods.readouts.somp import explained_by, somp
from methods.readouts.text import TextError, digest, texts
from methods.readouts.training import TrainingError
from methods.readouts.tuned_lens import TunedLens, losses


def bound(planted, handed):
    described = dict(handed.extra[READER])
    return Readout(described.pop("kind"), handed.tensors, described).bind(planted.full)


def mean_kl(planted, handed, split="test"):
    return sweep(bound(planted, handed), planted.full, split).kl.mean(axis=0)


def everywhere_kl(planted, handed):
    """``[L + 1]``: mean KL at all positions of the test prompts, by torch's own loss."""
    states, lens, reader = planted.full.everywhere("test"), planted.full.lens, bound(planted, handed)
    target = lens(states.final).log_softmax(dim=-1)
    logs = [reader.logits(layer, states).log_softmax(dim=-1) for layer in reader.layers]
    return np.array([float(kl_div(log, target, log_target=True, reduction="batchmean")) for log in logs])


def test_the_tuned_lens_starts_as_the_logit_lens_and_ends_nearer_to_the_model(planted):
    logit, tuned = LogitLens().explain(planted.job), TunedLens(steps=40, batch=64).explain(planted.job)
    before, after = everywhere_kl(planted, logit), everywhere_kl(planted, tuned)
    assert (after[:4] < 0.9 * before[:4]).all() and after[:-1].mean() < 0.8 * before[:-1].mean()
    assert after[-1] == before[-1] == 0
    assert tuned.extra["training"]["steps"] == 40 and tuned.extra["training"]["positions"] > 24 * 10
    untrained = TunedLens(steps=1, lr=1e-12).explain(planted.job)
    assert mean_kl(planted, untrained) == pytest.approx(mean_kl(planted, logit), rel=1e-5)
    assert logit.components == tuple(f"layer{i}" for i in range(planted.data.n_layers))


def test_the_tuned_lenss_gradient_is_that_of_finite_differences(planted):
    """Central differences in fp64 along random directions of the translators of one layer."""
    data, layer = planted.full, 2
    streams = data.everywhere("train").streams[:6].double()
    d, n = data.engine.d_model, data.n_layers
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return 0.1 * torch.randn(*shape, generator=generator, dtype=torch.float64)

    matrices, biases = [drawn(d, d).requires_grad_() for _ in range(n)], [drawn(d).requires_grad_() for _ in range(n)]
    losses(data, streams, matrices, biases)
    gradients = [parameters[layer].grad.clone() for parameters in (matrices, biases)]
    for parameters, gradient in zip((matrices, biases), gradients, strict=True):
        point = parameters[layer].detach().clone()
        direction = torch.randn(point.shape, generator=generator, dtype=torch.float64)
        values = []
        for step in (1e-5, -1e-5):
            moved = [p.detach().clone().requires_grad_() for p in parameters]
            moved[layer] = (point + step * direction).requires_grad_()
            values.append(losses(data, streams, *((moved, biases) if parameters is matrices else (matrices, moved))))
        assert float((gradient * direction).sum()) == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5)


def test_a_training_that_diverges_names_its_step(planted):
    with pytest.raises(TrainingError, match=r"step \d+ of 30"):
        TunedLens(steps=30, lr=1e30, batch=16).explain(planted.job)
    for wrong in ({"steps": 0}, {"lr": 0.0}, {"batch": 0}, {"length": 0}):
        with pytest.raises(ValueError, match="give"):
            TunedLens(**wrong)


def test_the_same_seed_gives_the_same_translators_and_batches_have_no_say(planted):
    first, again = (TunedLens(steps=3, batch=32).explain(planted.job) for _ in range(2))
    for name, tensor in first.tensors.items():
        assert np.array_equal(tensor, again.tensors[name])


def test_text_is_read_from_files_and_missing_ones_are_said(planted, tmp_path):
    stories = ["one two", "three"]
    (tmp_path / "a.json").write_text(json.dumps([{"story": "one two"}, "three"]))
    (tmp_path / "b.csv").write_text("id,text\n1,one two\n2,three\n")
    (tmp_path / "c.txt").write_text("one two\n\nthree")
    (tmp_path / "d.jsonl").write_text('{"text": "one two"}\n{"x": 1, "y": "three"}\n')
    for name in ("a.json", "b.csv", "c.txt", "d.jsonl"):
        assert texts(str(tmp_path / name)) == stories and len(digest(str(tmp_path / name))) == 16
    (tmp_path / "e.json").write_text("{}")
    (tmp_path / "f.txt").write_text(" ")
    for name, message in (("e.json", "a list of texts"), ("f.txt", "no text in it"), ("g.txt", "no such file")):
        with pytest.raises(TextError, match=message):
            texts(str(tmp_path / name))
    with pytest.raises(Skip, match="no such file"):
        TunedLens(text=str(tmp_path / "g.txt")).explain(planted.job)


def test_a_text_stands_in_for_the_prompts_and_in_the_label_by_its_name(planted, tmp_path):
    batch = next(planted.of("train"))
    lines = [
        planted.engine.tokenizer.decode(ids[mask]) for ids, mask in zip(batch.clean.ids, batch.clean.mask, strict=True)
    ]
    path = tmp_path / "lines.txt"
    path.write_text("\n\n".join(lines))
    method = TunedLens(text=str(path), steps=2, batch=16, positions=50)
    assert method.label() == "tuned_lens[batch=16,positions=50,steps=2,text=lines.txt]" and method.digest
    assert method.explain(planted.job).extra["training"]["positions"] == 50


def test_the_attention_lens_starts_at_the_unembedding_in_both_spaces_and_learns(planted):
    data = planted.full
    settings = {"lr": 1e-9, "steps": 1, "layer": 2}
    write, z = (AttentionLens(space=space, **settings).explain(planted.job) for space in ("write", "z"))
    assert write.components == tuple(f"a2.h{h}" for h in range(planted.engine.graph.n_heads))
    from bench.engine.weights import unembedding

    assert write.tensors["a2.h1.map"] == pytest.approx(unembedding(planted.engine.wiring).T.numpy(), abs=1e-6)
    assert write.tensors["a2.h1.map"].shape[1] == data.engine.d_model
    assert z.tensors["a2.h1.map"].shape[1] == data.engine.d_head
    assert np.asarray(write.scores) == pytest.approx(np.asarray(z.scores), abs=1e-3)
    history = AttentionLens(steps=100, layer=2, batch=64).explain(planted.job).extra["training"]["2"]
    assert history["loss_last"] < history["loss_first"]  # of what it sees: on 24 prompts it overfits
    with pytest.raises(Skip, match="the model has 6 layers"):
        AttentionLens(layer=6).explain(planted.job)


def test_simultaneous_pursuit_of_one_vector_is_scikit_learns():
    rng = np.random.default_rng(0)
    dictionary = rng.standard_normal((40, 20))
    unit = dictionary / np.linalg.norm(dictionary, axis=1, keepdims=True)
    for seed in range(5):
        vector = np.random.default_rng(seed).standard_normal(20)
        theirs = OrthogonalMatchingPursuit(n_nonzero_coefs=6, fit_intercept=False).fit(unit.T, vector)
        ours = somp(torch.as_tensor(vector)[None], torch.as_tensor(dictionary), 6)
        assert set(ours.atoms.tolist()) == set(np.flatnonzero(theirs.coef_))
        norms = np.linalg.norm(dictionary[ours.atoms.numpy()], axis=1)
        assert ours.coefficients[0].numpy() * norms == pytest.approx(theirs.coef_[ours.atoms.numpy()])


def test_planted_combinations_of_atoms_are_recovered_and_explained():
    generator = torch.Generator().manual_seed(1)
    dictionary = torch.randn(200, 48, generator=generator, dtype=torch.float64)
    planted_atoms = [5, 77, 130, 199]
    weights = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    vectors = weights @ dictionary[planted_atoms]
    found = somp(vectors, dictionary, 10)
    assert sorted(found.atoms.tolist()) == planted_atoms
    order = [found.atoms.tolist().index(atom) for atom in planted_atoms]
    assert torch.allclose(found.coefficients[:, order], weights)
    for count in range(1, 5):
        left = torch.linalg.lstsq(dictionary[found.atoms[:count]].T, vectors.T)
        rest = vectors - left.solution.T @ dictionary[found.atoms[:count]]
        share = 1 - float(rest.square().sum() / vectors.square().sum())
        assert float(found.explained[count - 1]) == pytest.approx(share)
        assert explained_by(vectors, dictionary[found.atoms[:count]]) == pytest.approx(share)
    assert len(somp(torch.zeros(3, 48), dictionary, 5).atoms) == 0


def test_head_pursuit_explains_more_than_random_tokens_and_declares_them(planted):
    handed = HeadPursuit(steps=6).explain(planted.job)
    assert handed.components == tuple(planted.data.head_names)
    for name, found in handed.extra["heads"].items():
        tokens = handed.tensors[f"{name}.tokens"]
        assert len(set(tokens.tolist())) == len(tokens) <= 6
        assert found["explained"] == pytest.approx(handed.tensors[f"{name}.explained"][-1], abs=1e-4)
        assert found["explained"] >= found["random"]
    assert contributions(bound(planted, handed), planted.full, "train") == pytest.approx(handed.scores)
    few = HeadPursuit(dictionary="answers", steps=3).explain(planted.job)
    answers = set(torch.cat(planted.full.answers("train")).tolist())
    assert all(set(t.tolist()) <= answers for name, t in few.tensors.items() if name.endswith("tokens"))


def test_a_patchscope_falls_back_on_tokens_that_the_model_knows(planted):
    handed = Patchscopes().explain(planted.job)
    reader = handed.extra["reader"]
    ids = reader["ids"]
    assert (
        handed.extra["repeats_tokens"] and ids[0] == ids[1] and ids[2] == ids[3] and reader["position"] == len(ids) - 1
    )
    assert mean_kl(planted, handed)[-1] == pytest.approx(0, abs=1e-5)  # the last residual in its own place
    assert encoded(None, "a") is None
    with pytest.raises(Skip, match="streams? enters"):
        Patchscopes(layer=99).explain(planted.job)


def test_baselines_take_the_level_of_the_row_and_there_is_no_oracle(planted):
    for level, n in (("layer", planted.data.n_layers), ("head", len(planted.data.head_names))):
        handed = Random(level=level).explain(planted.job)
        assert len(handed.components) == n and np.isfinite(handed.scores).all()
        with pytest.raises(Skip, match="has no oracle"):
            Oracle(level=level).explain(planted.job)
    rotation = Random(level="layer").explain(planted.job).tensors["0.A"] + np.eye(planted.engine.d_model)
    assert rotation @ rotation.T == pytest.approx(np.eye(planted.engine.d_model), abs=1e-5)


def test_random_heads_know_nothing_and_random_tokens_alone_would(planted):
    """A projection keeps a share of every direction, so that without a turn a random readout follows direct effects."""
    from dataclasses import replace as changed

    from scipy.stats import spearmanr

    from bench.readout.declared import Readout
    from bench.readout.sweep import contributions

    data = planted.data
    states = data.at_end("train")
    answer, wrong = data.answers("train")
    unembedding = data.engine.model.lm_head.weight.detach() * data.engine.model.transformer.ln_f.weight.detach()
    across = unembedding[answer] - unembedding[wrong]
    centred = across - across.mean(dim=1, keepdim=True)
    scale = (states.final - states.final.mean(dim=1, keepdim=True)).var(dim=1, unbiased=False).add(1e-5).rsqrt()
    written = torch.stack([data.writes(i, states.heads[:, i]) for i in range(data.n_layers)], dim=1)
    truth = (torch.einsum("nlhd,nd->nlh", written, centred) * scale[:, None, None]).mean(dim=0).flatten().numpy()

    def agreement(seed, turned):
        handed = Random(level="head").explain(changed(planted.job, seed=seed))
        tensors = {name: t for name, t in handed.tensors.items() if turned or not name.endswith(".turn")}
        found = contributions(Readout("tokens", tensors).bind(data), data, "train")
        return spearmanr(found, truth).statistic

    known, turned = (np.mean([agreement(seed, t) for seed in range(12)]) for t in (False, True))
    assert known > 0.3 and abs(turned) < 0.2
