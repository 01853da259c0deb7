"""One lock per record, so that sweeps into the same folder share the work instead of doing it twice.

The lock is the kernel's (flock): it is released when its holder dies, whatever the cause, so no lock is ever stale.
"""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from benchmark.types import Unwritable
from benchmark.utils.files import remove_temporary_files

FOLDER = ".claims"  # in the folder of records


def claim(record: Path, wait: bool = False) -> FileLock | None:
    """Acquire the lock of the record that will be written at a path; None where another process holds it.

    wait: wait for the other process to release it. Release the lock, or leave its `with` block, once the record is
    written.

    Raises:
        Unwritable: the folder cannot be created or written.
    """
    path = record.parent / FOLDER / f"{record.stem}.lock"
    lock = FileLock(path, poll_interval=0.2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        return None
    except OSError as error:
        raise Unwritable(
            f"records: cannot write in {record.parent} ({error.strerror}); choose a writable folder"
        ) from error
    remove_temporary_files(record)
    return lock
