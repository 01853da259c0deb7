"""Who measures what: a lock per record, so that sweeps into one folder share the work instead of doing it twice.

The lock is the kernel's (flock), which lets go of it when its holder dies, however it dies: there are no stale claims.
"""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from benchmark.types import Unwritable
from benchmark.utils.files import clear_leftovers

FOLDER = ".claims"  # in the folder of records


def claim(record: Path, wait: bool = False) -> FileLock | None:
    """The lock of the record that will be at a path, held by this process; None where another holds it.

    wait: until the other lets go. Release it, or leave its `with` block, when the record is written.

    Raises:
        Unwritable: the folder cannot be made or written.
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
    clear_leftovers(record)
    return lock
