"""A reader of plain tar archives, in memory.

``tarfile`` of the Python versions that we support can be made to loop for ever by a negative size (CVE-2025-8194) and
recurses over chained headers, so the few kinds of headers that are allowed here are read by hand. Source: POSIX.1-1988
(ustar) and POSIX.1-2001 (pax).
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.submit.limits import MAX_MEMBERS, Rejected, shown

BLOCK = 512
_KINDS = {
    b"1": "a hard link", b"2": "a symbolic link", b"3": "a character device", b"4": "a block device", b"6": "a fifo",
    b"S": "a sparse file", b"L": "a long name", b"K": "a long link name", b"g": "a global header",
}  # fmt: skip
_PAX_KEYS = {b"mtime", b"atime", b"ctime", b"uid", b"gid", b"uname", b"gname"}


def members(data: bytes, place: str) -> Iterator[tuple[str, bytes | None]]:
    """Name and contents of each member, None for folders; raises :class:`Rejected` on any other kind."""
    at = count = 0
    while True:
        header = data[at : at + BLOCK]
        if len(header) < BLOCK:
            raise Rejected(place, "ends in the middle: damaged")
        if not header.strip(b"\0"):
            return
        count += 1
        if count > 2 * MAX_MEMBERS:  # each may come with a header of its own
            raise Rejected(place, f"has more than {MAX_MEMBERS} members")
        name, kind, size = _header(header, place)
        content = data[at + BLOCK : at + BLOCK + size]
        if len(content) < size:
            raise Rejected(f"{place}: {shown(name)}", f"has {len(content):,} of {size:,} bytes: damaged")
        at += BLOCK + -(-size // BLOCK) * BLOCK
        if kind == b"x":
            _check_pax(content, place)
        elif kind == b"5":
            yield name, None
        elif kind in (b"0", b"\0"):
            yield name, content
        else:
            what = _KINDS.get(kind, f"of the kind {shown(kind)}")
            raise Rejected(f"{place}: {shown(name)}", f"is {what}; only plain files and folders are read")


def _header(header: bytes, place: str) -> tuple[str, bytes, int]:
    summed = sum(header[:148]) + 8 * 32 + sum(header[156:])
    if _octal(header[148:156], place, "checksum") != summed:
        raise Rejected(place, "a header's checksum is wrong: damaged, or no tar archive")
    prefix = header[345:500] if header[257:263] == b"ustar\0" else b""
    parts = [part.split(b"\0")[0] for part in (prefix, header[:100])]
    try:
        name = b"/".join(part for part in parts if part).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Rejected(place, f"the name {shown(parts[1])} is no UTF-8") from error
    return name, header[156:157], _octal(header[124:136], place, "size")


def _octal(field: bytes, place: str, what: str) -> int:
    digits = field.strip(b"\0 ")
    if not digits or digits.strip(b"01234567"):
        raise Rejected(place, f"a header's {what} is {shown(field)}, no octal number")
    return int(digits, 8)


def _check_pax(content: bytes, place: str) -> None:
    """Extended headers may say who and when, not what or where: those would change what was read."""
    for line in content.split(b"\n"):
        key = line.partition(b" ")[2].partition(b"=")[0]
        if line and key not in _PAX_KEYS:
            raise Rejected(place, f"an extended header sets {shown(key)}; use short, plain names")
