"""The child side of `worker`: builds the model, times it, writes the answer. Not for people to call."""

from __future__ import annotations

import json
import os
import pickle
import sys
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmark.timing.worker import ANSWER, REQUEST
from benchmark.types import ExitbenchError
from benchmark.utils.files import whole_file


def main(folder: Path) -> int:
    """Answer the request in a folder; 0 when there is a result, 1 when there is an error in its place."""
    try:
        answer = _timed(*pickle.loads((folder / REQUEST).read_bytes()))
    except Exception as error:
        if os.environ.get("EXITBENCH_DEBUG"):
            traceback.print_exc()
        said = str(error) if isinstance(error, ExitbenchError) else f"{type(error).__name__}: {error}"
        answer = {"error": " ".join(said.split())}
    with whole_file(folder / ANSWER) as temporary:
        temporary.write_text(json.dumps(answer), encoding="utf-8")
    return 1 if "error" in answer else 0


def _timed(config: dict[str, Any], task: Any) -> dict[str, Any]:
    import torch

    from benchmark.config.compose import build
    from benchmark.hardware.profiles import applied
    from benchmark.timing import meters
    from benchmark.timing.timed_task import time_task

    base = meters.resident_bytes()
    torch.manual_seed(task.seed)  # as where the parent built the model: a model without weights is random
    with applied(task.hardware):
        model = build(config)
    found = time_task(model, task)
    facts = {"worker": True, "base_rss_bytes": base, "peak_rss_bytes": meters.peak_resident_bytes()}
    return asdict(replace(found, **facts))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
