"""Templates and words that go together, on tokenizers whose every token is known by construction."""

from __future__ import annotations

import pytest

from bench.task import TaskError
from tasks._common import Encoder
from tasks._common.together import found, repeated, together
from tests.tasks.tokenizers import byte_level, metaspace, word_level_of

WORDS = ["cat", "dog", "pen", "^", "and"]
TIGHT, LOOSE = ("{A}^{B}^", True), ("and {A} and {B} and", False)


def test_a_word_is_repeated_where_it_is_one_token_in_all_slots() -> None:
    encoder = Encoder(word_level_of(WORDS))
    assert repeated(encoder, *("{A}^{B}^", "cat"), glued=True) == encoder.ids("cat")[0]
    assert repeated(encoder, "{A}^{B}^", "cow", glued=True) is None


def test_a_leading_space_makes_another_token() -> None:
    """Letters are tokens of their own, with a space and without; behind ``^`` and in front of it they are the same."""
    encoder = Encoder(byte_level())
    assert repeated(encoder, "{A}^{B}^", "Q", glued=True) == encoder.ids("Q")[0]
    assert repeated(encoder, "{A} {B}^", "Mary", glued=True) is None
    assert repeated(Encoder(metaspace()), "{A}^{B}^", "Mary", glued=True) is None


def test_templates_with_unknown_words_are_out_and_words_fit_all_that_are_kept() -> None:
    encoder = Encoder(word_level_of(WORDS))
    names, words = together(encoder, {"tight": TIGHT, "loose": LOOSE, "or": ("{A} or {B}", False)}, WORDS[:3], 2)
    assert names == ("tight", "loose")
    assert words == ("cat", "dog", "pen")


def test_a_template_that_leaves_too_few_words_is_out() -> None:
    """Verbs are one token only behind a space here; letters are one without a space too."""
    encoder = Encoder(byte_level())
    templates = {"tight": TIGHT, "loose": LOOSE}
    names, words = together(encoder, templates, ["went", "gave", "playing", "Q", "Z"], 3)
    assert (names, set(words)) == (("loose",), {"went", "gave", "playing"})
    names, words = together(encoder, templates, ["went", "Q", "Z"], 2)
    assert (names, set(words)) == (("tight",), {"Q", "Z"})


def test_a_glued_answer_gets_no_space() -> None:
    encoder = Encoder(byte_level())
    assert encoder.answer("and", "gave") == encoder.ids("and gave")[-1]
    with pytest.raises(TaskError, match="'gave' is"):
        encoder.answer("Q^", "gave", glued=True)


def test_the_words_of_slots_are_found_in_a_text() -> None:
    spans = found("Say {A}, {B}.", "Say cat, dog.")
    assert spans == {"A": (4, 7), "B": (9, 12)}
    assert found("Say {A}, {B}.", "Say cat; dog.") is None
    assert found("Say {A}, {B}.", "Say cat, hot dog.") is None
