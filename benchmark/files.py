"""Whole files or none: write to a temporary neighbour, then rename. Hashes of what is on disk."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.types import ExitbenchError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it when the block ends well, and vanishes when it does not."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    except OSError as error:
        raise ExitbenchError(f"cannot write {path}: {error.strerror}; choose a writable folder") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise ExitbenchError(f"cannot write {path}: {error.strerror}; is the disk full?") from error
    finally:
        temporary.unlink(missing_ok=True)


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_state(folder: Path) -> str:
    """Hex sha256 over names, sizes and times of all files of a folder: another one whenever its content may be."""
    digest = hashlib.sha256()
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        facts = file.stat()
        digest.update(f"{file.relative_to(folder)}\t{facts.st_size}\t{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()
