"""The planted model's forward and its masked pass, against transformers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bench.planting.export import load, save
from bench.planting.model import Cut, PlantedModel
from bench.planting.spec import Pairs
from bench.planting.start import start
from tasks.ioi.plant import spec
from tasks.ioi.plant_prompts import sample, vocabulary


@pytest.fixture(scope="module")
def model() -> PlantedModel:
    out = start(spec(), 0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in out.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
    return out


@pytest.fixture(scope="module")
def directory(model: PlantedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("planted") / "model"
    save(model, vocabulary(), path)
    return path


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    return sample(np.random.default_rng(0), 24)


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool((a - b).abs().max() <= 1e-5 * b.abs().max())


def test_the_forward_is_the_one_of_transformers(model: PlantedModel, directory: Path, pairs: Pairs) -> None:
    hf = AutoModelForCausalLM.from_pretrained(directory, local_files_only=True)
    with torch.no_grad():
        assert close(model(pairs.base).logits, hf(pairs.base).logits[:, -1])
        assert torch.equal(load(directory)(pairs.base).logits, model(pairs.base).logits)


def test_the_model_is_small(model: PlantedModel) -> None:
    assert sum(p.numel() for p in model.parameters()) < 500_000
    assert len(model.graph.edges) == 1108
    assert len(model.graph.nodes) == 30


def test_the_tokenizer_reads_the_prompts_of_the_sampler(directory: Path, pairs: Pairs) -> None:
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    words = vocabulary()
    for ids in pairs.base.tolist():
        text = " ".join(words[i] for i in ids).replace(" ,", ",").replace(" .", ".")
        assert tokenizer(text)["input_ids"] == ids
    assert tokenizer(" Mary")["input_ids"] == [words.index("Mary")]
    assert tokenizer.pad_token_id == 0


def masked(
    model: PlantedModel, pairs: Pairs, edges: torch.Tensor, groups: int = 4, nodes: object = None
) -> torch.Tensor:
    with torch.no_grad():
        sources = model(pairs.source).sources
        corrupt = sources.unflatten(1, (groups, -1)).transpose(0, 1)
        cut = None if nodes is None else torch.zeros(corrupt.shape[:-1])
        for name in nodes or ():
            cut[:, model.graph.sources.index(name)] = 1.0
        return model.masked(pairs.base, Cut(corrupt, edges.expand(groups, -1, -1), cut))


def test_no_cut_is_the_clean_run_and_every_cut_the_corrupt_one(model: PlantedModel, pairs: Pairs) -> None:
    everything = model.graph.mask(model.graph.edges)
    with torch.no_grad():
        assert close(masked(model, pairs, 0 * everything), model(pairs.base).logits)
        assert close(masked(model, pairs, everything), model(pairs.source).logits)


def test_cutting_a_node_is_cutting_all_its_edges(model: PlantedModel, pairs: Pairs) -> None:
    edges = model.graph.mask([e for e in model.graph.edges if e.startswith(("a1.h2->", "m3->"))])
    by_node = masked(model, pairs, 0 * edges, nodes=("a1.h2", "m3"))
    assert close(masked(model, pairs, edges), by_node)
    assert not close(by_node, model(pairs.base).logits.detach())


def test_cutting_an_edge_is_patching_one_input(model: PlantedModel, directory: Path, pairs: Pairs) -> None:
    """a0.h1->m3, with hooks on transformers' own modules in place of the masked pass."""
    hf = AutoModelForCausalLM.from_pretrained(directory, local_files_only=True)
    block = hf.transformer.h
    column = model.graph.sources.index("a0.h1")
    with torch.no_grad():
        delta = model(pairs.source).sources[column] - model(pairs.base).sources[column]
        handle = block[3].ln_2.register_forward_pre_hook(lambda _, args: (args[0] + delta,))
        expected = hf(pairs.base).logits[:, -1]
        handle.remove()
    assert close(masked(model, pairs, model.graph.mask(["a0.h1->m3"])), expected)


def test_groups_do_not_matter(model: PlantedModel, pairs: Pairs) -> None:
    edges = model.graph.mask(model.graph.edges[::3])
    assert close(masked(model, pairs, edges, 1), masked(model, pairs, edges, 6))
