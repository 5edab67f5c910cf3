"""What cut edges carry, on an engine whose sources are functions of the tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.data import Batch, pad
from bench.engine.sources import Sources
from bench.metric import Undefined
from bench.scoring.ablation import ABLATIONS, ablation, derangement, mean_sources


class TokenEngine:
    """Every source writes its own multiple of the token id; padding is written as 1000."""

    def __init__(self):
        self.calls = 0

    def sources(self, tokens):
        self.calls += 1
        ids = torch.where(tokens.mask, tokens.ids, 1000).double()
        heads = (ids[..., None, None] * torch.tensor([2.0, 3.0], dtype=torch.float64)[:, None],)
        return Sources(ids[..., None], heads, (7 * ids[..., None],))


def batches(prompts, corrupt=None, size=2, side="left"):
    for start in range(0, len(prompts), size):
        rows = slice(start, start + size)
        index = torch.arange(start, min(start + size, len(prompts)))
        clean, other = pad(prompts[rows], 0, side), pad((corrupt or prompts)[rows], 0, side)
        yield Batch(index, clean, other, torch.zeros_like(index), torch.zeros_like(index), {})


PROMPTS = [[1, 2], [3, 4, 5], [6, 7], [8, 9, 10], [11, 12]]


def made(name, side="left", train=None, **changes):
    engine = TokenEngine()
    corrupt = [[50 + t for t in p] for p in PROMPTS]
    scored = list(batches(PROMPTS, corrupt, side=side))
    return ablation(name, engine, lambda: batches(train or PROMPTS, side=side), lambda: iter(scored), **changes), scored


@pytest.mark.parametrize("side", ["left", "right"])
def test_counterfactual_and_zero(side):
    flip, scored = made("counterfactual", side)
    zero, _ = made("zero", side)
    for batch in scored:
        assert torch.equal(flip(batch).input[batch.clean.mask][:, 0], batch.clean.ids[batch.clean.mask] + 50.0)
        assert not zero(batch).input.any() and not zero(batch).z[0].any() and not zero(batch).mlp[0].any()


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_mean_is_each_components_own_over_all_real_tokens(side):
    mean, scored = made("mean", side, train=[[1, 2, 3], [10], [4, 4]])
    expected = (1 + 2 + 3 + 10 + 4 + 4) / 6
    for batch in scored:
        found = mean(batch)
        assert found.input.shape[:2] == batch.clean.ids.shape
        assert found.input.unique().item() == pytest.approx(expected)
        assert found.z[0][:, :, 0].unique().item() == pytest.approx(2 * expected)
        assert found.z[0][:, :, 1].unique().item() == pytest.approx(3 * expected)
        assert found.mlp[0].unique().item() == pytest.approx(7 * expected)


def test_the_mean_needs_examples():
    with pytest.raises(Undefined, match="train"):
        mean_sources(TokenEngine(), iter([]))


@pytest.mark.parametrize("side", ["left", "right"])
def test_resampling_takes_another_clean_prompt_of_the_same_length_on_either_side(side):
    resample, scored = made("resample", side, seed=3)
    partners = []
    for batch in scored:
        found = resample(batch)
        for row, index in enumerate(batch.index.tolist()):
            other = found.input[row, batch.clean.mask[row], 0].long().tolist()
            assert other in PROMPTS and other != PROMPTS[index] and len(other) == len(PROMPTS[index])
            partners.append(other)
    assert sorted(partners) == sorted(PROMPTS)


def test_partners_are_the_same_for_every_batch_size_and_change_with_the_seed():
    lengths = np.random.default_rng(0).integers(3, 6, 60).tolist()
    none = [""] * 60
    assert derangement(none, lengths, 1) == derangement(none, lengths, 1) != derangement(none, lengths, 2)
    found = derangement(none, lengths, 1)
    assert sorted(found) == list(range(60)) and all(i != j and lengths[i] == lengths[j] for i, j in enumerate(found))


def test_partners_are_of_one_template_wherever_there_are_two_of_it():
    templates = ["a", "b", "a", "b", "a", "lone"]
    found = derangement(templates, [4] * 6, 0)
    assert sorted(found) == list(range(6))
    assert {templates[found[i]] for i in (1, 3)} == {"b"} and found[1] != 1
    assert templates[found[5]] == "a", "the lone one joins the largest group"
    two = derangement(["a", "x", "a", "y"], [4] * 4, 0)
    assert two == [2, 3, 0, 1], "two lone ones of a length are partners"
    assert derangement(["a", "a", "b", "b"], [3, 4, 3, 4], 0) == [2, 3, 0, 1], "the length comes first"


def test_an_example_without_a_partner_is_undefined_with_its_length():
    with pytest.raises(Undefined, match="7 tokens"):
        derangement([""] * 3, [5, 5, 7], 0)


def test_sources_of_a_batch_are_run_once_and_unknown_names_are_refused():
    engine = TokenEngine()
    ablate = ablation("counterfactual", engine, lambda: batches(PROMPTS), lambda: batches(PROMPTS))
    batch = next(batches(PROMPTS))
    assert ablate(batch) is ablate(batch) and engine.calls == 1
    with pytest.raises(ValueError, match="resample"):
        ablation("median", engine, lambda: batches(PROMPTS), lambda: batches(PROMPTS))
    assert ABLATIONS == ("counterfactual", "mean", "zero", "resample")
