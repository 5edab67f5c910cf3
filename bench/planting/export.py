"""Planted models as `transformers` directories with a word-level tokenizer: writing one, and reading one back."""

from __future__ import annotations

import json
from pathlib import Path

from bench.planting.architectures import ARCHITECTURES
from bench.planting.model import PlantedModel


def save(model: PlantedModel, vocabulary: list[str], directory: Path) -> None:
    """Write config.json, model.safetensors, tokenizer.json and tokenizer_config.json into `directory`."""
    from safetensors.torch import save_file

    if len(vocabulary) != model.shape.vocab:
        raise ValueError(f"the vocabulary has {len(vocabulary)} words, the model {model.shape.vocab}")
    directory.mkdir(parents=True, exist_ok=True)
    model.config(model.shape).save_pretrained(directory)
    save_file(model.to_state(), directory / "model.safetensors", metadata={"format": "pt"})
    tokenizer(vocabulary).save_pretrained(directory)


def load(directory: Path) -> PlantedModel:
    """Read a shipped directory's weights into a planted model of the architecture that its config.json names."""
    from safetensors.torch import load_file

    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    for cls in ARCHITECTURES.values():
        if cls.model_type == config["model_type"]:
            model = cls(cls.shape_of(config))
            model.load(load_file(directory / "model.safetensors"))
            return model
    raise ValueError(f"{directory} holds a {config['model_type']} model, which is none that is planted")


def tokenizer(vocabulary: list[str]):  # noqa: ANN201 - the class comes from a lazy import
    """A tokenizer of one token per word or punctuation mark; the first two words are padding and unknown."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pad, unknown = vocabulary[:2]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token=unknown))
    core.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token=pad, unk_token=unknown)
