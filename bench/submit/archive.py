"""The files of a submission, as bytes: from a folder, a .zip or a .tar(.gz). Nothing is unpacked to the disk."""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from bench.explanation import JSON_NAME, SCORES_NAME
from bench.submit import tar
from bench.submit.limits import MAX_ARCHIVE, MAX_FILE, MAX_MEMBERS, MAX_RATIO, MIB, Rejected, shown

ABOUT_NAME = "submission.json"
WANTED = (JSON_NAME, SCORES_NAME, ABOUT_NAME)
IGNORED = ("cell.json", "README.md")
"""Allowed beside them, and never read: what the store keeps with an explanation, and a note."""
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
_NAME = re.compile(r"[\w.+ -]+(/[\w.+ -]+)*/?", re.ASCII)


def read_files(path: Path) -> dict[str, bytes]:
    """The three files by name; raises :class:`Rejected`."""
    if path.is_dir():
        found = dict(_folder(path))
    elif path.name.endswith(SUFFIXES):
        found = _plain(_archive(path), path.name)
    else:
        raise Rejected(path.name, f"is neither a folder nor one of {', '.join(SUFFIXES)}")
    if missing := [name for name in WANTED if name not in found]:
        raise Rejected(path.name, f"lacks {', '.join(missing)}")
    return found


def read_file(path: Path, limit: int = MAX_FILE) -> bytes:
    """A plain file's bytes: no link, no device, no more than ``limit`` of them; raises :class:`Rejected`."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        link = path.is_symlink()
        what = "is a link; only plain files are read" if link else f"cannot be read: {error.strerror}"
        raise Rejected(path.name, what) from error
    info = os.fstat(handle)
    if not stat.S_ISREG(info.st_mode) or info.st_size > limit:
        os.close(handle)
        large = f"has {info.st_size:,} bytes; at most {limit:,} are read"
        raise Rejected(path.name, large if stat.S_ISREG(info.st_mode) else "is no plain file")
    with os.fdopen(handle, "rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise Rejected(path.name, f"has more than {limit:,} bytes")
    return data


def _folder(path: Path) -> Iterator[tuple[str, bytes]]:
    with os.scandir(path) as entries:
        for count, entry in enumerate(entries):
            if count >= MAX_MEMBERS:
                raise Rejected(path.name, f"has more than {MAX_MEMBERS} entries")
            if entry.name in WANTED:
                yield entry.name, read_file(path / entry.name)
            elif entry.name not in IGNORED:
                raise Rejected(f"{path.name}: {shown(entry.name)}", f"does not belong here; there are {_expected()}")


def _archive(path: Path) -> Iterator[tuple[str, bytes | None]]:
    data = read_file(path, MAX_ARCHIVE)
    if path.name.endswith(".zip"):
        return _zipped(data, path.name)
    return tar.members(data if path.name.endswith(".tar") else _gunzip(data, path.name), path.name)


def _gunzip(data: bytes, place: str) -> bytes:
    limit = min(3 * MAX_FILE, max(MAX_RATIO * len(data), MIB))
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            found = stream.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Rejected(place, f"is no gzip file, or damaged: {shown(str(error))}") from error
    if len(found) > limit:
        raise Rejected(place, f"unpacks to more than {limit:,} bytes: too large, or too compressed")
    return found


def _zipped(data: bytes, place: str) -> Iterator[tuple[str, bytes | None]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            if len(infos) > MAX_MEMBERS:
                raise Rejected(place, f"has {len(infos)} members; at most {MAX_MEMBERS} are read")
            for info in infos:
                _check_member(info, f"{place}: {shown(info.orig_filename)}")
                yield info.orig_filename, None if info.is_dir() else _member(archive, info, place)
    except Rejected:
        raise
    except Exception as error:  # whatever the library makes of a damaged archive
        raise Rejected(place, f"is no zip archive, or damaged: {shown(str(error))}") from error


def _check_member(info: zipfile.ZipInfo, place: str) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a symbolic link" if kind == stat.S_IFLNK else "a device, fifo or socket"
        raise Rejected(place, f"is {what}; only plain files and folders are read")
    if info.is_dir() and info.file_size:
        raise Rejected(place, f"is a folder with {info.file_size:,} bytes of its own")
    if info.flag_bits & 1:
        raise Rejected(place, "is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Rejected(place, "is compressed in an unusual way; use deflate, or none")
    if info.file_size > MAX_FILE:
        raise Rejected(place, f"says that it has {info.file_size:,} bytes; at most {MAX_FILE:,} are read")
    if info.file_size > max(MAX_RATIO * info.compress_size, MIB):
        raise Rejected(place, f"is compressed more than {MAX_RATIO} times; store it uncompressed (zip -0)")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: str) -> bytes:
    with archive.open(info) as stream:
        data = stream.read(MAX_FILE + 1)
    if len(data) != info.file_size:
        raise Rejected(f"{place}: {shown(info.orig_filename)}", f"has not the {info.file_size:,} bytes that it says")
    return data


def _plain(found: Iterator[tuple[str, bytes | None]], place: str) -> dict[str, bytes]:
    """The files by name; they may lie in one folder of the archive, and nothing else may."""
    files: dict[str, bytes] = {}
    homes: set[str] = set()
    for raw, content in found:
        name = raw.removeprefix("./")  # what `tar -C folder .` writes
        if not name and content is None:
            continue
        _check_name(name, place)
        if content is None:
            if "/" in name.rstrip("/"):
                raise Rejected(f"{place}: {shown(name)}", "is a folder in a folder")
            if name.rstrip("/") in WANTED:
                raise Rejected(f"{place}: {shown(name)}", "is a folder, and should be a file")
            continue
        home, _, last = name.rpartition("/")
        if last not in (*WANTED, *IGNORED) or "/" in home:
            raise Rejected(f"{place}: {shown(name)}", f"does not belong here; there are {_expected()}")
        if last in files:
            raise Rejected(f"{place}: {shown(name)}", "is there twice")
        files[last] = content
        homes.add(home)
    if len(homes) > 1:
        raise Rejected(place, f"has its files in several folders: {shown(sorted(homes))}")
    return {name: content for name, content in files.items() if name in WANTED}


def _check_name(name: str, place: str) -> None:
    if name.startswith("/"):
        raise Rejected(f"{place}: {shown(name)}", "is an absolute path")
    if not _NAME.fullmatch(name) or any(part.strip(". ") == "" for part in name.rstrip("/").split("/")):
        raise Rejected(f"{place}: {shown(name)}", "is no plain relative path")


def _expected() -> str:
    return f"{', '.join(WANTED)} (and {' and '.join(IGNORED)}, which are not read)"
