"""A timing task repeated in several fresh worker processes, and their observations as one measurement.

As pyperf does: a process is one draw of code layout, memory placement and address randomisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmark.timing import summary
from benchmark.timing.rounds import ClockName, Observations
from benchmark.timing.timed_task import TimedTask
from benchmark.timing.worker import time_in_worker
from benchmark.types import Latency


def time_in_processes(model: dict[str, Any], task: TimedTask) -> Latency:
    """`task` timed by `task.limits.processes` worker processes, one after the other.

    `time_limit_s` is shared: each process gets an equal part of the time that those before it have left, its start-up
    included. Compiling is not counted; processes after the first find the graphs in torch's cache on disk.

    Raises:
        ExitbenchError: an error in a worker, or a worker that died.
    """
    total = task.limits.processes
    parts: list[Latency] = []
    left = task.limits.time_limit_s
    for process in range(total):
        share = max(1e-3, left / (total - process))
        limits = replace(task.limits, time_limit_s=share)
        result = time_in_worker(model, replace(task, limits=limits, process=process))
        parts.append(result.latency)
        left -= result.seconds
    return combine(parts, task.seed)


def combine(parts: Sequence[Latency], seed: int) -> Latency:
    """The measurements of several processes as one, with intervals over processes; a single one stays as it is.

    Samples and windows must be the same in all. Memory is the largest of any process, energy and noise are those of
    the first. Predictions and exit depths of each process are kept for the audit.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    observations = _merged(parts)
    over: summary.Over = "rounds" if first.interval_over == "rounds" else "samples"
    clock: ClockName = "cpu" if first.clock == "cpu" else "wall"
    ratios = summary.summarise(observations, clock, seed, over)
    ratios["unreliable"] += _compiled_late(parts)
    units = first.n if first.units is None else first.units
    reasons = {part.stopped_by for part in parts}
    return replace(
        first,
        rounds=len(observations.sample_of),
        warmup_rounds=sum(part.warmup_rounds for part in parts),
        warmup_capped=any(part.warmup_capped for part in parts),
        **summary.raw_observations(observations),
        **ratios,
        **summary.percentiles(observations, units if over == "samples" else 0),
        **summary.throughput(observations, first.n),
        stopped_by="time_limit" if "time_limit" in reasons else first.stopped_by,
        predictions_by_process=[part.predictions for part in parts],
        exit_depths_by_process=[part.exit_depths for part in parts],
        timed_s=_sum([part.timed_s for part in parts]),
        peak_rss_bytes=_max([part.peak_rss_bytes for part in parts]),
        peak_device_bytes=_max([part.peak_device_bytes for part in parts]),
    )


def _merged(parts: Sequence[Latency]) -> Observations:
    merged = Observations()
    for process, part in enumerate(parts):
        merged.sample_of.extend(part.sample_of)
        merged.process_of.extend([process] * len(part.sample_of))
        merged.wall_ns.extend(_nanoseconds(part.full_wall_ms, part.early_wall_ms, part.canary_wall_ms))
        merged.cpu_ns.extend(_nanoseconds(part.full_cpu_ms, part.early_cpu_ms, part.canary_cpu_ms))
    return merged


def _nanoseconds(*columns: Sequence[float]) -> list[list[int]]:
    return [[round(value * 1e6) for value in row] for row in zip(*columns, strict=True)]


def _compiled_late(parts: Sequence[Latency]) -> list[str]:
    if not parts[0].compiled:
        return []
    from benchmark.engine.compilation import compiled_late  # takes a second to import

    return compiled_late(sum(part.compiled.get("graphs_late", 0) for part in parts))


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _max(values: Sequence[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)
