"""Seeded mutants of a good submission: what is done to it, and what has to become of it.

Each function takes a generator and a free path and puts one mutant there; it gives the path. ``EQUAL`` mutants mean the
same as the original, ``REJECTED`` ones must be refused, and ``EITHER`` may be one or the other, but nothing else.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import lzma
import os
import pickle
import struct
import tarfile
import zipfile

import numpy as np

from tests.submit.samples import explanation, files_of, put, tarred, zipped

EQUAL, REJECTED, EITHER = "equal", "rejected", "either"
MUTANTS = {}
EXPLANATION, SCORES, ABOUT = "explanation.json", "scores.safetensors", "submission.json"
PAIR, ALL = (EXPLANATION, SCORES), (EXPLANATION, SCORES, ABOUT)
WRONG = [
    None,
    True,
    -1,
    0,
    1e300,
    "",
    " ",
    "x" * 1000,
    "a\nb",
    "\ud800",
    "\x00",
    [],
    [[]],
    [None],
    {"a": {}},
    ["x"],
    7.5,
]
RAW = ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "1" + "0" * 60, '"\\ud800"', "[" * 5000, '{"a":' * 3000,
       "'x'", "undefined", "0x10", "01", '"open', "[1,]", "\x00", "-", "1.", "True"]  # fmt: skip
MARKER = "executed"


class Evil:
    """What a pickle could do: make a file."""

    def __reduce__(self):
        return (os.system, (f"touch {MARKER}",))


def mutant(expected):
    def register(function):
        MUTANTS[function.__name__] = (function, expected)
        return function

    return register


@functools.cache
def original():
    """The files of the original, with the sums of the pair, and without."""
    return files_of(), files_of(sums=False)


def pick(rng, options):
    return options[int(rng.integers(len(options)))]


def changed(path, name, data, sums=False):
    """The original with one file's bytes changed; with ``sums`` those of the original stay."""
    return put(path, {**original()[0 if sums else 1], name: data})


def spot(rng, data):
    return int(rng.integers(len(data)))


# -- bytes


@mutant(REJECTED)
def truncated(rng, path):
    name = pick(rng, ALL)
    data = original()[0][name]
    return changed(path, name, data[: spot(rng, data.rstrip())], sums=True)


@mutant(REJECTED)
def flipped(rng, path):
    name = pick(rng, PAIR)
    data = bytearray(original()[0][name])
    data[spot(rng, data)] ^= 1 << int(rng.integers(8))
    return changed(path, name, bytes(data), sums=True)


@mutant(REJECTED)
def inserted(rng, path):
    name = pick(rng, PAIR)
    data = original()[0][name]
    at = spot(rng, data)
    return changed(path, name, data[:at] + rng.bytes(int(rng.integers(1, 50))) + data[at:], sums=True)


@mutant(REJECTED)
def noise(rng, path):
    return changed(path, pick(rng, ALL), rng.bytes(int(rng.integers(0, 5000))))


@mutant(REJECTED)
def pickled(rng, path):
    evil = pickle.dumps(Evil(), protocol=int(rng.integers(0, 6)))
    return changed(path, pick(rng, ALL), pick(rng, [evil, zipped({"archive/data.pkl": evil}), gzip.compress(evil)]))


@mutant(REJECTED)
def other_encoding(rng, path):
    name = pick(rng, (EXPLANATION, ABOUT))
    text = original()[1][name].decode()
    return changed(path, name, text.encode(pick(rng, ["utf-16", "utf-32", "utf-8-sig"])))


@mutant(REJECTED)
def too_large(rng, path):
    put(path, original()[1])
    with open(path / pick(rng, ALL), "r+b") as stream:  # a hole: it takes no room on the disk
        stream.truncate(int(rng.integers(65, 5000)) * 2**20)
    return path


@functools.cache
def many(kind):
    return {"values": b"[" + b"0," * 5_000_000 + b"0]", "opened": b"[" + b"[]," * 400_000 + b"0]",
            "texts": b"[" + b'"",' * 3_000_000 + b"0]", "spaces": b" " * 30_000_000 + b"{}",
            "quotes": b'"' * 9_000_000, "escapes": b'"' + b"\\\\" * 9_000_000, "deep": b"[" * 2_000_000,
            "names": json.dumps({"components": [f"a{i}" for i in range(500_000)]}).encode()}[kind]  # fmt: skip


@mutant(REJECTED)
def huge(rng, path):
    kind = pick(rng, ["values", "opened", "texts", "spaces", "quotes", "escapes", "deep", "names"])
    return changed(path, pick(rng, (EXPLANATION, ABOUT)), many(kind))


# -- JSON


def rewritten(path, name, change):
    """The original with a changed object in one of its JSON files."""
    found = json.loads(original()[1][name])
    change(found)
    return changed(path, name, json.dumps(found).encode())


@mutant(REJECTED)
def wrong_type(rng, path):
    name = pick(rng, (EXPLANATION, ABOUT))
    key = pick(rng, sorted(json.loads(original()[1][name])))
    return rewritten(path, name, lambda found: found.update({key: pick(rng, WRONG)}))


@mutant(REJECTED)
def raw_literal(rng, path):
    name = pick(rng, (EXPLANATION, ABOUT))
    found = json.loads(original()[1][name])
    key = pick(rng, sorted(found))
    data = json.dumps({**found, key: "@@"}).replace('"@@"', pick(rng, RAW))
    return changed(path, name, data.encode())


@mutant(REJECTED)
def deep(rng, path):
    depth = int(rng.integers(20, 20000))
    open_, close = pick(rng, [("[", "]"), ('{"a":', "}")])
    data = original()[1][EXPLANATION].replace(
        b'"extra": {}', b'"extra": {"a":%s1%s}' % (open_.encode() * depth, close.encode() * depth)
    )
    return changed(path, EXPLANATION, data)


@mutant(REJECTED)
def unknown_key(rng, path):
    name = pick(rng, (EXPLANATION, ABOUT))
    return rewritten(path, name, lambda found: found.update({pick(rng, ["scores", "__class__", "", "Author"]): "1"}))


@mutant(REJECTED)
def lacking_key(rng, path):
    name = pick(rng, (EXPLANATION, ABOUT))
    optional = ("split", "objective", "positions", "track", "extra")
    keys = sorted(set(json.loads(original()[1][name])) - set(optional))
    return rewritten(path, name, lambda found: found.pop(pick(rng, keys)))


@mutant(REJECTED)
def twice(rng, path):
    name = pick(rng, (EXPLANATION, ABOUT))
    found = json.loads(original()[1][name])
    key = pick(rng, sorted(found))
    data = original()[1][name].rstrip()
    return changed(path, name, data[:-1] + b", %s: %s}" % (json.dumps(key).encode(), json.dumps(found[key]).encode()))


@mutant(REJECTED)
def names(rng, path):
    def change(found):
        components = found["components"]
        at = spot(rng, components)
        how = int(rng.integers(5))
        if how == 0:
            components.append("a9.h9->m9")
        elif how == 1:
            components.pop(at)
        elif how == 2:
            components[at] = components[at - 1]
        elif how == 3:
            components[at] = pick(rng, WRONG)
        else:
            components[at] = "a" * 10_000

    return rewritten(path, EXPLANATION, change)


@mutant(REJECTED)
def wrong_sum(rng, path):
    about = json.loads(original()[0][ABOUT])
    about["sha256"][pick(rng, PAIR)] = pick(rng, [hashlib.sha256(b"").hexdigest(), "", None, "z" * 64, 1, []])
    return changed(path, ABOUT, json.dumps(about).encode())


@mutant(EQUAL)
def same_json(rng, path):
    """Other white space and order of keys; optional keys left out, which have their defaults."""
    found = json.loads(original()[1][EXPLANATION])
    keys = [str(key) for key in rng.permutation(sorted(found))]
    kept = [k for k in keys if k not in ("split", "objective", "positions", "track", "extra") or rng.random() < 0.5]
    text = json.dumps({key: found[key] for key in kept}, indent=pick(rng, [None, 0, 3, "\t"]), ensure_ascii=False)
    return changed(path, EXPLANATION, text.encode())


@mutant(EQUAL)
def other_order(rng, path):
    """The components in another order, the scores with them."""
    first = explanation()
    order = rng.permutation(len(first.components))
    moved = explanation(components=tuple(first.components[i] for i in order), scores=first.scores[order])
    return put(path, files_of(moved))


# -- tensors


def tensors(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def parts():
    data = original()[1][SCORES]
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


@mutant(REJECTED)
def tensor_header(rng, path):
    header, data = parts()
    info = header["scores"]
    key = pick(rng, sorted(info))
    values = {
        "dtype": ["F16", "F64", "I64", "U8", "BF16", "f32", None, 1, "", []],
        "shape": [[], [0], [-1], [1], [len(data) // 8, 2], [len(data) // 4, 1, 1], [2**62, 4],
                  [1.5], None, "4", [True]],
        "data_offsets": [[0], [], [4, len(data)], [0, len(data) + 4], [0, 2**64], [-4, len(data)],
                         [len(data), 0], None],
    }  # fmt: skip
    info[key] = pick(rng, values[key])
    return changed(path, SCORES, tensors(header, data))


@mutant(REJECTED)
def tensor_names(rng, path):
    header, data = parts()
    other = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    headers = [{}, {"score": header["scores"]}, {**header, "more": other}, {**header, "__metadata__": {"a": 1}}, []]
    headers += [header["scores"], b"", b"{", b"null", b"[" * 9000, json.dumps(header).encode()[:-1] + b', "scores": 1}']
    return changed(path, SCORES, tensors(pick(rng, headers), data))


@mutant(REJECTED)
def tensor_length(rng, path):
    data = original()[1][SCORES]
    length = pick(rng, [0, 1, 7, 2**64 - 1, 2**63, len(data), len(data) - 8, 2**31, int(rng.integers(2**63))])
    return changed(path, SCORES, struct.pack("<Q", length) + data[8:])


@mutant(REJECTED)
def tensor_size(rng, path):
    data = original()[1][SCORES]
    return changed(path, SCORES, pick(rng, [data + b"\0", data + data, data[:-4], data[:-1], data[:8], data[:4], b""]))


@mutant(REJECTED)
def not_finite(rng, path):
    header, data = parts()
    scores = np.frombuffer(data, dtype="<f4").copy()
    scores[spot(rng, scores)] = pick(rng, [np.nan, np.inf, -np.inf])
    return changed(path, SCORES, tensors(header, scores.tobytes()))


@mutant(EQUAL)
def tensor_metadata(rng, path):
    header, data = parts()
    text = json.dumps({"__metadata__": {"made": "by hand"}, **header}).encode()
    return changed(path, SCORES, tensors(text + b" " * int(rng.integers(64)), data))


# -- folders


@mutant(REJECTED)
def linked(rng, path):
    name = pick(rng, ALL)
    put(path, original()[1])
    (path / name).rename(path.with_name(f"{path.name}-{name}"))
    (path / name).symlink_to(
        pick(rng, [path.with_name(f"{path.name}-{name}"), "/etc/passwd", name, "/dev/zero", "nowhere"])
    )
    return path


@mutant(REJECTED)
def no_file(rng, path):
    name = pick(rng, ALL)
    put(path, original()[1])
    (path / name).unlink()
    (os.mkfifo if rng.random() < 0.5 else os.mkdir)(path / name)
    return path


@mutant(REJECTED)
def other_files(rng, path):
    put(path, original()[1])
    if rng.random() < 0.5:
        (path / pick(rng, ALL)).unlink()
    else:
        (path / pick(rng, ["setup.py", "conftest.py", ".explanation.json", "a\nb", "sco\u202ares"])).write_bytes(b"")
    return path


# -- archives


def archive(path, suffix, data):
    path = path.with_name(path.name + suffix)
    path.write_bytes(data)
    return path


@mutant(EQUAL)
def packed(rng, path):
    prefix = pick(rng, ["", "mine/", "./"])
    files = {**original()[0], "README.md": b"hello"}
    kind = pick(rng, [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
    how = int(rng.integers(4))
    if how == 0:
        return archive(path, ".zip", zipped(files, pick(rng, [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED]), prefix))
    if how == 1:
        return archive(path, ".tar", tarred(files, prefix=prefix, kind=kind))
    data = tarred(files, prefix=prefix, kind=kind)
    if how == 2:
        return archive(path, ".tgz", gzip.compress(data))
    half = len(data) // 2
    return archive(path, ".tar.gz", gzip.compress(data[:half]) + gzip.compress(data[half:]))


@mutant(REJECTED)
def packed_badly(rng, path):
    """Names that lead elsewhere, files that are there twice or too often, unusual compression."""
    files = original()[0]
    name = pick(rng, ["../explanation.json", "/explanation.json", "a/../../explanation.json", "a\\explanation.json",
                      "C:/explanation.json", "a/b/explanation.json", "explanation.json/", "..", "evil.py",
                      "a/./explanation.json", "~/explanation.json", "caf\u00e9/explanation.json",
                      "a\nb/explanation.json"])  # fmt: skip
    moved = {(name if key == EXPLANATION else key): data for key, data in files.items()}
    bad = [
        moved,
        {**files, name: b"{}"},
        {**files, **{f"f{i}": b"" for i in range(40)}},
        {"a/" + EXPLANATION: b"{}", **files},
    ]
    chosen = pick(rng, bad)
    how = int(rng.integers(4))
    if how == 0:
        return archive(path, ".zip", zipped(files, pick(rng, [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])))
    if how == 1:
        return archive(path, ".zip", zipped(chosen))
    return archive(path, ".tar" if how == 2 else ".tar.gz", tarred(chosen, "w" if how == 2 else "w:gz"))


@mutant(REJECTED)
def packed_links(rng, path):
    files = dict(original()[0])
    name = pick(rng, ALL)
    content = files.pop(name)
    if rng.random() < 0.4:
        info = zipfile.ZipInfo(name)
        info.external_attr = pick(rng, [0o120777, 0o020666, 0o060666, 0o010666, 0o140666]) << 16
        stream = io.BytesIO(zipped(files))
        with zipfile.ZipFile(stream, "a") as opened:
            opened.writestr(info, pick(rng, [b"/etc/passwd", content]))
        return archive(path, ".zip", stream.getvalue())
    info = tarfile.TarInfo(name)
    info.type = pick(rng, [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"])
    info.linkname = "/etc/passwd"
    return archive(path, ".tar", tarred(files, more=[info]))


@mutant(REJECTED)
def tar_headers(rng, path):
    """A header that says something else than it should, with the right checksum."""
    data = bytearray(tarred(original()[0], kind=tarfile.USTAR_FORMAT))
    field, value = pick(rng, [
        (slice(124, 136), b"\xff" * 12), (slice(124, 136), b"\x80" + b"\0" * 10 + b"\1"),
        (slice(124, 136), b"-0000000001\0"), (slice(124, 136), b"77777777777\0"),
        (slice(124, 136), b"            "), (slice(124, 136), b"0x000000010\0"),
        (slice(156, 157), b"S"), (slice(156, 157), b"L"), (slice(156, 157), b"K"), (slice(156, 157), b"g"),
        (slice(156, 157), b"x"), (slice(0, 3), b"../"), (slice(0, 1), b"/"), (slice(0, 1), b"\xff"),
        (slice(0, 1), b"\0"),
    ])  # fmt: skip
    data[field] = value
    data[148:156] = b"        "
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return archive(path, ".tar", bytes(data))


@mutant(REJECTED)
def pax_path(rng, path):
    files = dict(original()[0])
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as opened:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.pax_headers = {pick(rng, ["path", "linkpath", "size", "GNU.sparse.map", "GNU.sparse.size"]): "1"}
            opened.addfile(info, io.BytesIO(data))
    return archive(path, ".tar", stream.getvalue())


@functools.cache
def bombs():
    zeros = bytes(60 * 2**20)
    files = original()[0]
    return [
        (".zip", zipped({**files, EXPLANATION: zeros})), (".zip", zipped({**files, "README.md": zeros})),
        (".zip", zipped({f"{i}": b"" for i in range(20_000)})), (".tgz", gzip.compress(zeros * 5)),
        (".tar.gz", tarred({**files, SCORES: zeros}, "w:gz")), (".tgz", gzip.compress(gzip.compress(zeros))),
        (".zip", zipped({"a.zip": zipped({EXPLANATION: zeros})})), (".tar", lzma.compress(zeros)),
        (".tgz", gzip.compress(tarred({f"{i}": b"" for i in range(9000)}))),
    ]  # fmt: skip


@mutant(REJECTED)
def bomb(rng, path):
    return archive(path, *pick(rng, bombs()))


@mutant(REJECTED)
def lying_zip(rng, path):
    """Sizes, flags and methods in the central directory that do not fit what is there."""
    data = bytearray(zipped(original()[0]))
    at = data.index(b"PK\x01\x02")
    offset, value = pick(
        rng, [(24, 2**31), (24, 5), (20, 5), (8, 1), (10, 99), (10, 12), (42, 2**31), (24, 0), (16, 1)]
    )
    struct.pack_into("<H" if offset in (8, 10) else "<I", data, at + offset, value)
    return archive(path, ".zip", bytes(data))


@mutant(EITHER)
def damaged_archive(rng, path):
    suffix = pick(rng, [".zip", ".tgz"])
    data = bytearray(zipped(original()[0]) if suffix == ".zip" else tarred(original()[0], "w:gz"))
    for _ in range(int(rng.integers(1, 4))):
        data[spot(rng, data)] ^= 1 << int(rng.integers(8))
    return archive(path, suffix, bytes(data[: len(data) if rng.random() < 0.7 else spot(rng, data)]))


@mutant(REJECTED)
def misnamed(rng, path):
    """An archive of one kind under the name of another, or of none."""
    data = {".zip": zipped(original()[0]), ".tar": tarred(original()[0]), ".tgz": tarred(original()[0], "w:gz")}
    kind = pick(rng, sorted(data))
    other = pick(rng, [s for s in (".zip", ".tar", ".tgz", ".json", ".pt", ".rar", "") if s != kind])
    return archive(path, other, data[kind])
