"""Models by directory or hub name, with errors that say what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from bench.engine.architectures import ModelError, architecture_of

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load(
    path_or_id: str | Path,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> tuple[Any, Any]:
    """A causal language model (eager attention) and its tokenizer.

    Raises:
        ModelError: a directory that holds no model, a name the hub does not know or cannot be asked about, an
            architecture outside the table.
    """
    if dtype not in DTYPES:
        raise ModelError(f"unknown dtype {dtype!r}: use one of {', '.join(DTYPES)}")
    name = str(path_or_id)
    if (folder := Path(name)).is_dir() and not (folder / "config.json").is_file():
        raise ModelError(
            f"{name} is no model: it has no config.json; name a directory that save_pretrained wrote, or a hub name"
        )
    options = {"revision": revision, "trust_remote_code": trust_remote_code}
    config = _try(AutoConfig, name, **options)
    architecture_of(config)
    model = _try(AutoModelForCausalLM, name, dtype=DTYPES[dtype], attn_implementation="eager", **options)
    return model.to(device), _try(AutoTokenizer, name, **options)


def _try(loader: Any, name: str, **options: Any) -> Any:
    try:
        return loader.from_pretrained(name, **options)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{loader.__name__} cannot load {name!r}: {reason}") from error
