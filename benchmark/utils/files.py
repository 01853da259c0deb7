"""Atomic file writes (write to a temporary file, then rename), and hashes of files and folders."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.types import ExitbenchError, Unwritable

DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path next to `path`. It replaces `path` when the block succeeds and is removed when it fails.

    Raises:
        Unwritable: the folder cannot be created or written, or the disk is full.
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
            reason = getattr(error, "strerror", None) or str(error)
            raise Unwritable(f"cannot write {path}: {reason}; is the disk full?") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path, marker: str, what: str) -> Iterator[Path]:
    """An empty folder beside `path`. It becomes `path` when the block succeeds and is removed when it fails.

    marker: a file that shows that a folder in the way is `what`, such as "an earlier site", and may be replaced.

    Raises:
        ExitbenchError: `path` holds something else.
        Unwritable: it cannot be written.
    """
    if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not (path / marker).is_file())):
        raise ExitbenchError(f"expected an empty folder or {what} at {path}, got something else; name another")
    building = path.with_name(f".{path.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    try:
        building.mkdir(parents=True)
        yield building
        if path.exists():
            shutil.rmtree(path)
        building.rename(path)
    except OSError as error:
        raise Unwritable(f"cannot write {path}: {error.strerror}; is the disk full?") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def is_disk_full(error: BaseException) -> bool:
    """Whether a write failed because the disk or quota is full, from an errno or from safetensors' message."""
    if isinstance(error, OSError):
        return error.errno in DISK_FULL_ERRNOS
    match = re.search(r"os error (\d+)", str(error))  # how safetensors, written in Rust, reports an errno
    return bool(match) and int(match[1]) in DISK_FULL_ERRNOS


def remove_temporary_files(path: Path) -> None:
    """Remove the temporary files of killed writers of `path`. Call it only while holding the lock on `path`."""
    for leftover in path.parent.glob(f".{path.name}.*{path.suffix}"):
        leftover.unlink(missing_ok=True)


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_fingerprint(folder: Path) -> str:
    """Hex sha256 over the names, sizes and modification times of a folder's files.

    It changes whenever the content may have changed. File contents are not read: folders may hold gigabytes.
    """
    digest = hashlib.sha256()
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        facts = file.stat()
        digest.update(f"{file.relative_to(folder)}\t{facts.st_size}\t{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()
