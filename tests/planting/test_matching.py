"""First weights that match: what the heads look for and copy before any training, and what does not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from bench.planting.matching import Codes, matched
from bench.planting.model import PlantedModel, Shape
from bench.planting.spec import Pairs, PlantSpec, Role
from bench.planting.start import start

VOCABULARY, LENGTH = 20, 6
LANES = {"seen": 6, "told": 6, "gate": 2, "word": 12}
CODES = Codes(6, compare=3.0, free=("gate",))
FINDER, TELLER = "a1.h2", "a0.h1"


def nothing(rng: np.random.Generator, n: int) -> Pairs:
    raise AssertionError("nobody samples here")


def spec(arch: str = "llama", **changes: object) -> PlantSpec:
    """A head that tells every place its own word, in code, and a head that looks there for END's word."""
    word = ("word",)
    roles = {
        TELLER: Role("required", None, None, None, ("told",), {"q": word, "k": word, "v": word}),
        FINDER: Role("required", None, None, None, word, {"q": word, "k": ("told", "gate"), "v": word}),
    }
    shape = Shape(VOCABULARY, 2, 4, 64, 16, 8, arch, 2 if arch == "llama" else None)
    return replace(PlantSpec("toy", shape, roles, (), (), (), nothing, LANES, "word"), **changes)


def scores(model: PlantedModel, name: str, asked: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """What a head's queries and keys make of streams [n, d] and [m, d], positions aside; [n, m]."""
    layer, head = (int(part[1:]) for part in name.split("."))
    parts = model.start_parts(layer, head)
    return (asked @ parts["q"][0]) @ (there @ parts["k"][0]).T


@pytest.mark.parametrize("arch", ["llama", "gpt2", "neox"])
def test_a_head_finds_the_word_that_another_has_told(arch: str) -> None:
    with torch.no_grad():
        model = matched(spec(arch), CODES, 0)
        words = normalize(model.wte, dim=1)
        parts = model.start_parts(0, 1)
        told = normalize(words @ parts["v"][0] @ parts["out"][0], dim=1)
        found = scores(model, FINDER, words, told)
        plain = scores(start(spec(arch), 0), FINDER, words, told)
    assert (found.argmax(1) == torch.arange(VOCABULARY)).float().mean() >= 0.9
    assert (plain.argmax(1) == torch.arange(VOCABULARY)).float().mean() <= 0.5


def test_a_head_that_reads_and_writes_words_says_the_word() -> None:
    with torch.no_grad():
        model = matched(spec(), CODES, 1)
        parts = model.start_parts(1, 2)
        said = model.wte @ parts["v"][0] @ parts["out"][0] @ model.wte.T
    assert (said.argmax(1) == torch.arange(VOCABULARY)).float().mean() >= 0.9


@pytest.mark.parametrize("role, sign", [("required", 1), ("backup", 1), ("negative", -1)])
def test_roles_speak_for_or_against(role: str, sign: int) -> None:
    plan = spec()
    plan = replace(plan, roles={**plan.roles, FINDER: replace(plan.roles[FINDER], role=role)})
    with torch.no_grad():
        model = matched(plan, CODES, 2)
        parts = model.start_parts(1, 2)
        own = (model.wte @ parts["v"][0] @ parts["out"][0] * model.wte).sum(1)
    assert bool((own * sign > 0).all())


def test_a_word_as_key_and_query_alone_is_no_comparison() -> None:
    """Heads that look by place read the word lane with both; comparing would make them look at their own word."""
    with torch.no_grad():
        model, plain = matched(spec(), CODES, 3), start(spec(), 3)
    for part in "qk":
        assert torch.equal(model.start_parts(0, 1)[part][0], plain.start_parts(0, 1)[part][0])


def test_what_is_compared_apart_does_not_meet() -> None:
    """Asking for a word with the one pair of lanes finds nothing where the word stands in the other pair's."""
    with torch.no_grad():
        model = matched(spec(roles=two_questions()), replace(CODES, second=("seen", "told")), 0)
        words = normalize(model.wte, dim=1)
        parts = model.start_parts(0, 1)
        told = normalize(words @ parts["v"][0] @ parts["out"][0], dim=1)
        same, across = scores(model, FINDER, words, words), scores(model, FINDER, words, told)
    assert float(across.diag().mean().abs()) < 0.2 * float(same.diag().mean())


def two_questions() -> dict[str, Role]:
    """A head that asks for END's word among words and, with a lane that holds nothing yet, among what is told."""
    roles = dict(spec().roles)
    reads = {"q": ("word", "seen"), "k": ("word", "told"), "v": ("word",)}
    return {**roles, FINDER: replace(roles[FINDER], reads=reads)}


def test_the_same_seed_gives_the_same_weights_and_leaves_the_callers_random_numbers() -> None:
    torch.manual_seed(5)
    first = torch.rand(3)
    torch.manual_seed(5)
    one, other = matched(spec(), CODES, 4), matched(spec(), CODES, 5)
    assert torch.equal(torch.rand(3), first)
    again = matched(spec(), CODES, 4).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in one.state_dict().items())
    assert not torch.equal(one.wte, other.wte)


def test_places_start_in_a_lane_of_their_own() -> None:
    lanes = {**LANES, "place": 10}
    with torch.no_grad():
        model = matched(spec("gpt2", lanes=lanes), replace(CODES, place="place"), 0)
        words, places = model.embeddings()
        shared = normalize(words, dim=1) @ normalize(places, dim=1).T
    assert float(shared.abs().max()) < 0.1


@pytest.mark.parametrize(
    "lanes, codes, what",
    [
        ({**LANES, "told": 5}, CODES, "lane told is 5 wide, codes 6"),
        (LANES, replace(CODES, width=9, second=("told",), free=(*LANES,)), "heads have 16 dimensions, too few for 18"),
        ({"seen": 6, "told": 6, "gate": 2, "word": 20}, CODES, "heads have 16 dimensions, too few for 20"),
    ],
)
def test_lanes_that_do_not_fit_are_refused(lanes: dict[str, int], codes: Codes, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        matched(spec(lanes=lanes), codes, 0)
