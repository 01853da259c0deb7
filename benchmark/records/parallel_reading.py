"""One function of many files, by as many processes as there are cores: the same answers in the same order as by one.

Few files, one core, a platform without fork and a process with threads of its own are served in this process.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmark.types import ExitbenchError

BLOCK = 250  # files whose answers travel together
MOST = 8  # processes; more would wait for the disk, or for the one that gathers
Answer = TypeVar("Answer")


def in_processes(answer: Callable[[Path], Answer], paths: Sequence[Path]) -> Iterator[tuple[Path, Answer]]:
    """(path, answer) of each path in turn. `answer` and what it gives must be picklable.

    Raises ExitbenchError where a process was ended from outside.
    """
    blocks = [paths[start : start + BLOCK] for start in range(0, len(paths), BLOCK)]
    count = min(_usable_cores(), MOST, len(blocks) - 1)  # a pool for one block more would cost what it saves
    if count < 2 or sys.platform != "linux" or threading.active_count() > 1:
        yield from ((path, answer(path)) for path in paths)
        return
    # Forked, as fresh interpreters would run a notebook's or script's main module again; they ignore Ctrl-C, of which
    # this process tells.
    context, ignored = multiprocessing.get_context("fork"), (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(count, context, initializer=signal.signal, initargs=ignored) as pool:
        try:
            for block, answers in zip(blocks, pool.map(partial(_all, answer), blocks), strict=True):
                yield from zip(block, answers, strict=True)
        except BrokenProcessPool as error:
            raise ExitbenchError("records: a process that read them was ended, perhaps for lack of memory") from error


def _all(answer: Callable[[Path], Answer], paths: Sequence[Path]) -> list[Answer]:
    return [answer(path) for path in paths]


def _usable_cores() -> int:
    """Cores this process may run on, which a cluster's job or taskset narrows."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
