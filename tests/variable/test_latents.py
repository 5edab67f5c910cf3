"""Featurizers of latents and the methods that find them: by hand, against the full swap, and in files."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.dictionary.dictionary import Dictionary, DictionaryError
from bench.dictionary.files import save
from bench.explanation import JSON_NAME, SCORES_NAME, Explanation, ExplanationError, load
from bench.method import Skip
from bench.metric import ScoreContext, Undefined
from bench.metrics.erasure import Erasure
from bench.metrics.steering import Steering
from bench.submit.featurizers import check_featurizers
from bench.submit.limits import Rejected
from bench.submit.tensors import read_tensors
from bench.variable.declared import declared
from bench.variable.featurizer import Featurizer, FeaturizerError
from bench.variable.latents import LatentFeaturizer, living
from bench.variable.method import handed
from bench.variable.places import Place
from methods.variables.dbm_latents import DbmLatents, LatentMask
from methods.variables.sae_latents import SaeLatents
from methods.variables.training import Pairs
from tests.variable.written import D_HEAD, RANK, VALUES, basis, data_of, simplex

torch.set_num_threads(1)
HEAD = Place.parse("a0.h0@END")


def by_hand() -> Dictionary:
    """Three latents that read x, y and -y of a plane, doubled and halved; of y only what is above 1."""
    tensors = {
        "W_enc": torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, -1.0]]), "b_enc": torch.zeros(3),
        "W_dec": torch.tensor([[0.5, 0.0], [0.0, 1.0], [0.0, -1.0]]), "b_dec": torch.tensor([0.0, 0.0]),
        "threshold": torch.tensor([0.0, 1.0, 1.0]),
    }  # fmt: skip
    return Dictionary("jumprelu", "a0.h0", tensors)


def random_dictionary(d: int = 6, n: int = 20, scaling: str = "none", seed: int = 0) -> Dictionary:
    generator = torch.Generator().manual_seed(seed)
    tensors = {"W_enc": torch.randn(d, n, generator=generator), "W_dec": torch.randn(n, d, generator=generator),
               "b_enc": torch.randn(n, generator=generator), "b_dec": torch.randn(d, generator=generator)}  # fmt: skip
    return Dictionary("relu", "a0.h0", tensors, scaling=scaling, scale=0.7 if scaling == "constant" else 1.0)


def vectors(d: int = 6, n: int = 9, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator), torch.randn(n, d, generator=generator)


# The swap.


@pytest.mark.parametrize(("mask", "error", "expected"), [
    ([0, 0, 0], 0, [3.0, 0.5]),   # nothing: the base, whose .5 no latent says
    ([1, 0, 0], 0, [-0.0, 0.5]),  # x is read off (6), and the source's -4 is no code: 0
    ([0, 1, 0], 0, [3.0, 2.5]),   # the source's y = 2 comes on top of the base's own .5, which is error
    ([0, 0, 1], 0, [3.0, 0.5]),
    ([1, 1, 1], 0, [0.0, 2.5]),   # h_source - e(h_source) + e(h) = (-4, 2) - (-4, 0) + (0, .5)
    ([0, 0.5, 0], 0, [3.0, 1.5]),
    ([0, 0, 0], 1, [-1.0, 0.0]),  # the errors alone: (3, .5) + (-4, 0) - (0, .5)
    ([1, 1, 1], 1, [-4.0, 2.0]),  # the source
    ([1, 1, 1], 0.5, [-2.0, 2.25]),
])  # fmt: skip
def test_swaps_by_hand(mask, error, expected):
    base, source = torch.tensor([[3.0, 0.5]]), torch.tensor([[-4.0, 2.0]])
    found = LatentFeaturizer.of(by_hand(), mask, error)
    assert found.swap(base, source).tolist() == [expected]
    assert found.rank == sum(m > 0 for m in mask) + (2 if error else 0)


def test_features_are_the_codes_of_the_swapped_latents():
    x = torch.tensor([[3.0, 2.0], [-1.0, -3.0], [0.0, 0.5]])
    assert LatentFeaturizer.of(by_hand(), [1, 0, 0.5]).features(x).tolist() == [[6.0, 0.0], [0.0, 1.5], [0.0, 0.0]]
    assert living(by_hand(), x).tolist() == [0, 1, 2] and living(by_hand(), x[2:]).tolist() == []


@pytest.mark.parametrize("scaling", ["none", "constant", "constant_norm", "layer_norm"])
def test_what_all_latents_miss_is_the_difference_of_the_errors(scaling):
    dictionary, (base, source) = random_dictionary(scaling=scaling), vectors()
    ones = np.ones(dictionary.d_sae)
    assert torch.equal(LatentFeaturizer.of(dictionary, 0 * ones).swap(base, source), base)
    both = LatentFeaturizer.of(dictionary, ones, 1.0).swap(base, source)
    torch.testing.assert_close(both, source, rtol=0, atol=1e-6 * float(dictionary.reconstruct(base).abs().max() + 1))
    latents = LatentFeaturizer.of(dictionary, ones).swap(base, source)
    assert float((latents - source).abs().max()) > 0.1  # no full swap: the error stays
    if scaling in ("none", "constant"):  # else the base's scale decodes
        torch.testing.assert_close(latents, source - dictionary.error(source) + dictionary.error(base))
        error = LatentFeaturizer.of(dictionary, 0 * ones, 1.0).swap(base, source)
        torch.testing.assert_close(latents + error, base + source)


def test_all_latents_of_a_dictionary_without_error_are_the_full_swap():
    eye = torch.eye(6)
    tensors = {"W_enc": torch.cat([eye, -eye], dim=1), "W_dec": torch.cat([eye, -eye]), "b_enc": torch.zeros(12),
               "b_dec": torch.zeros(6)}  # fmt: skip
    dictionary, (base, source) = Dictionary("relu", "a0.h0", tensors), vectors()
    found = LatentFeaturizer.of(dictionary, np.ones(12))
    torch.testing.assert_close(found.swap(base, source), source, rtol=0, atol=1e-6)
    some = LatentFeaturizer.of(dictionary, np.tile([1, 1, 0, 0, 0, 0], 2))  # both signs of two coordinates
    neurons = Featurizer("mask", 6, {"mask": np.array([1, 1, 0, 0, 0, 0], np.float32)})
    torch.testing.assert_close(some.swap(base, source), neurons.swap(base, source), rtol=0, atol=1e-6)


def test_it_has_no_inverse_and_says_so():
    """Two vectors with the same codes: nothing that is put back from these tells them apart."""
    found = LatentFeaturizer.of(by_hand(), [1, 1, 1])
    base, sources = torch.tensor([[3.0, 0.5]]), torch.tensor([[-4.0, 2.0], [-9.0, 2.0]])
    swapped = found.swap(base.expand(2, 2), sources)
    assert torch.equal(swapped[0], swapped[1]) and not found.linear and Featurizer("full", 2).linear
    with pytest.raises(FeaturizerError, match="not linear"):
        found.part(sources - base)


# What it is made of.


def _explanation(featurizer: Featurizer, place: str = "a0.h0@END") -> Explanation:
    at = Place.parse(place)
    found = handed([at], np.ones(1), "V", at, [(at, featurizer)])
    return Explanation(
        "site", found.components, found.scores.astype(np.float32), "t", "1", "m", "0", "mine", "1", "",
        track="variable", extra=found.extra, tensors=found.tensors,
    )  # fmt: skip


def _written(explanation: Explanation, folder) -> None:
    for name, content in explanation.files().items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("scaling", ["none", "constant", "layer_norm"])
def test_it_is_the_same_from_its_files(tmp_path, scaling):
    dictionary, (base, source) = random_dictionary(scaling=scaling), vectors()
    mask = np.random.default_rng(0).random(dictionary.d_sae).astype(np.float32)
    for error in (0.0, 0.25):
        mine = LatentFeaturizer.of(dictionary, mask, error)
        _written(_explanation(mine), tmp_path)
        again = declared(load(tmp_path)).chosen
        assert isinstance(again, LatentFeaturizer) and again.rank == mine.rank == 20 + (6 if error else 0)
        assert torch.equal(again.swap(base, source), mine.swap(base, source))
        assert torch.equal(again.features(base), mine.features(base))


class Planted:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_no_code_of_a_third_party_is_executed(tmp_path):
    mark = tmp_path / "executed"
    _written(_explanation(LatentFeaturizer.of(by_hand(), [1, 1, 1])), tmp_path)
    described = json.loads((tmp_path / JSON_NAME).read_text())
    numbers = (tmp_path / SCORES_NAME).read_bytes()
    (tmp_path / SCORES_NAME).write_bytes(pickle.dumps(Planted(str(mark))))
    with pytest.raises(Exception, match="(?i)header|deserializ"):
        load(tmp_path)
    (tmp_path / SCORES_NAME).write_bytes(numbers)
    words = described["extra"]["features"][0]["dictionary"]
    code = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    for name, value in {
        "architecture": code,
        "activation": code,
        "forward": code,
        "site": code,
        "groups": code,
    }.items():
        described["extra"]["features"][0]["dictionary"] = {**words, name: value}
        (tmp_path / JSON_NAME).write_text(json.dumps(described))
        with pytest.raises(ExplanationError):
            declared(load(tmp_path))
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "ae.pt").write_bytes(pickle.dumps(Planted(str(mark))))
    with pytest.raises(DictionaryError, match="is a pickle"):
        SaeLatents(dictionary=str(folder)).fit(data_of(), HEAD, 0)
    assert not mark.exists()


def test_it_can_be_handed_in_as_numbers_and_words():
    dictionary = random_dictionary(D_HEAD)
    explanation = _explanation(LatentFeaturizer.of(dictionary, np.ones(dictionary.d_sae)))
    widths = {"n_layers": 2, "n_heads": 3, "d_model": 48, "d_head": D_HEAD, "d_mlp": 16}
    check_featurizers(explanation, widths, ["V"])
    read = read_tensors(explanation.files()[SCORES_NAME], others=True)
    assert set(read) == {"scores", "0.mask", "0.W_enc", "0.W_dec", "0.b_enc", "0.b_dec"}
    (described,) = explanation.extra["features"]
    for more, said in (({"code": "import os"}, "expected an object"), ({"dictionary": "import os"}, "no JSON object"),
                       ({"rank": 3}, "rank: is 3"), ({"d": 7}, "16 dimensions; 7 are needed")):  # fmt: skip
        other = replace(explanation, extra={**explanation.extra, "features": [{**described, **more}]})
        with pytest.raises(Rejected, match=said):
            check_featurizers(other, widths, ["V"])


@pytest.mark.parametrize(("change", "message"), [
    ({"mask": np.ones(4, np.float32)}, "mask is of the shape"), ({"mask": None}, "mask is missing"),
    ({"mask": np.full(3, 2, np.float32)}, "outside"), ({"mask": np.ones(3)}, "finite float32"),
    ({"error": np.ones(2, np.float32)}, "error is of the shape"),
    ({"W_enc": np.full((2, 3), np.nan, np.float32)}, "finite float32"), ({"W_dec": None}, "lacks W_dec"),
    ({"W_dec": np.ones((4, 2), np.float32)}, "W_dec has the shape"), ({"other": np.ones(1, np.float32)}, "no other"),
    ({"d": 5}, "2 dimensions; 5 are needed"), ({"words": {}}, "lacks architecture"),
])  # fmt: skip
def test_what_breaks_its_description_is_refused(change, message):
    mine = LatentFeaturizer.of(by_hand(), [1, 1, 1])
    tensors = {**mine.tensors, **{name: t for name, t in change.items() if name not in ("d", "words")}}
    kept = {name: t for name, t in tensors.items() if t is not None}
    with pytest.raises(FeaturizerError, match=message):
        LatentFeaturizer("latents", change.get("d", 2), kept, change.get("words", mine.words))


def test_a_transcoder_has_no_error_to_keep():
    words = {"architecture": "transcoder", "site": "m0", "reads": "mlp_in0", "apply_b_dec_to_input": False}
    numbers = {name: t for name, t in by_hand().tensors.items() if name != "threshold"}
    with pytest.raises(FeaturizerError, match="no error to keep"):
        LatentFeaturizer.of(Dictionary(tensors=numbers, **words), [1, 1, 1])


def test_metrics_of_differences_are_not_defined_on_latents():
    data = data_of()
    dictionary = replace(random_dictionary(D_HEAD), site="a0.h0")
    explanation = _explanation(LatentFeaturizer.of(dictionary, np.ones(dictionary.d_sae)))
    context = ScoreContext(
        data.engine, None, 100, [], "none", None, "", None, 0, variable_data=lambda variable: data.in_full()
    )
    for metric in (Erasure(), Steering()):
        with pytest.raises(Undefined, match="a0.h0@END is not linear"):
            metric.measure(explanation, context)


# The methods, on the model written by hand: a value's vector is a corner of a simplex in four dimensions of a head.


def corners(turned: int | None = None, n_others: int = 7) -> Dictionary:
    """What a good dictionary of the head would be: a latent per value's corner, and ones for what else there is."""
    space = basis(turned)
    rng = np.random.default_rng(3)
    values = simplex() @ space[:RANK]
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    others = rng.standard_normal((n_others, D_HEAD - RANK)) @ space[RANK:]
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    rows = torch.tensor(np.concatenate([values, others]), dtype=torch.float32)
    tensors = {"W_enc": rows.T.contiguous(), "W_dec": rows, "b_enc": torch.zeros(len(rows)), "b_dec": torch.zeros(16)}
    return Dictionary("relu", "a0.h0", tensors)


@pytest.fixture
def good(tmp_path):
    """Its folder."""
    save(corners(), tmp_path / "corners")
    return str(tmp_path / "corners")


def _options(**more):
    return {"accept": False, "site": str(HEAD), **more}


def test_the_latents_of_the_values_are_found_and_swap_the_variable(good):
    data = data_of()
    full = data.share("test", HEAD, Featurizer("full", D_HEAD))
    found = SaeLatents(dictionary=good, rank=VALUES, **_options()).fit(data, HEAD, 0)
    assert np.flatnonzero(found.tensors["mask"]).tolist() == list(range(VALUES))
    assert full == 1.0 and data.share("test", HEAD, found) == 1.0
    shares = [
        data.share("test", HEAD, SaeLatents(dictionary=good, rank=rank, **_options()).fit(data, HEAD, 0))
        for rank in (1, 3)
    ]
    assert shares[0] < shares[1] < 1.0
    dbm = DbmLatents(dictionary=good, rank=VALUES, steps=60, **_options()).fit(data, HEAD, 0)
    assert np.flatnonzero(dbm.tensors["mask"]).tolist() == list(range(VALUES))


def test_all_latents_and_the_error_part_the_full_swap(good):
    data = data_of()
    shares = {}
    for chosen, error in (("all", True), ("all", False), ("none", True), ("none", False)):
        found = SaeLatents(dictionary=good, chosen=chosen, swap_error=error, **_options()).fit(data, HEAD, 0)
        shares[chosen, error] = data.share("test", HEAD, found)
        if chosen == "all" and error:
            np.testing.assert_array_equal(
                data.swap("test", HEAD, found), data.swap("test", HEAD, Featurizer("full", D_HEAD))
            )
    assert shares == {("all", True): 1.0, ("all", False): 1.0, ("none", True): 0.0, ("none", False): 0.0}
    noise = SaeLatents(dictionary=good, chosen="random", rank=2, **_options()).fit(data, HEAD, 0)
    assert noise.rank == 2 and data.share("test", HEAD, noise) < 1.0


def test_a_rank_beyond_the_latents_that_tell_values_apart_is_skipped(good):
    with pytest.raises(Skip, match="rank=20: 12 latents vary"):
        SaeLatents(dictionary=good, rank=20, **_options()).fit(data_of(), HEAD, 0)
    with pytest.raises(Skip, match="rank=20: 12 latents vary"):
        DbmLatents(dictionary=good, rank=20, steps=1, **_options()).fit(data_of(), HEAD, 0)
    with pytest.raises(Skip, match="several nodes"):
        SaeLatents().fit(data_of(), Place.parse("a0.h0+a0.h1@END"), 0)


def test_gradients_through_the_mask_are_those_of_finite_differences():
    data = data_of(turned=1)
    data.engine.model.double()
    place, generator = HEAD, torch.Generator().manual_seed(0)
    pairs = Pairs(data, place, 1, generator)
    pairs.base, pairs.change = pairs.base.double(), pairs.change.double()
    dictionary = random_dictionary(D_HEAD, 40)
    part = LatentMask(dictionary, living(dictionary, data.vectors("train", place)), 0.3, None).double()
    with torch.no_grad():
        part.m.copy_(torch.randn(len(part.m), generator=generator))
    part.anneal(0.0)
    index = torch.arange(24)

    def loss() -> torch.Tensor:
        new = part.swap(pairs.base[index], pairs.change[index])
        logits = pairs.data.logits("train", pairs.rows[index.numpy()], place, new, grad=True)
        return torch.nn.functional.cross_entropy(logits, pairs.target[index]) + part.price()

    (gradient,) = torch.autograd.grad(loss(), [part.m])
    direction = torch.randn(len(part.m), generator=generator, dtype=torch.float64)
    values = []
    for step in (1e-5, -1e-5):
        with torch.no_grad():
            part.m.add_(step * direction)
            values.append(float(loss()))
            part.m.sub_(step * direction)
    slope, own = (values[0] - values[1]) / 2e-5, float(gradient @ direction)
    assert abs(own) > 1e-4 and abs(own - slope) <= 1e-5 * abs(slope)


def test_a_dictionary_is_trained_on_the_prompts_once_and_shared():
    data = data_of()
    options = {"site": str(HEAD), "l0": 4.0, "dictionary_steps": 60, "dictionary_batch": 64}
    data.engine.cost.reset()
    found = SaeLatents(**options).fit(data, HEAD, 0)
    train, validation = (len(data.rows(split)) for split in ("train", "validation"))
    assert data.engine.cost.forwards == 2 * train + validation  # its text, what is held out, and the vectors
    again = SaeLatents(chosen="all", **options).fit(data, HEAD, 0)
    assert data.engine.cost.forwards == 2 * train + validation
    np.testing.assert_array_equal(found.tensors["W_enc"], again.tensors["W_enc"])
    other = SaeLatents(chosen="all", **options).fit(data_of(), HEAD, 0)
    np.testing.assert_array_equal(other.tensors["W_enc"], again.tensors["W_enc"])
    assert not np.array_equal(SaeLatents(**options).fit(data, HEAD, 1).tensors["W_enc"], again.tensors["W_enc"])
    held = found.words["provenance"]["held_out"]
    assert found.dictionary.site == "a0.h0" and held["explained_variance"] > 0.5 and 1 < held["l0"] < 8
    mask = DbmLatents(steps=2, minibatches=1, **options).fit(data, HEAD, 0)
    np.testing.assert_array_equal(mask.tensors["W_enc"], again.tensors["W_enc"])


# From files.


def test_a_dictionary_from_a_folder_is_looked_at_where_it_is_and_goes_by_its_name(good, tmp_path):
    method = SaeLatents(dictionary=good, accept=False, stream="heads")
    assert method.label() == "sae_latents[accept=False,dictionary=corners,stream=heads]"
    assert [str(p) for p in method.places(data_of())] == ["a0.h0@V", "a0.h0@END"]
    (tmp_path / "corners" / "note").write_text("x")
    assert SaeLatents(dictionary=good).dictionary_digest != method.dictionary_digest != ""


def test_what_does_not_fit_is_said(good, tmp_path):
    data = data_of()
    with pytest.raises(ValueError, match="nowhere: there is no such folder; made are batchtopk"):
        SaeLatents(dictionary="nowhere")
    with pytest.raises(ValueError, match="chosen=some"):
        SaeLatents(chosen="some")
    with pytest.raises(Exception, match="one of a0.h0, and that is none of stream0@V"):
        SaeLatents(dictionary=good).places(data)
    save(replace(random_dictionary(5), site="a0.h0"), tmp_path / "narrow")
    with pytest.raises(DictionaryError, match="5 dimensions at a0.h0, where the model has 16"):
        SaeLatents(dictionary=str(tmp_path / "narrow")).fit(data, HEAD, 0)
    save(replace(random_dictionary(16), site="a0.h0"), tmp_path / "noise")
    with pytest.raises(DictionaryError, match="FVU is"):
        SaeLatents(dictionary=str(tmp_path / "noise")).fit(data, HEAD, 0)
