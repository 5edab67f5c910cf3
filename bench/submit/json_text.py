"""JSON from strangers: limits are checked on the bytes, before anything is built from them.

Refused besides what is no JSON: more than :data:`limits.MAX_DEPTH` levels, too many values, a key given twice, NaN and
infinities (also by overflow), numbers of more than :data:`limits.MAX_DIGITS` digits. Texts are as they come: half a
surrogate pair passes here.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any

import numpy as np

from bench.submit.limits import MAX_DEPTH, MAX_DIGITS, MAX_FILE, MAX_OPENED, MAX_VALUES, Rejected, shown

_TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
"""Possessive, so that a long text costs no memory for going back."""
_OTHERS = bytes(sorted(set(range(256)) - set(b"[]{}")))
_MAGIC = {b"\x80": "a pickle", b"PK": "a zip archive (torch.save writes those)", b"\x1f\x8b": "gzip data"}


def parse(data: bytes, place: str, nan: bool = False) -> Any:
    """The value in ``data``; ``nan`` lets NaN and infinities pass. Raises :class:`Rejected`."""
    _check_size(data, place)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Rejected(place, f"byte {error.start} is no UTF-8{_hint(data)}") from error
    decoder = json.JSONDecoder(
        object_pairs_hook=_Pairs(place), parse_int=_Numbers(place, nan).integer, parse_float=_Numbers(place, nan).real,
        parse_constant=_Numbers(place, nan).constant,
    )  # fmt: skip
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Rejected(place, f"is no JSON: {error.msg} ({where}){_hint(data)}") from error


def _check_size(data: bytes, place: str) -> None:
    if len(data) > MAX_FILE:
        raise Rejected(place, f"has {len(data):,} bytes; at most {MAX_FILE:,} are read")
    if data.count(b",") + data.count(b":") > 2 * MAX_VALUES or data.count(b'"') > 4 * MAX_VALUES:
        raise Rejected(place, f"has more than {MAX_VALUES:,} values")
    brackets = np.frombuffer(_TEXTS.sub(b"", data).translate(None, _OTHERS), dtype=np.uint8)
    steps = np.where((brackets == ord("[")) | (brackets == ord("{")), 1, -1)
    if int((steps > 0).sum()) > MAX_OPENED:
        raise Rejected(place, f"has more than {MAX_OPENED:,} objects and arrays")
    depth = int(np.cumsum(steps).max(initial=0))
    if depth > MAX_DEPTH:
        raise Rejected(place, f"is nested {depth} deep; at most {MAX_DEPTH} levels are read")


def _hint(data: bytes) -> str:
    found = next((name for magic, name in _MAGIC.items() if data.startswith(magic)), "")
    return f"; it begins like {found}, which is never opened" if found else ""


class _Pairs:
    """An object from its pairs; a key given twice is refused."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
            raise Rejected(self._place, f"the key {shown(twice)} is given twice")
        return found


class _Numbers:
    def __init__(self, place: str, nan: bool) -> None:
        self._place, self._nan = place, nan

    def integer(self, text: str) -> int:
        self._check(text)
        return int(text)

    def real(self, text: str) -> float:
        self._check(text)
        value = float(text)
        if not math.isfinite(value) and not self._nan:
            raise Rejected(self._place, f"the number {shown(text)} is not finite")
        return value

    def constant(self, text: str) -> float:
        if not self._nan:
            raise Rejected(self._place, f"{text} is no JSON number")
        return float(text)

    def _check(self, text: str) -> None:
        if len(text) > MAX_DIGITS:
            raise Rejected(self._place, f"a number has {len(text):,} digits; at most {MAX_DIGITS} are read")
