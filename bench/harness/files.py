"""The only place where the store touches the disk: every write is whole or absent, whenever the process dies.

A file or folder is made under the store's ``tmp``, flushed to the disk, and renamed to its final name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.harness.errors import StoreError

_HINTS = {
    errno.ENOSPC: "the disk is full: make room, then run the same command again; finished cells are kept",
    errno.EDQUOT: "the disk quota is used up: make room, then run the same command again; finished cells are kept",
    errno.ENOENT: "it cannot be made there: choose another with store=PATH",
    errno.EROFS: "the file system is read-only: choose another with store=PATH",
    errno.EACCES: "no permission to write: choose another with store=PATH",
    errno.EPERM: "no permission to write: choose another with store=PATH",
    errno.ENOTDIR: "a file is in the way: choose another with store=PATH",
    errno.EEXIST: "a file is in the way: choose another with store=PATH",
}


@contextlib.contextmanager
def explained(root: Path) -> Iterator[None]:
    """Turn an ``OSError`` inside into a :class:`StoreError` that says what to do."""
    try:
        yield
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, f"{error.strerror or error}")
        raise StoreError(f"cannot write the store {root}: {hint}") from error


def write(path: Path, data: bytes) -> None:
    """Write a new file and flush it to the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync(folder: Path) -> None:
    """Flush a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish_file(data: bytes, scratch: Path, final: Path) -> None:
    """Put ``data`` at ``final`` in one step, over what was there; ``scratch`` is a free name on the same disk."""
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        write(scratch, data)
        os.replace(scratch, final)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
    sync(final.parent)


def publish_folder(contents: Mapping[str, bytes], scratch: Path, final: Path) -> bool:
    """Put a folder of files at ``final`` in one step; False where somebody else was first (theirs stays)."""
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        scratch.mkdir()
        for name, data in contents.items():
            write(scratch / name, data)
        sync(scratch)
        os.rename(scratch, final)
    except OSError as error:
        shutil.rmtree(scratch, ignore_errors=True)
        if final.is_dir() and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    sync(final.parent)
    return True
