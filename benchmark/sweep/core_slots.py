"""Cores that a job of a parallel launcher has to itself on its host, so that no two jobs ever share one.

A launcher's yaml asks for them (EXITBENCH_SEAT, by hydra.job.env_set). Whether the engine binds jobs to cores (Slurm
often does) or only counts (Ray, submitit on one machine), what a job may use is then what it was promised.
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

ASKED = "EXITBENCH_SEAT"


@contextmanager
def seated(folder: Path | None = None, topology: Path = Path("/sys/devices/system/cpu")) -> Iterator[list[int]]:
    """As many cores as EXITBENCH_SEAT says, taken from those this process may use; without it, all of them.

    Waits until so many are free of other seated jobs of this user on this host. Of cores that run two threads only
    one is used, and both are taken. folder: where the locks lie; the system's temporary folder unless given.

    Raises:
        ExitbenchError: a number that this process cannot have.
    """
    asked = os.environ.get(ASKED, "")
    if not asked or not hasattr(os, "sched_setaffinity"):
        yield []
        return
    before = os.sched_getaffinity(0)
    units = _units(before, topology)
    if not asked.isdecimal() or not 1 <= int(asked) <= len(units):
        raise ExitbenchError(f"{ASKED}: expected a number of cores from 1 to the {len(units)} usable, got {asked!r}")
    with ExitStack() as held:
        cores = _take(units, int(asked), folder or Path(tempfile.gettempdir()), held)
        os.sched_setaffinity(0, cores)
        try:
            yield cores
        finally:
            os.sched_setaffinity(0, before)


def _take(units: dict[str, int], count: int, folder: Path, held: ExitStack) -> list[int]:
    """A logical core of each of `count` free units, whose locks `held` then holds; waits for them."""
    while True:
        with ExitStack() as attempt:
            taken: list[int] = []
            for unit, core in units.items():
                if _locked(unit, folder, attempt):
                    taken.append(core)
                if len(taken) == count:
                    held.enter_context(attempt.pop_all())
                    return taken
        time.sleep(0.5)  # all let go meanwhile, so that two jobs of many cores never hold half of them each


def _locked(unit: str, folder: Path, held: ExitStack) -> bool:
    """Whether the unit was free; its lock is then `held`'s."""
    path = folder / f"exitbench-{os.getuid()}-core-{unit}.lock"
    try:
        held.enter_context(FileLock(path).acquire(timeout=0))
    except Timeout:
        return False
    except OSError as error:
        raise ExitbenchError(f"cannot lock {path}: {error.strerror}; set TMPDIR to a writable folder") from error
    return True


def _units(usable: set[int], topology: Path) -> dict[str, int]:
    """The physical cores, by the logical ones they run ("0-1" or "0,8"), with the first usable of each."""
    units: dict[str, int] = {}
    for core in sorted(usable):
        try:
            siblings = (topology / f"cpu{core}" / "topology" / "thread_siblings_list").read_text().strip()
        except OSError:
            siblings = str(core)
        units.setdefault(siblings, core)
    return units
