"""Records as files: all that one combination of choices left behind, one JSON each, written whole or not at all.

A file is plain JSON with two conventions. Its first line holds the sha256 of all bytes after that line, so an
edit by hand is noticed. Its last section, "raw", holds the raw observations of the latency section, so that
a leaderboard over thousands of records need not parse them. What the sections hold, and the history of the
schema (now version 1), stands in `schema.py`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from benchmark.records.gather import gathered
from benchmark.records.schema import SCHEMA_VERSION, Record, Section
from benchmark.records.seal import BEYOND_COLUMNS, RAW, Opened, read_opened, sealed
from benchmark.types import ExitbenchError
from benchmark.utils.files import atomic_write

__all__ = [
    "SCHEMA_VERSION", "Record", "exists", "find", "read", "read_all", "record_from_file", "record_id", "utc_now",
    "write",
]  # fmt: skip


def utc_now() -> str:
    """The present moment as ISO text in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _plain(value: Any, name: str) -> Any:
    """`value` as plain JSON values: tuples and arrays to lists, numpy numbers to Python's; refuses NaN and infinity.

    Only under config and identity is infinity spelled as text: there it is a setting, not a result.
    """
    if isinstance(value, dict):
        return {str(key): _plain(inner, f"{name}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, f"{name}.{position}") for position, inner in enumerate(value)]
    if hasattr(value, "tolist"):  # numpy scalars and arrays, without importing numpy
        return _plain(value.tolist(), name)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        if name.startswith(("config.", "identity.")) and not math.isnan(value):
            return str(value)
        raise ExitbenchError(f"{name}: expected a finite number, got {value}; use None for what is not defined")
    if value is not None and not isinstance(value, str | int | float):
        raise ExitbenchError(f"{name}: expected a JSON value, got {type(value).__name__}")
    return value


def record_id(identity: Section) -> str:
    """16 hex digits of the sha256 over all that can change an outcome; key order and 1 against 1.0 do not matter."""

    def whole(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: whole(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [whole(inner) for inner in value]
        return int(value) if isinstance(value, float) and value.is_integer() else value

    canonical = json.dumps(whole(_plain(identity, "identity")), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _pretty(value: Any, pad: str) -> str:
    """JSON a person can read and git can diff: a line per entry, but columns of numbers on one line."""
    flat = json.dumps(value, ensure_ascii=False, allow_nan=False)
    nested = isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict))
    if not nested or not value or len(flat) + len(pad) <= 100:
        return flat
    deeper = pad + " "
    if isinstance(value, list):
        return "[\n" + ",\n".join(deeper + _pretty(inner, deeper) for inner in value) + f"\n{pad}]"
    lines = (f"{deeper}{json.dumps(key, ensure_ascii=False)}: {_pretty(inner, deeper)}" for key, inner in value.items())
    return "{\n" + ",\n".join(lines) + f"\n{pad}}}"


def _serialise(record: Record) -> bytes:
    """The file's bytes; raises ExitbenchError for a value that JSON cannot hold."""
    document = {name: _plain(section, name) for name, section in asdict(record).items()}
    raw = {key: value for key, value in document["latency"].items() if isinstance(value, list) and key != "unreliable"}
    document["latency"] = {key: value for key, value in document["latency"].items() if key not in raw}
    sections = {"schema_version": SCHEMA_VERSION, **document, "raw": raw}
    lines = (f' "{name}": {_pretty(section, " ")}' for name, section in sections.items())
    body = (",\n".join(lines) + "\n}\n").encode()
    return sealed(body)


def write(record: Record, folder: Path, force: bool = False) -> Path:
    """Write `<folder>/<record_id>.json` whole and return its path.

    A sound record of that id stands unless `force`: of two sweeps that raced, the first to finish is kept.
    An unsound file in its place is set aside as `<record_id>.json.unsound`, never overwritten.
    Raises ExitbenchError for NaN or infinity, and where the folder cannot be written.
    """
    content = _serialise(record)
    path = folder / f"{record.record_id}.json"
    if not force and exists(record.record_id, folder):
        return path
    if path.exists() and not exists(record.record_id, folder):
        try:
            path.replace(path.with_name(f"{path.name}.unsound"))
        except OSError as error:
            raise ExitbenchError(f"cannot set {path} aside: {error.strerror}") from error
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return path


def _parsed(text: bytes) -> Any:
    """What JSON holds; the quick parser's refusals are the standard one's to explain, or to allow (NaN)."""
    try:
        return orjson.loads(text)
    except ValueError:
        return json.loads(text)


def _document(content: Opened) -> Section:
    """The JSON document in a file's content; ExitbenchError says what is wrong with it."""
    try:
        document = _parsed(content.text)
    except ValueError as error:  # bad JSON and bad UTF-8
        raise ExitbenchError(f"not whole JSON ({error}); cut short?") from error
    if not isinstance(document, dict) or not {"schema_version", "record_id"} <= document.keys():
        raise ExitbenchError("not an exitbench record")
    if document["schema_version"] != SCHEMA_VERSION:
        found = document["schema_version"]
        raise ExitbenchError(f"schema_version: expected {SCHEMA_VERSION}, got {found!r}; written by another exitbench?")
    if not content.seal:
        raise ExitbenchError("its content does not match its content_sha256; edited by hand?")
    return document


def record_from_file(path: Path, content: Opened) -> Record:
    """The record in a file's content; raises ExitbenchError naming the file and the first thing wrong with it."""
    try:
        document = _document(content)
        document["latency"] = {**document.get("latency", {}), **document.pop("raw", {})}
        del document["schema_version"]
        record = Record(**document)
        if path.name != f"{record.record_id}.json":
            raise ExitbenchError(f"holds the record {record.record_id}; renamed?")
    except (ExitbenchError, TypeError) as error:  # TypeError: a section that Record does not have or misses
        raise ExitbenchError(f"{path}: {error}") from error
    return record


def read(path: Path, raw: bool = True) -> Record:
    """The record in a file; without `raw`, its latency section lacks the lists of observations and is read faster.

    Raises ExitbenchError naming the file and the first thing wrong with it.
    """
    try:
        content = read_opened(path, () if raw else RAW)
    except OSError as error:
        raise ExitbenchError(f"{path}: cannot be read: {error.strerror}") from error
    return record_from_file(path, content)


def find(record_id: str, folder: Path) -> Record | None:
    """The sound record of that id in a folder, without raw observations, or None."""
    path = folder / f"{record_id}.json"
    try:
        return read(path, raw=False) if path.exists() else None
    except ExitbenchError:
        return None


def exists(record_id: str, folder: Path) -> bool:
    """Whether a folder holds a sound record of that id, failed ones included."""
    return find(record_id, folder) is not None


def read_all(folders: Iterable[Path], raw: bool = False, lean: bool = False) -> tuple[list[Record], list[str]]:
    """All sound records of some folders by id, and one line for each JSON file that was left out.

    lean: without the sections that no column of a leaderboard is made of, which is several times as fast.
    A record that is in two folders counts once; where the two differ, the later one does and the other is reported.
    Raises ExitbenchError for a folder that is not there.
    """
    return gathered(folders, record_from_file, BEYOND_COLUMNS if lean else () if raw else RAW)
