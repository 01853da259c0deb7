"""A combination in a process of its own: its memory comes back, and a crash is a failed record and not a lost sweep.

On Linux the child is forked by a small server that has imported torch and run nothing, so that a process costs
milliseconds; where a GPU is used, or forking is not safe, it is a new interpreter, which costs its imports.
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
from typing import Any

from benchmark.sweep import failures, measure
from benchmark.types import ExitbenchError
from benchmark.utils.cache_usage import Piece

PRELOADED = ["benchmark.sweep.preload"]


@dataclass(frozen=True)
class Request:
    """What the child is told: the configuration, and the surroundings that a server forked earlier does not have."""

    cfg: Any
    hydra: Any
    identity: dict[str, Any]
    environment: dict[str, str]
    folder: str
    cores: list[int]


def measured_alone(cfg: Any, identity: dict[str, Any]) -> tuple[Any, tuple[Piece, ...]]:
    """`measured.measured` in a child process, which ends with this one.

    Raises:
        ExitbenchError: the child's own error, of its own kind; or that it died, with the signal's name.
    """
    from hydra.core.hydra_config import HydraConfig

    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    request = Request(cfg, HydraConfig.instance().cfg, identity, dict(os.environ), str(Path.cwd()), cores)
    context = multiprocessing.get_context(_method(str(cfg.hardware.device)))
    context.set_forkserver_preload(PRELOADED)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, request))  # type: ignore[attr-defined]
    process.start()
    theirs.close()
    try:
        answer = ours.recv()
    except EOFError:
        answer = None
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join()
        ours.close()
    if answer is None:
        raise ExitbenchError(_epitaph(process.exitcode))
    if isinstance(answer[0], str):
        raise failures.KINDS[answer[0]](answer[1])
    return answer


def _method(device: str) -> str:
    """Forking is for processors: a GPU's library, once asked anything, does not survive it; nor do Apple's."""
    return "forkserver" if sys.platform == "linux" and device == "cpu" else "spawn"


def _epitaph(status: int | None) -> str:
    if status is not None and status < 0:
        name = signal.Signals(-status).name
        hint = "; out of memory?" if name == "SIGKILL" else ""
        return f"its process was killed by {name}{hint}"
    return f"its process ended without an answer, exit status {status}"


def _child(answers: Connection, request: Request) -> None:
    """Answer with a record and its pieces, or with the kind and the words of an error."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)
    if request.cores:
        os.sched_setaffinity(0, request.cores)
    _restore(request.hydra)
    try:
        answers.send(measure.measured(request.cfg, request.identity))
    except KeyboardInterrupt:
        os._exit(130)  # the parent says so
    except Exception as error:
        error = failures.sorted_out(error)
        kind = type(error).__name__ if isinstance(error, ExitbenchError) else "ExitbenchError"
        answers.send((kind if kind in failures.KINDS else "ExitbenchError", failures.said(error)))


def _restore(hydra: Any) -> None:
    """What Hydra knows of the running job, which an attack's source is composed by."""
    from hydra.core.hydra_config import HydraConfig

    HydraConfig.instance().cfg = hydra


def _end_with_parent() -> None:
    """A sweep that is killed takes its child along, which would else go on unseen."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
