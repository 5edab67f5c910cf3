"""Taps at named sites: against hooks on eager attention, and against each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from bench.data import pad
from bench.engine import Engine
from bench.engine.sites import KINDS, Site, noise, patch
from tests.engine.reference import Run, intercepted
from tests.engine.support import Pair, logits_of, same
from tests.engine.test_patching import read
from tests.engine.tiny import HEADS, NAMES, pairs, tiny


@pytest.fixture(scope="module", params=NAMES)
def pair(request: pytest.FixtureRequest) -> Pair:
    return Pair(request.param)


def swapped(pair: Pair, site: Site) -> Tensor:
    """``[B, V]`` of the clean run with the corrupt run's tensor at ``site``."""
    value = pair.engine.record(pair.others, [site])[site]
    return pair.engine.tap(pair.tokens, {site: patch(value)})


def with_nodes(pair: Pair, change: Callable[[Run], Callable[[str, Tensor], Tensor]]) -> Tensor:
    """``[B, V]`` of the reference with node outputs changed, given the corrupt run."""
    with torch.no_grad():
        others = pair.plain(pair.other_ids)
        return logits_of([pair.reference.plain(i, change(o)) for i, o in zip(pair.ids, others, strict=True)])


@pytest.mark.parametrize("kind", KINDS)
def test_tapping_without_a_change_changes_nothing(pair: Pair, kind: str) -> None:
    found = pair.engine.tap(pair.tokens, {Site(kind, 1): lambda x: x.clone()})
    assert same(found, pair.engine.logits(pair.tokens), 1e-5)


@pytest.mark.parametrize("layer", [0, 1])
def test_swapped_heads_and_mlps_equal_the_reference(pair: Pair, layer: int) -> None:
    for kind, prefix in (("z", f"a{layer}."), ("mlp_out", f"m{layer}"), ("stream", "input")):
        if kind == "stream" and layer == 1:
            continue
        expected = with_nodes(
            pair,
            lambda other, p=prefix: lambda name, x: {**other.sources, **other.z}[name] if name.startswith(p) else x,
        )
        assert same(swapped(pair, Site(kind, layer)), expected, 2e-5), kind


def test_what_the_mlp_reads_and_its_neurons_are_as_good_as_its_output(pair: Pair) -> None:
    expected = swapped(pair, Site("mlp_out", 0))
    for kind in ("mlp_in", "neurons"):
        assert same(swapped(pair, Site(kind, 0)), expected, 2e-5), kind


def test_the_last_stream_decides_the_logits(pair: Pair) -> None:
    assert same(swapped(pair, Site("final")), logits_of(pair.plain(pair.other_ids)), 2e-5)


@pytest.mark.parametrize("part", ["q", "k", "v"])
def test_swapped_queries_keys_and_values_equal_the_reference(pair: Pair, part: str) -> None:
    """All heads of layer 1; eager attention gets the three tensors directly, one row per query head."""
    attention = pair.reference.attention(1)
    expected = []
    with torch.no_grad():
        for ids, other in zip(pair.ids, pair.other_ids, strict=True):
            seen = {}
            for prompt in (ids, other):
                with intercepted(attention) as seen[tuple(prompt)]:
                    pair.reference.plain(prompt)
            kept, new = ({n: _per_query_head(getattr(s, n)) for n in "qkv"} for s in seen.values())
            with intercepted(attention, **{**kept, part: new[part]}):
                expected.append(pair.reference.plain(ids).logits)
    assert same(swapped(pair, Site(part, 1)), torch.stack(expected), 2e-5)


def _per_query_head(x: Tensor) -> Tensor:
    return x.repeat_interleave(HEADS // x.shape[1], dim=1)


def test_patterns_are_those_of_eager_attention(pair: Pair) -> None:
    patterns = pair.engine.attention(pair.tokens)
    recorded = pair.engine.record(pair.tokens, [Site("pattern", 1)])[Site("pattern", 1)]
    assert torch.equal(patterns[1], recorded)
    with torch.no_grad():
        for row, ids in enumerate(pair.ids):
            eager = pair.reference.model(torch.tensor([ids]), output_attentions=True).attentions
            for layer, expected in enumerate(eager):
                found = patterns[layer][row, :, -len(ids) :, -len(ids) :]
                assert same(found, expected[0], 1e-5)


def test_a_swapped_pattern_mixes_the_clean_values(pair: Pair) -> None:
    site, values = Site("pattern", 1), Site("v", 1)
    pattern = pair.engine.record(pair.others, [site])[site]
    v = pair.engine.record(pair.tokens, [values])[values]
    mixed = (pattern @ v).transpose(1, 2)
    expected = pair.engine.tap(pair.tokens, {Site("z", 1): patch(mixed)})
    assert same(swapped(pair, site), expected, 2e-5)


@pytest.mark.parametrize("kind", ["q", "k", "v", "pattern", "z", "mlp_out", "neurons"])
def test_a_patch_at_positions_leaves_the_others(kind: str) -> None:
    """Prompts as long as there are heads: the axes must not be told apart by their sizes."""
    engine = Engine(tiny("gpt2"), check=False)
    tokens, others = (pad(prompts) for prompts in pairs((HEADS, HEADS)))
    site = Site(kind, 0)
    clean, corrupt = (engine.record(t, [site])[site] for t in (tokens, others))
    where = torch.zeros_like(tokens.mask)
    where[:, 2] = True
    found = patch(corrupt, where, heads_first=kind in ("q", "k", "v", "pattern"))(clean)
    time = 2 if kind in ("q", "k", "v", "pattern") else 1
    for position in range(HEADS):
        source = corrupt if position == 2 else clean
        assert torch.equal(found.select(time, position), source.select(time, position)), position


def test_noise_is_seeded_and_stays_at_its_positions(pair: Pair) -> None:
    where = torch.zeros_like(pair.tokens.mask)
    where[:, -4] = True
    x = pair.engine.embed(pair.tokens)
    one, two = (noise(0.5, where, torch.Generator().manual_seed(3))(x) for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(one[~where], x[~where])
    assert (one[where] - x[where]).std() == pytest.approx(0.5, rel=0.25)


def test_gradients_at_head_outputs_are_node_attribution(pair: Pair) -> None:
    sites = [Site("z", 0), Site("z", 1)]
    gradients = pair.engine.gradients(pair.tokens, read, sites)
    delta = pair.engine.sources(pair.others) - pair.engine.sources(pair.tokens)
    scores = pair.engine.node_attribution(pair.tokens, delta, read)
    mask = pair.tokens.mask[..., None]
    for layer, site in enumerate(sites):
        found = ((gradients[site] * delta.z[layer]).sum(dim=-1) * mask).sum(dim=1).T
        first = layer * (HEADS + 1)
        assert same(found, scores[first : first + HEADS], 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_at_every_kind_of_site_are_directional_derivatives(pair: Pair, kind: str) -> None:
    """In fp32, so with a coarse step along the gradient itself."""
    site = Site(kind, 1)
    gradient = pair.engine.gradients(pair.tokens, read, [site])[site]
    step = 1e-3 / gradient.norm()
    up, down = (pair.engine.tap(pair.tokens, {site: lambda x, s=s: x + s * step * gradient}) for s in (1, -1))
    slope = float((read(up) - read(down)).double().sum() / (2 * step))
    assert slope == pytest.approx(float(gradient.square().sum()), rel=2e-2)
