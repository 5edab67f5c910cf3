"""The scores' file: its header is checked here before the library reads it."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from bench.explanation import SCORES_NAME
from bench.submit.json_text import parse
from bench.submit.limits import MAX_FILE, MAX_HEADER, Rejected, shown

TENSOR = "scores"


def read_scores(data: bytes, place: str = SCORES_NAME) -> NDArray[np.float32]:
    """The scores, ``[n_components]`` or ``[n_components, n_positions]``, fp32 and finite; raises :class:`Rejected`."""
    if len(data) > MAX_FILE:
        raise Rejected(place, f"has {len(data):,} bytes; at most {MAX_FILE:,} are read")
    shape = check_header(data, place)
    try:
        scores = load(data)[TENSOR]
    except Exception as error:  # the library's own doubts, in whatever form
        raise Rejected(place, f"cannot be read as safetensors: {shown(str(error))}") from error
    if scores.shape != shape or scores.dtype != np.float32:
        raise Rejected(place, f"reads as {scores.dtype} {scores.shape}, but its header says F32 {shape}")
    bad = np.flatnonzero(~np.isfinite(scores.reshape(-1)))
    if len(bad):
        row = int(bad[0]) // (scores.size // len(scores))
        raise Rejected(place, f"{len(bad)} of {scores.size} scores are not finite, the first in row {row}")
    return scores


def check_header(data: bytes, place: str) -> tuple[int, ...]:
    """The shape that the header declares; refuses all but one fp32 tensor ``scores`` that fills the file exactly."""
    if len(data) < 8:
        raise Rejected(place, f"has {len(data)} bytes, which is no safetensors file")
    (length,) = struct.unpack("<Q", data[:8])
    if length > MAX_HEADER or 8 + length > len(data):
        raise Rejected(place, f"says that its header has {length:,} bytes: damaged, or no safetensors file")
    header = parse(data[8 : 8 + length], f"{place}: header")
    if not isinstance(header, dict):
        raise Rejected(f"{place}: header", "is no object")
    extra = header.pop("__metadata__", {})
    if not (isinstance(extra, dict) and all(isinstance(value, str) for value in extra.values())):
        raise Rejected(f"{place}: header: __metadata__", "is no object of texts")
    if list(header) != [TENSOR]:
        raise Rejected(f"{place}: header", f"names the tensors {shown(sorted(header))}; there must be one, {TENSOR!r}")
    return _shape(header[TENSOR], len(data) - 8 - length, f"{place}: header: {TENSOR}")


def _shape(info: Any, size: int, place: str) -> tuple[int, ...]:
    if not isinstance(info, dict) or set(info) != {"dtype", "shape", "data_offsets"}:
        raise Rejected(place, "needs exactly dtype, shape and data_offsets")
    if info["dtype"] != "F32":
        raise Rejected(f"{place}: dtype", f"is {shown(info['dtype'])}; scores are F32")
    shape, offsets = info["shape"], info["data_offsets"]
    if not (isinstance(shape, list) and len(shape) in (1, 2) and all(_is_count(n) and n > 0 for n in shape)):
        raise Rejected(f"{place}: shape", f"is {shown(shape)}; expected [components] or [components, positions]")
    if not (isinstance(offsets, list) and len(offsets) == 2 and all(_is_count(n) for n in offsets)):
        raise Rejected(f"{place}: data_offsets", f"is {shown(offsets)}; expected two numbers")
    wanted = 4 * math.prod(shape)
    if offsets != [0, wanted] or size != wanted:
        raise Rejected(
            f"{place}: data_offsets",
            f"shape {shown(shape)} takes bytes 0 to {shown(wanted)}; declared are {shown(offsets)}, there are {size:,}",
        )
    return tuple(shape)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0
