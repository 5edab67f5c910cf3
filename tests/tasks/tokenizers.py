"""Tokenizers of the kinds that models come with, small and made on the spot."""

from __future__ import annotations

import re
from functools import cache

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tasks.ioi.fillers import (
    NAMES,
    OBJECTS,
    PLACES,
    PLANTED_NAMES,
    PLANTED_OBJECTS,
    PLANTED_PLACES,
    PLANTED_TEMPLATES,
)
from tasks.ioi.templates import TEMPLATES

SPLIT_NAMES = ("Kimberly", "Stephanie", "Alexander")
"""Names that no tokenizer of subwords here has seen, so that they are several tokens."""


@cache
def word_level() -> PreTrainedTokenizerFast:
    """The words of the planted models and ``<unk>``; no leading spaces, nothing added."""
    words = {w for t in PLANTED_TEMPLATES for w in re.findall(r"\w+|[^\w\s]", re.sub(r"\{\w+\}", "", TEMPLATES[t]))}
    return word_level_of([*sorted(words), *PLANTED_NAMES, *PLANTED_PLACES, *PLANTED_OBJECTS])


def word_level_of(words: list[str]) -> PreTrainedTokenizerFast:
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<unk>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>")


@cache
def byte_level(bos: bool = False) -> PreTrainedTokenizerFast:
    """Byte-level BPE, where a word in the middle has its leading space; with ``bos`` it puts ``<s>`` in front."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return _trained(tokenizer, trainers.BpeTrainer(**_training(), initial_alphabet=alphabet), bos)


@cache
def metaspace() -> PreTrainedTokenizerFast:
    """As Llama's: spaces are part of words, one is put before the first, and ``<s>`` in front of it."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=False))
    parts = [pre_tokenizers.Metaspace(prepend_scheme="always"), pre_tokenizers.Punctuation()]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    return _trained(tokenizer, trainers.BpeTrainer(**_training()), bos=True)


def _training() -> dict:
    return {"vocab_size": 6000, "min_frequency": 2, "special_tokens": ["<pad>", "<unk>", "<s>"], "show_progress": False}


def _trained(tokenizer: Tokenizer, trainer: trainers.BpeTrainer, bos: bool) -> PreTrainedTokenizerFast:
    tokenizer.train_from_iterator(_corpus(), trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 2)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="<s>", pad_token="<pad>")


def _corpus() -> list[str]:
    names = [name for name in NAMES if name not in SPLIT_NAMES]
    bare = [re.sub(r"\{\w+\}", "", text) for text in TEMPLATES.values()]
    fillers = [f"{word} said {word} and {word}." for word in (*names, *PLACES, *OBJECTS)]
    return (bare + fillers) * 3
