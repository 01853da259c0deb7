"""MACs of the offline engine as it really runs: counted while it runs, whatever it claims to skip.

Samples that a loop masks but computes are counted like any other, so they can never pass for saved.
"""

from __future__ import annotations

from benchmark.cost.macs import tally
from benchmark.engine import offline
from benchmark.timing.task import Task, collated
from benchmark.types import EarlyExitModel


def executed(model: EarlyExitModel, task: Task) -> dict[str, float]:
    """Mean MACs per sample, in G, that early exit and full depth execute on a task's batches, padding included.

    model: eager and in float32, because quantised and compiled operators have no formulas.
    """
    _, batches = collated(model, task)
    windows = offline.windows(batches, task.refill)
    early = tally(lambda: [offline.early_window(model, task.policy, one, task.refill) for one in windows])
    full = tally(lambda: [offline.full_window(model, one) for one in windows])
    n = len(task.samples)
    return {"gmacs_executed": early / n / 1e9, "gmacs_executed_full": full / n / 1e9}
