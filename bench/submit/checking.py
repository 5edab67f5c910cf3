"""From the files of a submission to an explanation and who stands behind it; every field is checked, and named."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.explanation import JSON_NAME, SCHEMA, SCORES_NAME, Explanation, ExplanationError
from bench.submit.archive import ABOUT_NAME, read_files
from bench.submit.json_text import parse
from bench.submit.limits import LINK, MAX_TEXT, Rejected, shown
from bench.submit.tensors import TENSOR, read_tensors

SPLITS = ("train", "validation")
"""What a method may look at."""
TAKEN = {"circuit": ("node", "edge"), "variable": ("site",)}
"""The levels of each track whose explanations can be handed in."""
MAX_EXTRA = 16 * 1024
"""Characters of ``extra``, as JSON."""
_NAME = r"[A-Za-z][\w.+-]{0,63}"
_LABEL = rf"{_NAME}(\[[\w.,=+-]{{1,150}}\])?"
_COMPONENT = re.compile("[!-~]{1,40}")
_PATTERNS = {
    "task": _NAME, "task_version": r"[\w.+-]{1,40}", "model": rf"({_NAME}/)?{_LABEL}",
    "model_revision": r"[0-9a-f]{7,64}", "method": _LABEL, "method_version": r"[\w.+-]{1,40}",
    "counterfactual": _NAME, "objective": _NAME, "positions": r"[\w.+-]{1,40}(,[\w.+-]{1,40})*",
}  # fmt: skip
_OPTIONAL = {"split": "train", "objective": "logit_diff", "positions": "all", "track": "circuit", "extra": {}}
_KEYS = ("schema", "track", "level", "components", "split", "extra", *_PATTERNS)
_ABOUT_KEYS = ("schema", "author", "link", "date")


@dataclass(frozen=True)
class About:
    """Who stands behind a submission."""

    author: str
    link: str
    date: str
    """Of the method's result, as its author gives it: YYYY-MM-DD."""


@dataclass(frozen=True, eq=False)
class Submission:
    """What was handed in, after every check that needs no model."""

    explanation: Explanation
    about: About
    digest: str
    """SHA-256 over the meaning of it all: the same for a folder, an archive or another order of keys."""

    def same_as(self, other: Submission) -> bool:
        """Whether two submissions mean the same."""
        return self.digest == other.digest


def read(path: Path) -> Submission:
    """The submission in a folder or an archive; raises :class:`Rejected`."""
    files = read_files(path)
    about, sums = _about(parse(files[ABOUT_NAME], ABOUT_NAME))
    for name, wanted in sums.items():
        if hashlib.sha256(files[name]).hexdigest() != wanted:
            raise Rejected(name, f"does not have the SHA-256 that {ABOUT_NAME} gives: changed, or damaged")
    explanation = _explanation(parse(files[JSON_NAME], JSON_NAME), files[SCORES_NAME])
    return Submission(explanation, about, _digest(explanation, about))


def write(folder: Path, explanation: Explanation, about: About) -> None:
    """Write a submission as a new folder, with the sums of the pair; raises ``FileExistsError`` where there is one."""
    files = explanation.files()
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    text = json.dumps({"schema": SCHEMA, **vars(about), "sha256": sums}, indent=1, ensure_ascii=False) + "\n"
    folder.mkdir(parents=True)
    for name, data in {**files, ABOUT_NAME: text.encode()}.items():
        (folder / name).write_bytes(data)


def check_about(found: Any) -> About:
    """Author, link and date of a parsed ``submission.json``; raises :class:`Rejected`."""
    return _about(found)[0]


# -- the two JSON files


def _about(found: Any) -> tuple[About, dict[str, str]]:
    """Author, link and date, and the SHA-256 of the files that have one."""
    found = _object(found, ABOUT_NAME, (*_ABOUT_KEYS, "sha256"), _ABOUT_KEYS)
    _check_schema(found, ABOUT_NAME)
    author = _text(found["author"], f"{ABOUT_NAME}: author", 100)
    link = _text(found["link"], f"{ABOUT_NAME}: link")
    if not LINK.fullmatch(link):
        raise Rejected(f"{ABOUT_NAME}: link", f"{shown(link)} is no http(s) address")
    date = _text(found["date"], f"{ABOUT_NAME}: date", 10)
    try:
        if datetime.date.fromisoformat(date).isoformat() != date:
            raise ValueError
    except ValueError:
        raise Rejected(f"{ABOUT_NAME}: date", f"{shown(date)} is no date; write YYYY-MM-DD") from None
    sums = _object(found.get("sha256", {}), f"{ABOUT_NAME}: sha256", (JSON_NAME, SCORES_NAME), ())
    for name, value in sums.items():
        if not (isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value)):
            raise Rejected(f"{ABOUT_NAME}: sha256: {name}", f"{shown(value)} is no SHA-256")
    return About(author, link, date), sums


def _explanation(meta: Any, scores_file: bytes) -> Explanation:
    required = [key for key in _KEYS if key not in _OPTIONAL]
    meta = {**_OPTIONAL, **_object(meta, JSON_NAME, _KEYS, required)}
    _check_schema(meta, JSON_NAME)
    _one_of(meta["track"], TAKEN, f"{JSON_NAME}: track")
    _one_of(meta["level"], TAKEN[meta["track"]], f"{JSON_NAME}: level")
    _one_of(meta["split"], SPLITS, f"{JSON_NAME}: split")
    for key, pattern in _PATTERNS.items():
        value = _text(meta[key], f"{JSON_NAME}: {key}")
        if not re.fullmatch(pattern, value, re.ASCII):
            raise Rejected(f"{JSON_NAME}: {key}", f"{shown(value)} has characters that are not allowed there")
    meta["components"] = _components(meta["components"])
    _check_extra(meta["extra"])
    tensors = read_tensors(scores_file, meta["track"] != "circuit")
    scores = tensors.pop(TENSOR)
    if len(scores) != len(meta["components"]):
        counts = f"{len(scores):,} rows for {len(meta['components']):,} components"
        raise Rejected(SCORES_NAME, f"has {counts} of {JSON_NAME}")
    axis = 1 if scores.ndim == 1 or meta["positions"] == "all" else scores.shape[1]
    if (scores.ndim == 2) != (meta["positions"] != "all") or axis != len(meta["positions"].split(",")):
        shape = shown(scores.shape)
        raise Rejected(f"{JSON_NAME}: positions", f"{shown(meta['positions'])} does not name the columns of {shape}")
    try:
        return Explanation(scores=scores, tensors=tensors, **meta)
    except ExplanationError as error:
        raise Rejected(JSON_NAME, shown(str(error), 200)) from error


def _components(names: Any) -> tuple[str, ...]:
    place = f"{JSON_NAME}: components"
    if not isinstance(names, list) or not names:
        raise Rejected(place, "is no list of names")
    for index, name in enumerate(names):
        if not isinstance(name, str) or not _COMPONENT.fullmatch(name):
            raise Rejected(f"{place}[{index}]", f"{shown(name)} is no component's name")
    if len(set(names)) != len(names):
        seen: set[str] = set()
        for index, name in enumerate(names):
            if name in seen:
                raise Rejected(f"{place}[{index}]", f"{shown(name)} is named twice")
            seen.add(name)
    return tuple(names)


def _check_extra(extra: Any) -> None:
    place = f"{JSON_NAME}: extra"
    if not isinstance(extra, dict):
        raise Rejected(place, f"is {shown(extra)}, no object")
    if len(json.dumps(extra)) > MAX_EXTRA:
        raise Rejected(place, f"is longer than {MAX_EXTRA:,} characters")
    if "ties" in extra:
        _one_of(extra["ties"], ("random",), f"{place}: ties")


# -- pieces


def _object(found: Any, place: str, known: Collection[str], required: Collection[str]) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise Rejected(place, f"is {shown(found)}, no object")
    if unknown := [key for key in found if key not in known]:
        raise Rejected(place, f"has the unknown key {shown(unknown[0])}; known are {', '.join(known)}")
    if missing := [key for key in required if key not in found]:
        raise Rejected(place, f"lacks {', '.join(missing)}")
    return found


def _check_schema(found: Mapping[str, Any], place: str) -> None:
    if type(found["schema"]) is not int or found["schema"] != SCHEMA:
        raise Rejected(f"{place}: schema", f"is {shown(found['schema'])}; this version reads schema {SCHEMA}")


def _one_of(value: Any, allowed: Collection[str], place: str) -> None:
    if not isinstance(value, str) or value not in allowed:
        raise Rejected(place, f"is {shown(value)}, none of {', '.join(allowed)}")


def _text(value: Any, place: str, limit: int = MAX_TEXT) -> str:
    """A text that can be printed anywhere: no line breaks, no control characters, no halves of surrogate pairs."""
    if not isinstance(value, str):
        raise Rejected(place, f"is {shown(value)}, no text")
    if not value.strip() or value != value.strip() or len(value) > limit or not value.isprintable():
        raise Rejected(place, f"is {shown(value)}; expected 1 to {limit} printable characters on one line")
    return value


def _digest(explanation: Explanation, about: About) -> str:
    order = sorted(range(len(explanation.components)), key=lambda i: explanation.components[i])
    fields = {k: v for k, v in vars(explanation).items() if k not in ("scores", "components", "tensors")}
    fields["tensors"] = {name: list(tensor.shape) for name, tensor in explanation.tensors.items()}
    fields |= {"components": [explanation.components[i] for i in order], "about": vars(about)}
    text = json.dumps(fields, sort_keys=True)
    found = hashlib.sha256(text.encode())
    found.update(explanation.scores[order].astype("<f4").tobytes())
    for name in sorted(explanation.tensors):
        found.update(explanation.tensors[name].astype("<f4").tobytes())
    return found.hexdigest()
