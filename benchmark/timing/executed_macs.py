"""MACs of the offline engine as it really runs: counted while it runs, whatever it claims to skip.

Samples that a loop masks but computes are counted like any other, so they can never pass for saved.
"""

from __future__ import annotations

from benchmark.cost.macs import count_call
from benchmark.engine import offline
from benchmark.timing.timed_task import TimedTask, collate_batches
from benchmark.types import EarlyExitModel


def executed_macs(model: EarlyExitModel, task: TimedTask) -> dict[str, float]:
    """Mean MACs per sample, in G, that early exit and full depth execute on a task's batches, padding included.

    model: eager and in float32, because quantised and compiled operators have no formulas.
    """
    _, batches = collate_batches(model, task)
    windows = offline.windows(batches, task.refill)
    early = count_call(lambda: [offline.early_window(model, task.policy, one, task.refill) for one in windows])
    full = count_call(lambda: [offline.full_window(model, one) for one in windows])
    n = len(task.samples)
    return {"gmacs_executed": early / n / 1e9, "gmacs_executed_full": full / n / 1e9}
