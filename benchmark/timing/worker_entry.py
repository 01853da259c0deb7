"""Entry point of a timing worker: builds the model, times it, writes the answer. Not for people to call."""

from __future__ import annotations

import json
import os
import pickle
import sys
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.timing.worker import ANSWER, REQUEST
from benchmark.types import ExitbenchError
from benchmark.utils.files import atomic_write

if TYPE_CHECKING:
    from benchmark.timing.timed_task import TimedTask

SHORTEST_S = 1e-3  # left to a worker whose start-up took all of its time: it finishes one pass


def main(folder: Path) -> int:
    """Answer the request in a folder; 0 with a result, 1 with an error in its place."""
    try:
        answer = _answer(*pickle.loads((folder / REQUEST).read_bytes()))
    except Exception as error:
        if os.environ.get("EXITBENCH_DEBUG"):
            traceback.print_exc()
        message = str(error) if isinstance(error, ExitbenchError) else f"{type(error).__name__}: {error}"
        answer = {"error": " ".join(message.split())}
    with atomic_write(folder / ANSWER) as temporary:
        temporary.write_text(json.dumps(answer), encoding="utf-8")
    return 1 if "error" in answer else 0


def _answer(config: dict[str, Any], task: TimedTask) -> dict[str, Any]:
    import torch

    from benchmark.config.compose import build
    from benchmark.hardware.profiles import applied
    from benchmark.timing import meters
    from benchmark.timing.timed_task import time_task

    base = meters.resident_bytes()
    torch.manual_seed(task.seed)  # as where the parent built the model: a model without weights is random
    with applied(task.hardware):
        model = build(config)
    startup_s = meters.process_age_s()
    if task.limits.processes > 1:
        left = max(SHORTEST_S, task.limits.time_limit_s - startup_s)
        task = replace(task, limits=replace(task.limits, time_limit_s=left))
    found = time_task(model, task)
    facts = {"worker": True, "base_rss_bytes": base, "peak_rss_bytes": meters.peak_resident_bytes()}
    return {"latency": asdict(replace(found, **facts)), "seconds": startup_s + (found.timed_s or 0.0)}


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
