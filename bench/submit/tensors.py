"""The file of scores and tensors: its header is checked here before the library reads it."""

from __future__ import annotations

import math
import re
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from bench.explanation import SCORES_NAME
from bench.submit.json_text import parse
from bench.submit.limits import MAX_FILE, MAX_HEADER, Rejected, shown

TENSOR = "scores"


OTHER = re.compile(r"[0-9]{1,4}\.[a-z_.]{1,40}")
"""What else may be there, in tracks that hand over more than scores: a tensor of one of several featurizers."""
Arrays = dict[str, NDArray[np.float32]]


def read_tensors(data: bytes, others: bool = False, place: str = SCORES_NAME) -> Arrays:
    """The tensors by name, fp32 and finite: ``scores``, ``[n_components]`` or ``[n_components, n_positions]``, and with
    ``others`` vectors and matrices called like ``0.encoder``; raises :class:`Rejected`."""
    if len(data) > MAX_FILE:
        raise Rejected(place, f"has {len(data):,} bytes; at most {MAX_FILE:,} are read")
    shapes = check_header(data, others, place)
    try:
        found = load(data)
    except Exception as error:  # the library's own doubts, in whatever form
        raise Rejected(place, f"cannot be read as safetensors: {shown(str(error))}") from error
    for name, shape in shapes.items():
        _check_values(found[name], shape, f"{place}: {name}")
    return found


def _check_values(tensor: NDArray[np.float32], shape: tuple[int, ...], place: str) -> None:
    if tensor.shape != shape or tensor.dtype != np.float32:
        raise Rejected(place, f"reads as {tensor.dtype} {tensor.shape}, but its header says F32 {shape}")
    bad = np.flatnonzero(~np.isfinite(tensor.reshape(-1)))
    if len(bad):
        row = int(bad[0]) // (tensor.size // len(tensor))
        raise Rejected(place, f"{len(bad)} of {tensor.size} numbers are not finite, the first in row {row}")


def check_header(data: bytes, others: bool, place: str) -> dict[str, tuple[int, ...]]:
    """The shapes that the header declares; refuses all but fp32 tensors that fill the file exactly, ``scores`` and,
    with ``others``, those of :data:`OTHER`."""
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
    more = set(header) - {TENSOR}
    if TENSOR not in header or any(not (others and OTHER.fullmatch(name)) for name in more):
        wanted = f"{TENSOR!r}" + (" and such as '0.encoder'" if others else ": there must be one")
        raise Rejected(f"{place}: header", f"names the tensors {shown(sorted(header))}; known are {wanted}")
    pieces = {name: _piece(info, f"{place}: header: {shown(name)}") for name, info in header.items()}
    end = 0
    for name, (_, start, stop) in sorted(pieces.items(), key=lambda piece: piece[1][1:]):
        if start != end:
            raise Rejected(
                f"{place}: header: {shown(name)}: data_offsets", f"begins at {start:,} where {end:,} is free"
            )
        end = stop
    if end != len(data) - 8 - length:
        raise Rejected(place, f"has {len(data) - 8 - length:,} bytes behind its header, which speaks of {end:,}")
    return {name: shape for name, (shape, *_) in pieces.items()}


def _piece(info: Any, place: str) -> tuple[tuple[int, ...], int, int]:
    """Shape, and where it begins and ends."""
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
    if offsets[1] - offsets[0] != wanted:
        raise Rejected(f"{place}: data_offsets", f"shape {shown(shape)} takes {wanted:,} bytes, not {shown(offsets)}")
    return tuple(shape), offsets[0], offsets[1]


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0
