"""A record's bytes: a first line that holds the sha256 of all after it, and sections that a reader can leave out.

The layout is JSON with one entry of the outermost object per line, indented by one space, and entries of a section
too long for its line indented by two; line ends inside of texts are escaped. So where a section starts and ends is
seen without parsing it, and a leaderboard parses the tenth of a record that it needs, after checking all of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path
from threading import local
from typing import NamedTuple

_SEAL = b'{"content_sha256": "'
# Observations of the stopwatch: nine tenths of a timed record.
RAW = ("raw",)
# All that no column of a leaderboard is made of.
BEYOND_COLUMNS = (
    *("raw", "curve", "examples", "audit", "config", "results.protocol"),
    *("attack.examples", "attack.against_queries", "attack.settings"),
)


_OUTER, _INNER = b'\n "', b'\n  "'  # how entries start: of the whole, and of a section


class Opened(NamedTuple):
    """JSON text to parse; the sha256 of the whole content, "" where the file's own does not match it."""

    text: bytes
    seal: str


def sealed(body: bytes) -> bytes:
    """A file's content: the seal's line, then `body`, which is a JSON object without its opening brace."""
    return _SEAL + hashlib.sha256(body).hexdigest().encode() + b'",\n' + body


def opened(content: bytes | bytearray, skip: Collection[str] = (), length: int | None = None) -> Opened:
    """What a file's content holds, without the sections named in `skip`, such as "raw" or "results.protocol".

    length: how much of `content` is the file's, all of it unless given.
    Nothing is skipped where the seal is broken: its message should say what is wrong with the whole.
    """
    length = len(content) if length is None else length
    if content.find(b"\r\n", 0, 100) >= 0:  # a checkout that translates line ends is no edit
        content = bytes(content[:length]).replace(b"\r\n", b"\n")
        length = len(content)
    start = content.find(b"\n", 0, length) + 1
    digest = hashlib.sha256(memoryview(content)[start:length]).hexdigest()
    if content[:start] != _SEAL + digest.encode() + b'",\n':
        return Opened(bytes(content[:length]), "")
    if not skip:
        return Opened(bytes(b"{" + content[start:length]), digest)
    # The last section is by far the longest, so it is cut off before anything is copied.
    cut = content.find(b'\n "raw"', start, length) if "raw" in skip else -1
    text = bytes(content[start:length] if cut < 0 else content[start:cut] + b"\n}")
    return Opened(b"{" + _without(text, skip), digest)


def _without(body: bytes, skip: Collection[str]) -> bytes:
    """The same object without some of its sections, and without some entries of its sections ("results.protocol")."""
    inner: dict[bytes, set[bytes]] = {}
    for section, _, name in (path.partition(".") for path in skip):
        inner.setdefault(section.encode(), set()).add(name.encode())
    kept = []
    for name, entry in _entries(b"\n" + body.rstrip().removesuffix(b"}"), _OUTER):
        entries = inner.get(name, set())
        if b"" not in entries:
            kept.append(_section_without(entry, entries) if entries else entry)
    return _OUTER + (b"," + _OUTER).join(kept) + b"\n}\n"


def _section_without(section: bytes, skip: Collection[bytes]) -> bytes:
    """One `name": {…}` without some entries; as it is where it stands on one line."""
    head, *rest = section.removesuffix(b"}").split(_INNER, 1)
    if not rest:
        return section
    kept = [entry for name, entry in _entries(_INNER + rest[0], _INNER) if name not in skip]
    return head + (_INNER + (b"," + _INNER).join(kept) if kept else b"") + b"}"


def _entries(lines: bytes, start: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, `name": value`) of each entry, without the comma after it."""
    for entry in lines.split(start)[1:]:
        yield entry[: entry.index(b'"')], entry.rstrip().removesuffix(b",")


_own = local()


def read_opened(path: Path, skip: Collection[str] = ()) -> Opened:
    """The same of a file. Each thread reads into one buffer of its own, as fresh memory costs more than the reading.

    Raises OSError.
    """
    with path.open("rb", buffering=0) as stream:
        buffer, filled = getattr(_own, "buffer", None) or bytearray(1 << 20), 0
        while got := stream.readinto(memoryview(buffer)[filled:]):
            filled += got
            if filled == len(buffer):
                buffer = buffer + bytearray(len(buffer))
        _own.buffer = buffer
        return opened(buffer, skip, filled)
