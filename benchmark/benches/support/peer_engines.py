"""Our offline engine against masking without compaction and against one sample at a time."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.benches.support.peer_row import Row
from benchmark.engine import offline
from benchmark.engine.execute import run_early
from benchmark.policies.base import live_columns
from benchmark.timing import statistics as bootstrap
from benchmark.timing.stopwatch import Limits, measure
from benchmark.timing.timed_task import TimedTask, collate_batches
from benchmark.types import Batch, EarlyExitModel, Hardware, Policy, Sample


@torch.inference_mode()
def masked(model: EarlyExitModel, policy: Policy, batch: Batch) -> tuple[Tensor, Tensor]:
    """Early exit by masking: all samples run until the last has exited -> logits (b, C), depths (b,)."""
    device = str(batch.lengths.device)
    state, columns_read = policy.start(len(batch), device), live_columns(policy, model)
    running = torch.ones(len(batch), dtype=torch.bool, device=device)
    depths = torch.full((len(batch),), model.num_exits, device=device)
    answers: Tensor | None = None
    for depth, columns in enumerate(model.exits(batch), 1):
        logits = columns[:, : model.num_classes]
        answers = logits if answers is None else torch.where(running[:, None], logits, answers)
        if depth < model.num_exits:
            stop, state = policy.step(columns[:, columns_read], state)
            depths[running & stop] = depth
            running = running & ~stop
            if not running.any():
                break
    assert answers is not None
    return answers, depths


def compare(
    case: str, model: Any, policy: Policy, samples: Sequence[Sample], hardware: Hardware, size: int, limits: Limits
) -> list[Row]:
    """CPU milliseconds a sample of the three on all samples, in rounds; ratios to ours with intervals over rounds."""
    order, batches = collate_batches(model, TimedTask(policy, samples, hardware, scenario="offline", batch=size))
    windows = offline.windows(batches, refill=True)
    ones = [model.collate([samples[row]]) for row in order]

    def ours(unit: int) -> tuple[Tensor, Tensor]:
        return _joined([offline.early_window(model, policy, window) for window in windows])

    def by_masks(unit: int) -> tuple[Tensor, Tensor]:
        return _joined([masked(model, policy, batch) for batch in batches])

    def one_by_one(unit: int) -> tuple[Tensor, Tensor]:
        return _joined([run_early(model, policy, one) for one in ones])

    wanted, n = ours(0), len(samples)
    # Columns of a round: full is masking, early is ours, and the canary's place is taken by the third.
    measured = measure(by_masks, ours, [0], read=lambda answer: (0, 1), canary=one_by_one, limits=limits, over="rounds",
                   samples=n)  # fmt: skip
    mine = np.array([measured.early_cpu_ms])
    own = statistics.median(measured.early_cpu_ms) / n
    rows = [Row("offline", case, "exitbench, refilled", "CPU ms a sample", own)]
    for tool, times, run in (
        ("masking without compaction", measured.full_cpu_ms, by_masks),
        ("one sample at a time", measured.canary_cpu_ms, one_by_one),
    ):
        ratio = bootstrap.ratio_of_fixed_units(np.array([times]), mine, seed=0)
        rows.append(Row("offline", case, tool, "CPU ms a sample", statistics.median(times) / n, to_ours=ratio.value,
                        to_ours_lo=ratio.lo, to_ours_hi=ratio.hi, note=agreement(wanted, run(0))))  # fmt: skip
    return rows


def agreement(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> str:
    """Whether two runs over the same samples gave the same answers and exits."""
    other = (ours[0].argmax(-1) != theirs[0].argmax(-1)) | (ours[1] != theirs[1])
    return f"{int(other.sum())} of {len(other)} samples differ" if other.any() else "same answers and exits"


def _joined(parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return torch.cat([logits for logits, _ in parts]), torch.cat([depths for _, depths in parts])
