"""Reserve processor cores for a job of a parallel launcher, so that no two jobs on a host share a core.

The yaml of a launcher sets the number (EXITBENCH_CORES, through hydra.job.env_set). It holds whether the launcher's
engine binds jobs to cores, as Slurm often does, or only counts them, as Ray and submitit's local executor do.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from benchmark.types import ExitbenchError

VARIABLE = "EXITBENCH_CORES"
OLD_VARIABLE = "EXITBENCH_SEAT"  # its name up to 0.3, in users' own launcher yamls


@contextmanager
def reserved_cores(folder: Path | None = None, topology: Path = Path("/sys/devices/system/cpu")) -> Iterator[list[int]]:
    """Bind this process to as many cores as EXITBENCH_CORES says, of those it may use; without it, bind nothing.

    Waits until enough cores are free of other jobs of this user on this host. Of a core that runs two threads only one
    is used, and both are reserved. folder: where the lock files are; the system's temporary folder by default.

    Raises:
        ExitbenchError: a number of cores that this process cannot have.
    """
    number = os.environ.get(VARIABLE) or os.environ.get(OLD_VARIABLE, "")
    if not number or not hasattr(os, "sched_setaffinity"):
        yield []
        return
    before = os.sched_getaffinity(0)
    usable = _physical_cores(before, topology)
    if not number.isdecimal() or not 1 <= int(number) <= len(usable):
        raise ExitbenchError(
            f"{VARIABLE}: expected a number of cores from 1 to the {len(usable)} usable, got {number!r}"
        )
    with ExitStack() as locks:
        cores = _reserve(usable, int(number), folder or Path(tempfile.gettempdir()), locks)
        os.sched_setaffinity(0, cores)
        try:
            yield cores
        finally:
            os.sched_setaffinity(0, before)


def _reserve(usable: dict[str, int], count: int, folder: Path, locks: ExitStack) -> list[int]:
    """One logical core of each of `count` free physical cores, whose locks go to `locks`; waits for them."""
    while True:
        with ExitStack() as attempt:
            cores: list[int] = []
            for physical, core in usable.items():
                if _lock(physical, folder, attempt):
                    cores.append(core)
                if len(cores) == count:
                    locks.enter_context(attempt.pop_all())
                    return cores
        time.sleep(0.5)  # all locks are released meanwhile: two large jobs must never hold half of the cores each


def _lock(physical: str, folder: Path, locks: ExitStack) -> bool:
    """Whether a physical core was free; its lock then belongs to `locks`."""
    path = folder / f"exitbench-{os.getuid()}-core-{physical}.lock"
    try:
        locks.enter_context(FileLock(path).acquire(timeout=0))
    except Timeout:
        return False
    except OSError as error:
        raise ExitbenchError(f"cannot lock {path}: {error.strerror}; set TMPDIR to a writable folder") from error
    return True


def _physical_cores(usable: set[int], topology: Path) -> dict[str, int]:
    """Physical cores by the logical cores they run, such as "0-1" or "0,8", each with its first usable logical core."""
    found: dict[str, int] = {}
    for core in sorted(usable):
        try:
            siblings = (topology / f"cpu{core}" / "topology" / "thread_siblings_list").read_text().strip()
        except OSError:
            siblings = str(core)
        found.setdefault(siblings, core)
    return found
