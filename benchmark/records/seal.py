"""A record's bytes: a first line that holds the sha256 of all after it, and sections that a reader can leave out.

The layout is JSON with one entry of the outermost object per line, indented by one space, and entries of a section
too long for its line indented by two; line ends inside of texts are escaped. So where a section starts and ends is
seen without parsing it, and a leaderboard parses the tenth of a record that it needs, after checking all of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from threading import local
from typing import NamedTuple

_SEAL = b'{"content_sha256": "'
# Observations of the stopwatch: nine tenths of a timed record.
RAW = ("raw",)
# All that no column of a leaderboard is made of, in the order of the file.
BEYOND_COLUMNS = (
    *("config", "results.protocol", "curve", "examples"),
    *("attack.settings", "attack.against_queries", "attack.examples", "attack.per_sample", "audit", "raw"),
)


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
    return Opened(b"{" + _without(content, start - 1, length, skip), digest)


def _without(content: bytes | bytearray, start: int, stop: int, skip: Collection[str]) -> bytes:
    """content[start:stop], an object's text after its brace, without the sections and entries named in `skip`.

    Entries of a section that stands on one line stay. Quickest where `skip` is in the order of the file.
    """
    spans: list[tuple[int, int]] = []
    place = start
    for section, _, name in (path.partition(".") for path in skip):
        span = _span(content, section, 1, place, stop) or _span(content, section, 1, start, stop)
        if span is None:
            continue
        place = span[0]
        span = _span(content, name, 2, *span) if name else span
        spans += [span] if span else []
    pieces, view = [], memoryview(content)
    for begin, end in _merged(spans):
        # Where the last entry goes, the comma before it goes too.
        last = b"}" in content[end : end + 3] and content[begin - 1 : begin] == b","
        pieces.append(view[start : begin - last])
        start = end
    return b"".join([*pieces, view[start:stop]])


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same places, those that touch or overlap as one."""
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            begin, end = merged[-1][0], max(end, merged.pop()[1])
        merged.append((begin, end))
    return merged


def _span(content: bytes | bytearray, name: str, indent: int, start: int, stop: int) -> tuple[int, int] | None:
    """Where the first entry of that name and indent begins and ends, its comma included; None where there is none."""
    mark = b"\n" + b" " * indent + b'"'
    begin = content.find(mark + name.encode() + b'": ', start, stop)
    if begin < 0:
        return None
    end = -1 if name in RAW else content.find(mark, begin + 1, stop)  # the last section, and the longest by far
    return begin, end if end >= 0 else content.rfind(b"\n" + b" " * (indent - 1) + b"}", begin, stop)


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
