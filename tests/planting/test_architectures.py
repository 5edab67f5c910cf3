"""Every architecture against transformers, against the benchmark's engine, and against itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from bench.data import Tokens
from bench.engine import Engine
from bench.planting.architectures import build
from bench.planting.evidence.passes import CutPass, reaching
from bench.planting.export import load, save
from bench.planting.model import Cut, PlantedModel, Shape
from tests.planting.toy import spec

SHAPES = {
    "gpt2": Shape(29, 3, 4, 32, 40, 14),
    "llama": Shape(29, 3, 4, 32, 40, 14, "llama"),
    "llama grouped": Shape(29, 3, 4, 32, 40, 14, "llama", 2),
    "llama one group": Shape(29, 3, 4, 32, 40, 14, "llama", 1),
    "neox": Shape(29, 3, 4, 32, 40, 14, "neox"),
    "neox quarter": Shape(29, 3, 4, 32, 40, 14, "neox", rotary=0.25),
}


@pytest.fixture(scope="module", params=SHAPES)
def model(request: pytest.FixtureRequest) -> PlantedModel:
    """Random weights everywhere, biases and norms among them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        out = build(SHAPES[request.param])
        with torch.no_grad():
            for p in out.parameters():
                p.add_(0.2 * torch.randn_like(p))
    return out


@pytest.fixture(scope="module")
def directory(model: PlantedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("planted") / "model"
    save(model, [f"w{i}" for i in range(29)], path)
    return path


def prompts(seed: int) -> torch.Tensor:
    return torch.randint(0, 29, (5, 14), generator=torch.Generator().manual_seed(seed))


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool((a - b).abs().max() <= 1e-5 * b.abs().max())


def test_the_forward_is_the_one_of_transformers(model: PlantedModel, directory: Path) -> None:
    hf, info = AutoModelForCausalLM.from_pretrained(directory, local_files_only=True, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.no_grad():
        for length in (14, 5):
            ids = prompts(0)[:, :length]
            assert close(model(ids).logits, hf(ids).logits[:, -1])
    assert hf.get_input_embeddings().weight.data_ptr() == hf.get_output_embeddings().weight.data_ptr()


def test_the_patterns_are_the_ones_of_transformers(model: PlantedModel, directory: Path) -> None:
    hf = AutoModelForCausalLM.from_pretrained(directory, local_files_only=True, attn_implementation="eager")
    with torch.no_grad():
        expected = hf(prompts(0), output_attentions=True).attentions
        for ours, theirs in zip(model(prompts(0)).patterns, expected, strict=True):
            assert close(ours, theirs)


def test_a_directory_gives_the_weights_and_sizes_back(model: PlantedModel, directory: Path) -> None:
    again = load(directory)
    assert type(again) is type(model)
    assert again.shape == model.shape
    ours, theirs = model.state_dict(), again.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_graph_is_the_engines(model: PlantedModel, directory: Path) -> None:
    graph = Engine.load(directory).graph
    assert tuple(graph.sources) == model.graph.sources
    assert tuple(graph.destinations) == model.graph.destinations
    assert set(graph.edges) == set(model.graph.edges)
    assert ("a1.h0->m1" in model.graph.edges) == (model.shape.arch != "neox")


@pytest.mark.parametrize("share", (0.05, 0.5, 0.95, 1.0))
def test_any_set_of_edges_gives_the_engines_logits(model: PlantedModel, directory: Path, share: float) -> None:
    engine, graph = Engine.load(directory), model.graph
    everything = graph.mask(graph.edges)
    cut = everything * (torch.rand(everything.shape, generator=torch.Generator().manual_seed(7)) < share)
    base, source = (Tokens(ids, torch.ones_like(ids, dtype=torch.bool)) for ids in (prompts(1), prompts(2)))
    with torch.no_grad():
        expected = engine.run_circuit(base, ~cut.bool(), engine.sources(source))
        got = model.masked(base.ids, Cut(model(source.ids).sources[None], cut[None]))
    assert close(got, expected)


def test_cutting_a_node_is_cutting_all_its_edges(model: PlantedModel) -> None:
    nodes = ("a0.h1", "m1", "a2.h3")
    edges = model.graph.mask(e for e in model.graph.edges if e.split("->")[0] in nodes)
    with torch.no_grad():
        corrupt = model(prompts(2)).sources[None]
        places = torch.zeros(corrupt.shape[:-1])
        places[0, [model.graph.sources.index(name) for name in nodes]] = 1.0
        by_edge = model.masked(prompts(1), Cut(corrupt, edges[None]))
        by_node = model.masked(prompts(1), Cut(corrupt, 0 * edges[None], places))
        clean = model(prompts(1)).logits
    assert close(by_node, by_edge)
    assert not close(by_node, clean)


def test_heads_of_a_group_share_keys_and_values_and_nothing_else() -> None:
    model = build(SHAPES["llama grouped"])
    parts = [model.start_parts(1, head) for head in range(4)]
    for part in "kv":
        assert [p[part][0].data_ptr() for p in parts][0::2] == [p[part][0].data_ptr() for p in parts][1::2]
        assert parts[0][part][0].data_ptr() != parts[2][part][0].data_ptr()
    for part in ("q", "out"):
        assert len({p[part][0].data_ptr() for p in parts}) == 4


@pytest.mark.parametrize(
    "sizes, message",
    [
        ({"arch": "gpt2", "n_kv_head": 2}, "only arch='llama'"),
        ({"arch": "llama", "n_kv_head": 3}, "no multiple of n_kv_head"),
        ({"arch": "llama", "rotary": 0.5}, "rotary=0.5"),
        ({"d_model": 30}, "no multiple of n_head"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(sizes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Shape(20, **sizes)


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(ValueError, match="gpt2, llama, neox"):
        build(replace(spec().shape, arch="mamba"))


@pytest.mark.parametrize("share", (0.0, 0.3, 0.9, 0.97))
def test_the_measuring_pass_is_the_masked_one(model: PlantedModel, share: float) -> None:
    """Edges at random, one node replaced at some places, one everywhere; nothing is computed that cannot matter."""
    graph = model.graph
    generator = torch.Generator().manual_seed(11)
    everything = graph.mask(graph.edges)
    edges = everything * (torch.rand(everything.shape, generator=generator) < share)
    some = (torch.rand(5, 14, generator=generator) < 0.3).float()
    columns = {graph.sources.index("a1.h1"): some, graph.sources.index("m0"): None}
    with torch.no_grad():
        corrupt = model(prompts(2)).sources
        nodes = torch.zeros(corrupt.shape[:-1])
        for column, where in columns.items():
            nodes[column] = 1.0 if where is None else where
        expected = model.masked(prompts(1), Cut(corrupt[None], edges[None], nodes[None]))
        assert close(CutPass(model, corrupt, edges, columns)(prompts(1)), expected)
    live = reaching(graph, edges, {graph.sources.index("m0")})
    assert not live[graph.sources.index("m0")]
    assert all(live[1:5]) if share == 0 else not all(live)


def test_only_what_reaches_the_logits_is_computed(model: PlantedModel) -> None:
    graph = model.graph
    kept = {"input->a0.h2<v>", "a0.h2->m1", "m1->logits", "input->m2"}
    live = reaching(graph, graph.mask(e for e in graph.edges if e not in kept), set())
    assert {name for name, on in zip(graph.sources, live, strict=True) if on} == {"input", "a0.h2", "m1"}
