"""Records from any number of folders: each record once, whatever the order of folders and files."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from benchmark.records.parallel_reading import in_processes
from benchmark.records.seal import Opened, read_opened
from benchmark.types import ExitbenchError


class Dated(Protocol):
    """An item with a name and a time."""

    @property
    def record_id(self) -> str: ...
    @property
    def created(self) -> str: ...


One = TypeVar("One", bound=Dated)


def gathered(
    folders: Iterable[Path], make: Callable[[Path, Opened], One], skip: tuple[str, ...]
) -> tuple[list[One], list[str]]:
    """All sound records by id, and one line for each JSON file that was left out.

    make: the record in a file's content; its ExitbenchError names the file; a function of a module, as other processes
    may call it. A record that is in several files counts
    once; where their contents differ, the latest does (of one second, the one with the larger hash), and the others
    are reported. Raises ExitbenchError for a folder that is not there.
    """
    found: dict[str, list[tuple[str, str, Path, One]]] = {}
    problems = []
    with no_collecting():
        for path, content in in_processes(partial(_made, make, skip), list(_paths(folders))):
            if isinstance(content, str):
                problems.append(content)
            else:
                seal, record = content
                found.setdefault(record.record_id, []).append((record.created, seal, path, record))
    selected = []
    for _, same in sorted(found.items()):
        *others, latest = sorted(same, key=lambda one: one[:3])
        selected.append(latest[3])
        problems += [
            f"{path}: another record has its id and other content; the later one counts"
            for _, seal, path, _ in others
            if seal != latest[1]
        ]
    return selected, sorted(problems)


def _paths(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        if not folder.is_dir():
            raise ExitbenchError(f"expected a folder of records, got {folder}, which is not there")
        yield from (path for path in folder.iterdir() if path.suffix == ".json" and not path.name.startswith("."))


def _made(make: Callable[[Path, Opened], One], skip: tuple[str, ...], path: Path) -> tuple[str, One] | str:
    """(seal, record) of a file, or what is wrong with it."""
    try:
        content = read_opened(path, skip)
        return content.seal, make(path, content)
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    except ExitbenchError as error:
        return str(error)


@contextmanager
def no_collecting() -> Iterator[None]:
    """Without the garbage collector, which would scan the growing set of objects repeatedly and free none."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
