"""Records from any number of folders: each record once, whatever the order of folders and files.

Files are read and their hashes checked by a few threads, as both let go of Python's lock.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from benchmark.records.sealed import Opened, read_opened
from benchmark.types import ExitbenchError

BLOCK = 1000  # files held in memory as they are
THREADS = min(8, 2 + (os.cpu_count() or 1))


class Dated(Protocol):
    """What is gathered: it has a name and a time."""

    @property
    def record_id(self) -> str: ...
    @property
    def created(self) -> str: ...


One = TypeVar("One", bound=Dated)


def gathered(
    folders: Iterable[Path], make: Callable[[Path, Opened], One], skip: tuple[str, ...]
) -> tuple[list[One], list[str]]:
    """All sound records by id, and one line for each JSON file that was left out.

    make: the record in a file's content; its ExitbenchError names the file. A record that is in several files counts
    once; where their contents differ, the latest does (of one second, the one with the larger hash), and the others
    are reported. Raises ExitbenchError for a folder that is not there.
    """
    found: dict[str, list[tuple[str, str, Path, One]]] = {}
    problems = []
    paths = list(_paths(folders))
    with no_collecting():
        for path, content in _contents(paths, skip):
            try:
                if isinstance(content, OSError):
                    raise ExitbenchError(f"{path}: cannot be read: {content.strerror}")
                record = make(path, content)
            except ExitbenchError as error:
                problems.append(str(error))
                continue
            found.setdefault(record.record_id, []).append((record.created, content.seal, path, record))
    kept = []
    for _, same in sorted(found.items()):
        *others, latest = sorted(same, key=lambda one: one[:3])
        kept.append(latest[3])
        problems += [
            f"{path}: another record has its id and other content; the later one counts"
            for _, seal, path, _ in others
            if seal != latest[1]
        ]
    return kept, sorted(problems)


def _paths(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        if not folder.is_dir():
            raise ExitbenchError(f"expected a folder of records, got {folder}, which is not there")
        yield from (path for path in folder.iterdir() if path.suffix == ".json" and not path.name.startswith("."))


def _contents(paths: Sequence[Path], skip: tuple[str, ...]) -> Iterator[tuple[Path, Opened | OSError]]:
    """Each file's content, read a block at a time.

    A block is read before any of it is parsed: parsing keeps Python's lock, for which readers would wait at each file.
    """
    with ThreadPoolExecutor(THREADS) as readers:
        for start in range(0, len(paths), BLOCK):
            block = paths[start : start + BLOCK]
            yield from zip(block, list(readers.map(lambda path: _content(path, skip), block)), strict=True)


def _content(path: Path, skip: tuple[str, ...]) -> Opened | OSError:
    try:
        return read_opened(path, skip)
    except OSError as error:
        return error


@contextmanager
def no_collecting() -> Iterator[None]:
    """Without the garbage collector, which walks all objects again and again while they pile up, and finds nothing."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
