"""A small submission, and ways to put it down."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile

import numpy as np

from bench.explanation import Explanation
from bench.graph import ComponentGraph
from bench.submit import checking

GRAPH = ComponentGraph(2, 2)
ABOUT = checking.About("Jane Doe", "https://example.org/paper", "2025-03-04")


def explanation(level="edge", **changes):
    """Seeded scores of every component of a graph with two layers of two heads."""
    names = GRAPH.names(level)
    scores = np.random.default_rng(0).normal(size=len(names)).astype(np.float32)
    fields = {
        "level": level, "components": names, "scores": scores, "task": "ioi", "task_version": "1", "model": "planted",
        "model_revision": "ab" * 32, "method": "mine[steps=3]", "method_version": "1", "counterfactual": "flip",
    }  # fmt: skip
    return Explanation(**{**fields, **changes})


def files_of(found=None, sums=True, **about):
    """The three files of a submission, by name."""
    import hashlib

    pair = (found or explanation()).files()
    text = {"schema": 1, **vars(ABOUT), **about}
    if sums:
        text["sha256"] = {name: hashlib.sha256(data).hexdigest() for name, data in pair.items()}
    return {**pair, "submission.json": json.dumps(text).encode()}


def put(folder, files):
    """Write files into a new folder."""
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def zipped(files, compression=zipfile.ZIP_DEFLATED, prefix=""):
    """A zip archive of files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(prefix + name, data)
    return stream.getvalue()


def tarred(files, mode="w", prefix="", kind=tarfile.PAX_FORMAT, more=()):
    """A tar archive of files, with ``more`` members of whatever kind behind them."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode, format=kind) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(prefix + name)
            info.size, info.mtime = len(data), 12345.5
            archive.addfile(info, io.BytesIO(data))
        for info in more:
            archive.addfile(info)
    return stream.getvalue()
