"""Measure a combination in its own process: its memory is returned, and a crash is a failed record, not a lost sweep.

On Linux the process is forked from a small server that has imported torch and run nothing, so it costs milliseconds.
With a GPU, or where forking is not safe, it is a new interpreter, which costs the imports.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.config.compose import plain
from benchmark.sweep import failures, measure
from benchmark.types import ExitbenchError
from benchmark.utils.cache_usage import CacheUse

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from benchmark.records.record import Record
    from benchmark.run.settings import Identity

PRELOADED = ["benchmark.sweep.preload"]
Measured = tuple["Record", tuple[CacheUse, ...]]
Failed = tuple[str, str]  # the error's type, one of failures.ERROR_TYPES, and its message


@dataclass(frozen=True)
class Request:
    """What the child receives: plain data only, and the environment that a server forked earlier does not have.

    No object of Hydra is part of it. Hydra imports its plug-ins again in every process, and pickle refuses an object
    whose class is no longer the one of that name.
    """

    config: dict[str, Any]
    identity: Identity
    config_dir: str
    environment: dict[str, str]
    folder: str
    cores: list[int]


def measure_in_subprocess(cfg: DictConfig, identity: Identity, config_dir: str) -> Measured:
    """`measure.measure` in a child process, which ends when this one does.

    Raises:
        ExitbenchError: the child's own error, of the same type; or how it died, with the signal's name.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    request = Request(plain(cfg), identity, config_dir, dict(os.environ), str(Path.cwd()), cores)
    context = multiprocessing.get_context(_start_method(str(cfg.hardware.device)))
    context.set_forkserver_preload(PRELOADED)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, request))  # type: ignore[attr-defined]
    process.start()
    sender.close()
    try:
        answer: Measured | Failed | None = receiver.recv()
    except EOFError:
        answer = None
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join()
        receiver.close()
    if answer is None:
        raise ExitbenchError(_cause_of_death(process.exitcode))
    first, second = answer
    if isinstance(first, str):
        raise failures.ERROR_TYPES[first](second)
    return first, second  # type: ignore[return-value]


def _start_method(device: str) -> str:
    """Fork for processors only: the library of a GPU does not survive a fork once it was used, nor do Apple's."""
    return "forkserver" if sys.platform == "linux" and device == "cpu" else "spawn"


def _cause_of_death(status: int | None) -> str:
    if status is not None and status < 0:
        name = signal.Signals(-status).name
        hint = "; out of memory?" if name == "SIGKILL" else ""
        return f"its process was killed by {name}{hint}"
    return f"its process ended without an answer, exit status {status}"


def _child(sender: Connection, request: Request) -> None:
    """Send a record and its cache usage, or the type and message of an error."""
    from omegaconf import OmegaConf

    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)
    if request.cores:
        os.sched_setaffinity(0, request.cores)
    try:
        sender.send(measure.measure(OmegaConf.create(request.config), request.identity, request.config_dir))
    except KeyboardInterrupt:
        os._exit(130)  # the parent reports it
    except Exception as error:
        sender.send(failures.as_strings(error))


def _end_with_parent() -> None:
    """End this process with the sweep that started it; a killed sweep would otherwise leave it running."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
