"""A timing task in a worker process of its own, so that nothing the parent did before can affect it.

The parent blocks until the child has ended: a parent that polls takes time from the child.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.timing.timed_task import TimedTask
from benchmark.types import ExitbenchError, Latency

# Libraries read these as they start; importing them to silence them would take seconds of every worker.
QUIET_LIBRARIES = {
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
REQUEST, ANSWER = "request.pickle", "answer.json"


class WorkerResult(NamedTuple):
    """What one worker process measured, and how many seconds of the time limit it spent, start-up included."""

    latency: Latency
    seconds: float


def time_in_worker(model: dict[str, Any], task: TimedTask) -> WorkerResult:
    """`timed_task.time_task` of the model that a configuration describes, built and timed by a child process.

    model: what `compose.build` makes the model of, plain data. The request is a pickle in a private temporary folder
    that only this user can write to and that is removed when the child has ended.

    Raises:
        ExitbenchError: the child's own error; or that it died, with its exit status.
    """
    with tempfile.TemporaryDirectory(prefix="exitbench-") as name:
        folder = Path(name)
        (folder / REQUEST).write_bytes(pickle.dumps((model, task)))
        paths = os.pathsep.join(path for path in sys.path if path)
        command = [sys.executable, *_warning_options(), "-m", "benchmark.timing.worker_entry", str(folder)]
        environment = {**os.environ, **QUIET_LIBRARIES, "PYTHONPATH": paths}
        status = subprocess.run(command, env=environment, check=False).returncode
        return _read(folder / ANSWER, status)


def _warning_options() -> list[str]:
    """The parent's own warning filters, which the child should share."""
    return [f"-W{option}" for option in sys.warnoptions]


def _read(path: Path, status: int) -> WorkerResult:
    try:
        answer = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        cause = f"killed by signal {-status}; out of memory?" if status < 0 else f"exit status {status}"
        raise ExitbenchError(f"timing: the worker process ended without an answer ({cause})") from error
    if "error" in answer:
        raise ExitbenchError(f"timing: in the worker: {answer['error']}")
    return WorkerResult(Latency(**answer["latency"]), answer["seconds"])
