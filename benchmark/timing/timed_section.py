"""What every timed section is in: threads set, alone on the host, on the clocks of its device."""

from __future__ import annotations

import getpass
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from benchmark.hardware.machine import Noise, noise
from benchmark.hardware.profiles import applied
from benchmark.timing.rounds import Clock, ClockName
from benchmark.types import ExitbenchError, Hardware

REAL_CLOCK = Clock()


@contextmanager
def timed_section(hardware: Hardware) -> Iterator[tuple[Clock, ClockName, Noise]]:
    """What every timed section is in: threads set, alone on the host, the noise of that moment written down."""
    with applied(hardware), host_lock():
        headline: ClockName = "cpu" if hardware.device == "cpu" else "wall"
        yield device_clock(hardware.device), headline, noise()


def synchronise(device: str) -> Callable[[], None]:
    """What waits until a device is idle; nothing on the processor."""
    if device.startswith("cuda"):
        return partial(torch.cuda.synchronize, device)
    return torch.mps.synchronize if device == "mps" else REAL_CLOCK.synchronise


def device_clock(device: str) -> Clock:
    """The clocks of a device; on CUDA the wall time is read between events in the stream, with one wait per window."""
    if not device.startswith("cuda"):
        return Clock(synchronise=synchronise(device))

    def record_event() -> Any:
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(device))
        return event

    def elapsed_ns(start: Any, end: Any) -> int:
        return int(start.elapsed_time(end) * 1e6)

    return Clock(synchronise=synchronise(device), record_event=record_event, elapsed_ns=elapsed_ns)


@contextmanager
def host_lock(folder: Path | None = None) -> Iterator[None]:
    """One timed section at a time for this user on this host; a second one says that it waits, and waits.

    folder: where the lock file lies; the system's temporary folder unless given.
    """
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()  # a container's user may have no name
    path = (folder or Path(tempfile.gettempdir())) / f"exitbench-{user}.lock"
    lock = FileLock(path, poll_interval=0.5)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logging.getLogger(__name__).warning("another timed run is under way on this machine; waiting for it")
        lock.acquire()
    except OSError as error:
        raise ExitbenchError(f"cannot lock {path}: {error.strerror}; set TMPDIR to a writable folder") from error
    try:
        yield
    finally:
        lock.release()
