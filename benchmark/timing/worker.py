"""A timed section in a process of its own, so that nothing which a run did before can weigh on it.

The parent hands over a folder and blocks until the child is gone: a parent that polls takes time from the child.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmark.timing.timed_task import TimedTask
from benchmark.types import ExitbenchError, Latency

# Libraries kept quiet by what they read as they start; loading them to say so would take seconds of every worker.
QUIET_LIBRARIES = {
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
REQUEST, ANSWER = "request.pickle", "answer.json"


def time_in_worker(model: dict[str, Any], task: TimedTask) -> Latency:
    """`timed.timed` of the model that a configuration describes, built and timed by a child process.

    model: what `compose.build` makes the model of, plain data. The request is a pickle in a private folder that no one
    else can write to and that is gone when the child is.

    Raises:
        ExitbenchError: the child's own; or that it died, with its exit status.
    """
    with tempfile.TemporaryDirectory(prefix="exitbench-") as name:
        folder = Path(name)
        (folder / REQUEST).write_bytes(pickle.dumps((model, task)))
        paths = os.pathsep.join(path for path in sys.path if path)
        words = [sys.executable, *_options(), "-m", "benchmark.timing.worker_entry", str(folder)]
        environment = {**os.environ, **QUIET_LIBRARIES, "PYTHONPATH": paths}
        status = subprocess.run(words, env=environment, check=False).returncode
        return _read(folder / ANSWER, status)


def _options() -> list[str]:
    """The parent's own warning filters, which the child should share."""
    return [f"-W{one}" for one in sys.warnoptions]


def _read(path: Path, status: int) -> Latency:
    try:
        answer = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        killed = f"killed by signal {-status}; out of memory?" if status < 0 else f"exit status {status}"
        raise ExitbenchError(f"timing: the worker process ended without an answer ({killed})") from error
    if "error" in answer:
        raise ExitbenchError(f"timing: in the worker: {answer['error']}")
    return Latency(**answer)
