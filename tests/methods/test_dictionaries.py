"""Registered methods of the `dictionary` track, on a tiny model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from bench.data import batches
from bench.dictionary.files import declared
from bench.engine import Engine
from bench.explanation import Explanation
from bench.method import Skip
from bench.registry import discover
from methods.baselines.oracle import Oracle
from methods.baselines.random import Random
from methods.dictionaries.base import DictionaryMethod
from methods.dictionaries.neurons import Neurons
from methods.dictionaries.pca import Pca
from methods.dictionaries.sae_topk import SaeTopK
from methods.dictionaries.trained import TRAINING, TrainedDictionary
from methods.dictionaries.transcoder import Transcoder
from methods.dictionaries.untrained import Untrained
from tests.engine.tiny import pairs, tiny
from tests.methods.linear import job

torch.set_num_threads(1)
REGISTERED = discover().methods
CLASSES = [cls for cls in map(REGISTERED.load, REGISTERED.names()) if issubclass(cls, DictionaryMethod)]


def rows(n):
    clean, corrupt = pairs(tuple(9 + i % 4 for i in range(n)))
    return [
        {"ids": c, "counterfactuals": {"other": {"ids": x}}, "positions": {"END": len(c) - 1}, "answer_id": 3,
         "wrong_id": 4}
        for c, x in zip(clean, corrupt, strict=True)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def here():
    made = job(Engine(tiny("gpt2"), check=False), rows(24))
    return replace(made, batches=lambda split: batches(rows(24 if split == "train" else 8), "other", 4))


def quick(cls, **more):
    small = (
        {"steps": 60, "lr": 5e-3, "dead_after": 2000, "tolerance": 100.0} if issubclass(cls, TrainedDictionary) else {}
    )
    return cls(**{"l0": 4.0, "batch_size": 64, **small, **more})


def explained(method, here):
    parts = method.explain(here)
    return Explanation(
        method.level, parts.components, np.asarray(parts.scores, dtype=np.float32), "t", "1", "m", "", method.name, "1",
        "other", track=method.track, extra=parts.extra, tensors=parts.tensors,
    )  # fmt: skip


def test_all_are_registered():
    assert {cls.name for cls in CLASSES} == {
        "sae_relu", "sae_gated", "sae_topk", "sae_batchtopk", "sae_jumprelu", "sae_matryoshka", "transcoder",
        "dictionary_frozen_decoder", "dictionary_frozen_encoder", "dictionary_pca", "dictionary_neurons",
        "dictionary_mean", "dictionary_random",
    }  # fmt: skip


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.name)
def test_each_hands_over_a_dictionary_that_does_what_it_says(cls, here):
    method = quick(cls)
    explanation = explained(method, here)
    dictionary, site = declared(explanation), method.site_of(here)
    assert explanation.components == (site,) and dictionary.site == site and explanation.extra["site"] == site
    pairs_of = list(method.stream(here, site).held_out())
    x, y = (torch.cat(parts) for parts in zip(*pairs_of, strict=True))
    error = dictionary.error(x, y).double()
    variance = (y.double() - y.double().mean(dim=0)).square().sum()
    assert float(explanation.scores[0]) == pytest.approx(1 - float(error.square().sum() / variance), abs=1e-3)
    l0 = float((dictionary.encode(x) != 0).sum(dim=1).double().mean())
    assert explanation.extra["held_out"]["l0"] == pytest.approx(l0)
    assert dictionary.l0 == pytest.approx(l0, rel=0.05)
    assert dictionary.provenance["method"] == cls.name and dictionary.provenance["seed"] == here.seed


def test_what_is_trained_is_better_than_what_is_not(here):
    ev = {cls.name: float(cls(**more).scores(here)[0]) for cls, more in (
        (SaeTopK, {"l0": 4.0, "batch_size": 128, "steps": 200, "lr": 5e-3}), (Untrained, {"l0": 4.0}),
    )}  # fmt: skip
    assert 0 < ev["dictionary_random"] < ev["sae_topk"] < 1


def test_principal_components_are_those_of_scikit_learn(here):
    method = Pca(l0=5.0)
    stream = method.stream(here, "stream1")
    x = stream.first()[0].double().numpy()
    dictionary = declared(explained(method, here))
    independent = PCA(5).fit(x)
    back = independent.inverse_transform(independent.transform(x))
    ours = dictionary.reconstruct(torch.tensor(x, dtype=torch.float32)).numpy()
    assert np.abs(back - ours).max() < 1e-3 * np.abs(x).max()
    largest = float(Pca(l0=5.0, kept="largest").scores(here)[0])
    assert largest >= float(method.scores(here)[0])  # the best five of all for each token


def test_neurons_keep_the_coordinates_furthest_from_their_means(here):
    dictionary = declared(explained(Neurons(l0=2.0, site="n0"), here))
    mean = dictionary.tensors["b_dec"].numpy()
    x = Neurons(site="n0").stream(here, "n0").first()[0]
    back = dictionary.reconstruct(x).numpy()
    for row, found in zip(x.numpy()[:5], back, strict=False):
        expected = mean.copy()
        kept = np.argsort(-np.abs(row - mean))[:2]
        expected[kept] = row[kept]
        assert found == pytest.approx(expected, abs=1e-5)


def test_a_transcoder_reads_what_the_mlp_reads(here):
    dictionary = declared(explained(quick(Transcoder, kind="topk"), here))
    assert (dictionary.reads, dictionary.site, dictionary.activation) == ("mlp_in1", "m1", "topk")
    with pytest.raises(Skip, match="stream1 is none"):
        quick(Transcoder, site="stream1").explain(here)
    with pytest.raises(ValueError, match="kind=softmax"):
        Transcoder(kind="softmax")


def test_a_site_that_the_model_has_not_is_a_skip_before_any_pass(here):
    here.engine.cost.reset()
    with pytest.raises(Skip, match="the model has no m9"):
        SaeTopK(site="m9").explain(here)
    assert here.engine.cost.forwards == 0


def test_a_text_file_is_told_by_its_contents_and_shown_by_its_name(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    method = SaeTopK(text=str(tmp_path / "a.txt"))
    assert method.label() == "sae_topk[text=a.txt]" and len(method.text_digest) == 64
    (tmp_path / "a.txt").write_text("y")
    assert SaeTopK(text=str(tmp_path / "a.txt")).text_digest != method.text_digest


def test_a_killed_cell_goes_on_from_its_scratch_folder(here, tmp_path):
    whole = quick(SaeTopK).explain(here)

    def progress(done, total):
        if done == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quick(SaeTopK).explain(replace(here, scratch=tmp_path / "cell", progress=progress))
    steps = []
    again = quick(SaeTopK).explain(
        replace(here, scratch=tmp_path / "cell", progress=lambda done, total: steps.append(done))
    )
    assert steps[0] == 37 and all(np.array_equal(whole.tensors[name], again.tensors[name]) for name in whole.tensors)


def test_baselines_take_the_level(here):
    with pytest.raises(Skip, match="the floors of dictionaries are analytic"):
        Random(level="dictionary").explain(here)
    with pytest.raises(Skip, match="a planted circuit names no dictionary"):
        Oracle(level="dictionary").explain(here)


def test_controls_take_no_notice_of_presets():
    assert set(Pca.ignored) == set(Neurons.ignored) == set(TRAINING) and "expansion" not in Untrained.ignored
