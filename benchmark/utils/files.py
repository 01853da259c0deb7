"""Whole files or none: write to a temporary neighbour, then rename. Hashes of what is on disk."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.types import Unwritable

DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it when the block ends well, and vanishes when it does not.

    Raises:
        Unwritable: the folder cannot be made or written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    except OSError as error:
        hint = "is the disk full?" if is_disk_full(error) else "choose a writable folder"
        raise Unwritable(f"cannot write {path}: {error.strerror}; {hint}") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except Exception as error:
        if isinstance(error, OSError) or is_disk_full(error):
            said = getattr(error, "strerror", None) or str(error)
            raise Unwritable(f"cannot write {path}: {said}; is the disk full?") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def is_disk_full(error: BaseException) -> bool:
    """Whether a write failed for want of space: an OSError that says so, or a library's own words for one."""
    if isinstance(error, OSError):
        return error.errno in DISK_FULL_ERRNOS
    told = re.search(r"os error (\d+)", str(error))  # what safetensors makes of it
    return bool(told) and int(told[1]) in DISK_FULL_ERRNOS


def remove_temporary_files(path: Path) -> None:
    """Remove what killed writers of `path` left beside it. Only for the holder of its lock, the one who writes it."""
    for leftover in path.parent.glob(f".{path.name}.*{path.suffix}"):
        leftover.unlink(missing_ok=True)


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_fingerprint(folder: Path) -> str:
    """Hex sha256 over names, sizes and times of all files of a folder: another one whenever its content may be."""
    digest = hashlib.sha256()
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        facts = file.stat()
        digest.update(f"{file.relative_to(folder)}\t{facts.st_size}\t{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()
