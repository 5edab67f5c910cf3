"""The counterfactuals against examples written by hand, and the causal model against what it should say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.ioi.causal import IOICausalModel
from tasks.ioi.fillers import NAMES
from tasks.ioi.prompts import COUNTERFACTUALS, Pool, Prompt
from tasks.ioi.templates import TEMPLATES, UNFIT

ABBA = Prompt("went", "Mary", "John", "John", "store", "ring")
BABA = Prompt("went", "Mary", "John", "Mary", "store", "ring")
POOL = Pool(
    ("Mary", "John", "Tom", "Sue", "Ben"),
    {"went": ("store", "park"), "found": ("park",)},
    {"went": ("ring",), "found": ("ball",)},
    ("went", "found"),
    {"went": 15, "found": 16},
)
CAUSAL = IOICausalModel()

BY_HAND = {
    "s2_io_flip": "When Mary and John went to the store, Mary gave a ring to",
    "s1_io_flip": "When John and Mary went to the store, John gave a ring to",
    "s1_io_flip_s2_io_flip": "When John and Mary went to the store, Mary gave a ring to",
}


def make(name: str, prompt: Prompt = ABBA, seed: int = 0) -> Prompt:
    return COUNTERFACTUALS[name](prompt, POOL, np.random.default_rng(seed))


def values(prompt: Prompt) -> dict[str, str]:
    return CAUSAL.values(prompt.a, prompt.b, prompt.s)


def test_the_clean_prompt_reads_as_written_by_hand():
    assert ABBA.text == "When Mary and John went to the store, John gave a ring to"
    assert (ABBA.order, ABBA.answer) == ("ABBA", "Mary")
    assert (BABA.order, BABA.answer) == ("BABA", "John")
    assert ABBA.cluster == BABA.cluster == make("s1_io_flip").cluster


@pytest.mark.parametrize("name", BY_HAND)
def test_flips_read_as_written_by_hand(name):
    assert make(name).text == BY_HAND[name]


def test_flips_change_slot_and_answer_as_they_say():
    assert (make("s2_io_flip").answer, values(make("s2_io_flip"))["D"]) == ("John", "first")
    assert (make("s1_io_flip").answer, values(make("s1_io_flip"))["D"]) == ("Mary", "first")
    both = make("s1_io_flip_s2_io_flip")
    assert (both.answer, values(both)["D"]) == ("John", "second")


@pytest.mark.parametrize("seed", range(20))
def test_abc_says_three_other_names_once_each(seed):
    other = make("abc", seed=seed)
    assert {other.a, other.b, other.s} == {"Tom", "Sue", "Ben"}
    assert (other.answer, other.order, values(other)["D"], values(other)["N"]) == ("", "ABC", "none", "")
    assert (other.template, other.place, other.thing) == ("went", "store", "ring")


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("prompt", [ABBA, BABA])
def test_random_names_keeps_roles_and_everything_else(prompt, seed):
    other = make("random_names", prompt, seed)
    assert not {other.a, other.b} & {"Mary", "John"}
    assert other.order == prompt.order and values(other)["D"] == values(prompt)["D"]
    assert other.text.split(",")[0] == f"When {other.a} and {other.b} went to the store"


@pytest.mark.parametrize("seed", range(20))
def test_random_draws_a_prompt_of_the_same_length_with_other_names(seed):
    other = make("random", seed=seed)
    assert other.template == "went" and not {other.a, other.b} & {"Mary", "John"} and other.answer


PAIRS = st.lists(st.sampled_from(NAMES), min_size=4, max_size=4, unique=True)


@given(PAIRS, st.booleans(), st.booleans())
def test_slot_variables_choose_among_the_base_names_and_the_name_variable_carries_over(drawn, first, source_first):
    a, b, c, d = drawn
    base, source = CAUSAL.values(a, b, a if first else b), CAUSAL.values(c, d, c if source_first else d)
    for variable in ("D", "I"):
        assert CAUSAL.interchange(base, source, variable)["answer"] == (b if source_first else a)
    assert CAUSAL.interchange(base, source, "N")["answer"] == (d if source_first else c)
    assert CAUSAL.interchange(base, base, "D")["answer"] == base["N"]


@given(PAIRS, st.booleans())
def test_restoring_the_inhibited_slot_undoes_the_duplicate_slot(drawn, first):
    a, b, c, d = drawn
    base, source = CAUSAL.values(a, b, a if first else b), CAUSAL.values(c, d, d if first else c)
    changed = CAUSAL.interchange(base, source, "D")
    assert changed["I"] == source["D"] and changed["answer"] != base["N"]
    restored = CAUSAL.interchange(changed, base, "I")
    assert (restored["D"], restored["answer"]) == (source["D"], base["N"])


def test_interchange_by_hand():
    base = values(ABBA)
    assert CAUSAL.interchange(base, values(make("s1_io_flip")), "D")["answer"] == "John"
    assert CAUSAL.interchange(base, values(make("s1_io_flip")), "N")["answer"] == "Mary"
    assert CAUSAL.interchange(base, values(make("s1_io_flip_s2_io_flip")), "I")["answer"] == "Mary"
    assert CAUSAL.interchange(base, values(make("s1_io_flip_s2_io_flip")), "N")["answer"] == "John"
    assert CAUSAL.interchange(base, values(make("abc")), "D")["answer"] == ""
    with pytest.raises(KeyError, match="D, I, N"):
        CAUSAL.interchange(base, base, "X")


def test_every_template_ends_before_the_answer_and_says_each_name_once():
    for name, template in TEMPLATES.items():
        assert template.endswith(" to") and [template.count(f"{{{slot}}}") for slot in "ABS"] == [1, 1, 1]
        assert template.index("{A}") < template.index("{B}") < template.index("{S}")
        assert set(UNFIT.get(name, ())) < {*POOL_FILLERS}


POOL_FILLERS = {word for words in UNFIT.values() for word in words} | {"store"}
