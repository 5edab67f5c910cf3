"""Writing a planted model as a `transformers` directory with a word-level tokenizer."""

from __future__ import annotations

from pathlib import Path

from bench.planting.model import PlantedModel, to_state


def save(model: PlantedModel, vocabulary: list[str], directory: Path) -> None:
    """Write config.json, model.safetensors, tokenizer.json and tokenizer_config.json into `directory`."""
    from safetensors.torch import save_file
    from transformers import GPT2Config

    shape = model.shape
    config = GPT2Config(
        vocab_size=shape.vocab,
        n_positions=shape.n_positions,
        n_embd=shape.d_model,
        n_layer=shape.n_layer,
        n_head=shape.n_head,
        n_inner=shape.d_mlp,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
        architectures=["GPT2LMHeadModel"],
        dtype="float32",
    )
    directory.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(directory)
    save_file(to_state(model), directory / "model.safetensors", metadata={"format": "pt"})
    tokenizer(vocabulary).save_pretrained(directory)


def tokenizer(vocabulary: list[str]):  # noqa: ANN201 - the class comes from a lazy import
    """A tokenizer of one token per word or punctuation mark; the first two words are padding and unknown."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pad, unknown = vocabulary[:2]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token=unknown))
    core.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token=pad, unk_token=unknown)
