"""What a spec says and what the trainer makes of it: absent positions, positions that differ, names, lanes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.planting.evidence.checks import Checks
from bench.planting.evidence.measure import Measure
from bench.planting.losses import Plan, _cut, attention, ramp
from bench.planting.model import Cut, Shape
from bench.planting.permute import permuted, renaming
from bench.planting.spec import Pairs, PlantSpec, Role, Trial
from bench.planting.start import start
from tests.planting.toy import fresh, spec


class Never(np.random.Generator):
    """Random numbers that are always 0, so that every group is patched locally."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def random(self, *args: object, **kwargs: object) -> np.ndarray:
        return 0 * super().random(*args, **kwargs)


def plan_of(pairs: Pairs, trial: Trial) -> Plan:
    return Plan(torch.arange(len(pairs.base)), [trial], [0.0])


def test_guidance_leaves_out_prompts_without_the_position() -> None:
    asked = spec()
    pairs = fresh(0, 40, {"repeat": 0.5, "name": 0.5})[0]
    model = start(asked, 0)
    with torch.no_grad():
        run = model(torch.cat([pairs.base, pairs.source]))
    found = attention(asked, pairs, run)
    terms = []
    for layer, (start_at, end_at) in ((0, ("AFTER", "SPOT")), (1, ("END", "AFTER"))):
        values = []
        for half in (0, 1):
            for row in range(40):
                a, b = (int(pairs.positions[name][half][row]) for name in (start_at, end_at))
                if min(a, b) >= 0:
                    values.append(float(-run.patterns[layer][half * 40 + row, 0, a, b].log()))
        assert 0 < len(values) < 80
        terms.append(sum(values) / len(values))
    assert float(found) == pytest.approx(sum(terms) / 2, rel=1e-5)


def test_nothing_is_patched_where_a_prompt_lacks_the_position() -> None:
    asked = spec()
    pairs = fresh(0, 20, {"repeat": 0.5, "name": 0.5})[0]
    model = start(asked, 0)
    run = model(torch.cat([pairs.base, pairs.source]))
    cut = _cut(asked, pairs, run, plan_of(pairs, Trial(("a0.h0",), "base", 1.0)), Never())
    column = asked.graph.sources.index("a0.h0")
    after = pairs.positions["AFTER"][0]
    expected = torch.zeros(20, 8)
    for row in range(20):
        if after[row] >= 0:
            expected[row, after[row]] = 1.0
    assert 0 < int(expected.sum()) < 20
    assert torch.equal(cut.nodes[0, column], expected)
    assert float(cut.nodes.sum()) == float(expected.sum())


def shifted(pairs: Pairs) -> Pairs:
    """The same with the source's AFTER one place on."""
    at, there = pairs.positions["AFTER"]
    return replace(pairs, positions=pairs.positions | {"AFTER": (at, torch.where(there < 0, there, there + 1))})


def test_a_local_patch_takes_the_sources_own_position() -> None:
    asked = spec()
    pairs = shifted(fresh(0, 20, {"repeat": 0.5, "name": 0.5})[0])
    model = start(asked, 0)
    at, there = pairs.positions["AFTER"]
    column = asked.graph.sources.index("a0.h0")
    with torch.no_grad():
        run = model(torch.cat([pairs.base, pairs.source]))
        source = model(pairs.source).outs[column]
        cut = _cut(asked, pairs, run, plan_of(pairs, Trial(("a0.h0",), "base", 1.0)), Never())
        for row in range(20):
            if at[row] >= 0:
                assert torch.allclose(cut.corrupt[0, column, row, at[row]], source[row, there[row]], atol=1e-6)
        by_loss = model.masked(pairs.base, Cut(cut.corrupt, 0 * cut.edges, cut.nodes))
        by_evidence = Measure(model, [pairs]).logits(["a0.h0"], places={"a0.h0": "AFTER"})[0]
        clean = model(pairs.base).logits
    assert torch.allclose(by_loss, by_evidence, atol=1e-5)
    lacks = at < 0
    assert torch.allclose(by_evidence[lacks], clean[lacks], atol=1e-5)
    assert not torch.allclose(by_evidence[~lacks], clean[~lacks], atol=1e-3)


def test_measured_norms_and_attention_leave_out_prompts_without_the_position() -> None:
    pairs = fresh(0, 30, {"repeat": 0.5, "name": 0.5})[0]
    m = Measure(start(spec(), 0), [pairs])
    rows = [row for row in range(30) if pairs.positions["AFTER"][0][row] >= 0]
    at, spot = (pairs.positions[name][0] for name in ("AFTER", "SPOT"))
    out, pattern = m.base[0].outs[1], m.base[0].patterns[0]
    assert m.norm("a0.h0", "AFTER") == pytest.approx(np.mean([float(out[r, at[r]].norm()) for r in rows]), rel=1e-5)
    seen = [float(pattern[r, 0, at[r], spot[r]].detach()) for r in rows]
    assert m.attention("a0.h0", "AFTER", "SPOT") == pytest.approx(np.mean(seen), rel=1e-5)


@pytest.mark.parametrize("arch", ("gpt2", "llama", "neox"))
def test_permuted_heads_start_with_the_same_mechanism(arch: str) -> None:
    """Names move, and with them weights: roles keep their layers, and groups of heads stay together."""
    asked = spec(arch)
    others = [permuted(asked, seed) for seed in range(8)]
    assert len({tuple(other.roles) for other in others}) > 1
    for other in others:
        other.check()
        assert list(other.roles.values()) == list(asked.roles.values())
        assert [name.split(".")[0] for name in other.roles] == [name.split(".")[0] for name in asked.roles]
        assert len(set(other.required_edges)) == len(asked.required_edges)
        assert permuted(asked, 3) == permuted(asked, 3)


def test_renaming_is_a_permutation_that_keeps_groups() -> None:
    shape = Shape(10, 3, 8, 32, 32, 10, "llama", 4)
    for seed in range(5):
        rename = renaming(shape, seed)
        for layer in range(3):
            new = [rename(f"a{layer}.h{head}") for head in range(8)]
            assert sorted(new) == sorted(f"a{layer}.h{head}" for head in range(8))
            groups = [int(name.split(".h")[1]) // 2 for name in new]
            assert groups[0::2] == groups[1::2]
    assert rename("m2") == "m2"
    assert rename("input->logits") == "input->logits"
    head = rename("a1.h2")
    assert rename("a0.h1->a1.h2<q>") == f"{rename('a0.h1')}->{head}<q>"


def test_checks_are_renamed_too() -> None:
    rename = renaming(spec().shape, 1)
    asked = replace(spec(), checks=replace(spec().checks, movers=("a1.h0",), circuits={"one": ("a0.h0", "m1")}))
    checks = permuted(asked, 1).checks
    assert checks.movers == (rename("a1.h0"),)
    assert checks.circuits == {"one": (rename("a0.h0"), "m1")}


def test_heads_of_a_group_must_read_the_same_lanes() -> None:
    asked = spec("llama")
    role = Role("required", reads={"q": ("word",), "k": ("before",)})
    with pytest.raises(ValueError, match="a1.h1 and a1.h0 share k|a1.h0 and a1.h1 share k") as error:
        start(replace(asked, roles=asked.roles | {"a1.h1": replace(role, reads={"k": ("word",)})}), 0)
    assert "different groups" in str(error.value)
    start(replace(asked, roles=asked.roles | {"a1.h1": role}), 0)


def test_a_shared_key_is_placed_once() -> None:
    asked = spec("llama")
    both = replace(asked, roles=asked.roles | {"a1.h1": Role("required", reads={"k": ("before",)})})
    assert torch.equal(start(asked, 0).w_k, start(both, 0).w_k)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"roles": {"a7.h0": Role("required")}}, "no node a7.h0"),
        ({"other_edges": ("m1->a0.h0<q>",)}, "no edge m1->a0.h0<q>"),
        ({"trials": (Trial(("m9",), "base", 1.0),)}, "no node m9"),
        ({"lanes": {"word": 4}}, "lane before"),
        ({"groups": 5}, "5 groups"),
        ({"roles": {"m1": Role("required", reads={"q": ("word",)})}}, "m1 reads with mlp"),
        ({"checks": Checks(without=("negative", "backup"))}, "lacks inert"),
        ({"roles": {"m1": Role("inert")}}, "has inert"),
        ({"checks": replace(spec().checks, circuits={"x": ("m0",)})}, "m0, which is not required"),
    ],
)
def test_a_spec_that_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(spec(), **change).check()


def test_a_heads_own_mlp_is_no_reader_in_parallel_blocks() -> None:
    PlantSpec.check(replace(spec("gpt2"), other_edges=("a0.h0->m0",)))
    with pytest.raises(ValueError, match="no edge a0.h0->m0"):
        replace(spec("neox"), other_edges=("a0.h0->m0",)).check()


def test_behaviour_rises_along_the_ramp() -> None:
    asked = replace(spec(), ramp=(0.2, 0.6))
    assert [ramp(asked, x) for x in (0.0, 0.2, 0.4, 0.6, 1.0)] == pytest.approx([0, 0, 0.5, 1, 1])
    assert ramp(replace(asked, ramp=(0.0, 0.0)), 0.0) == 1.0


def test_stages_come_before_the_sampler() -> None:
    def first(rng: np.random.Generator, n: int) -> Pairs:
        return spec().sample(rng, n)

    staged = replace(spec(), stages=((0.3, first),))
    assert staged.sampler(0.0) is first and staged.sampler(0.29) is first
    assert staged.sampler(0.3) is staged.sample
