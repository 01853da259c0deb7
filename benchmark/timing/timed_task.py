"""A timing task, samples on a hardware profile under a scenario, and how to run it in the current process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from benchmark.engine import offline
from benchmark.engine.placement import is_reference_precision, place
from benchmark.hardware.profiles import applied
from benchmark.timing import meters
from benchmark.timing.stopwatch import DEFAULT_LIMITS, Limits, stopwatch, stopwatch_offline
from benchmark.timing.timed_section import synchronise
from benchmark.types import Batch, EarlyExitModel, ExitbenchError, Hardware, Latency, Policy, Sample

SCENARIOS = ("single_stream", "offline")
ORDER_SEEDS = 1_000_003  # apart, so that processes and seeds close to each other shuffle differently


class Collating(Protocol):
    """What makes batches of samples."""

    def collate(self, samples: Sequence[Any]) -> Batch: ...


@dataclass(frozen=True)
class TimedTask:
    """One timing task.

    batch: samples per batch at exit 1; 1 in `single_stream`. refill: see `engine.offline`.
    process: which of several processes this is; it decides the order of samples, and the first one measures energy.
    """

    policy: Policy
    samples: Sequence[Sample]
    hardware: Hardware
    limits: Limits = DEFAULT_LIMITS
    seed: int = 0
    scenario: str = "single_stream"
    batch: int = 1
    refill: bool = True
    process: int = 0


def time_task(model: EarlyExitModel, task: TimedTask) -> Latency:
    """Place the model, compile it if the profile says so, and time it in this process.

    Predictions and exit depths are in the order of `task.samples`. Everything runs on the profile's threads, compiling
    and energy measurement included: code compiled for another number of threads would be compiled again.

    Raises:
        ExitbenchError: a batch larger than the set; an unknown scenario; a stage that cannot be compiled.
    """
    check_scenario(task.scenario, task.batch, len(task.samples))
    with applied(task.hardware):
        return _time(model, task)


def _time(model: EarlyExitModel, task: TimedTask) -> Latency:
    started = time.perf_counter()
    model = place(model, task.hardware)
    placing_s = time.perf_counter() - started
    rows, batches = collate_batches(model, task)
    units = offline.windows(batches, task.refill and task.scenario == "offline")
    extra: dict[str, Any] = {"weight_bytes": meters.weight_bytes(model)}
    graphs = 0
    if task.hardware.compiler != "eager":
        compilation = compile_placed(model, task, batches, units)
        extra |= {**compilation, "compile_s": placing_s + compilation["compile_s"]}
        graphs = _graph_count(model)
    elif not is_reference_precision(task.hardware):
        extra["compile_s"] = placing_s
    found = _watch(model, task, batches)
    if task.hardware.compiler != "eager":
        extra |= _compiled_late(found, extra["compiled"], _graph_count(model) - graphs)
    extra |= {"peak_device_bytes": meters.peak_device_bytes(task.hardware.device)}
    if task.process == 0 and (counter := meters.energy_meter(task.hardware.device)):
        full, early = _runs(model, task)
        wait = synchronise(task.hardware.device)
        extra |= meters.energy(counter, full, early, units, len(task.samples), wait)
    return replace(in_sample_order(found, rows), **extra)


def _watch(model: EarlyExitModel, task: TimedTask, batches: Sequence[Batch]) -> Latency:
    seed = task.seed + ORDER_SEEDS * task.process
    if task.scenario == "offline":
        return stopwatch_offline(
            model, task.policy, batches, task.hardware, refill=task.refill, limits=task.limits, seed=seed
        )
    return stopwatch(model, task.policy, batches, task.hardware, limits=task.limits, seed=seed)


def compile_placed(
    model: EarlyExitModel, task: TimedTask, batches: Sequence[Batch], units: Sequence[offline.Window]
) -> Any:
    """Compile or export all stages of a placed model by running every unit; fields of `Latency`."""
    if task.hardware.compiler == "onnxruntime":
        from benchmark.engine import onnx_stages

        assert isinstance(model, onnx_stages.StageSessions)
        return onnx_stages.prepare(model, _runs(model, task), units)
    from benchmark.engine.compilation import compile_model  # takes a second to import

    wait, shrinking = synchronise(task.hardware.device), task.scenario == "offline"
    return compile_model(model, batches, _runs(model, task), units, shrinking=shrinking, synchronise=wait)


def _graph_count(model: EarlyExitModel) -> int:
    """Graphs compiled in this process so far, or loaded by this model's sessions."""
    if (loaded := getattr(model, "loaded", None)) is not None:
        return loaded
    from benchmark.engine.compilation import graph_count

    return graph_count()


def _compiled_late(found: Latency, compiled: dict[str, Any], late: int) -> dict[str, Any]:
    """Graphs compiled while the clock ran make a measurement unreliable."""
    from benchmark.engine.compilation import compiled_late

    return {"compiled": {**compiled, "graphs_late": late}, "unreliable": [*found.unreliable, *compiled_late(late)]}


def check_scenario(scenario: str, batch: int, samples: int) -> None:
    """Raise unless a scenario, batch size and number of samples can be timed.

    Raises:
        ExitbenchError: an unknown scenario; a batch size that is no whole number from 1, or larger than the set.
    """
    if scenario not in SCENARIOS:
        raise ExitbenchError(f"scenario: expected one of {', '.join(SCENARIOS)}, got {scenario!r}")
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise ExitbenchError(f"offline.batch: expected a whole number from 1, got {batch!r}")
    if scenario == "offline" and batch > samples:
        raise ExitbenchError(
            f"offline.batch: expected at most as many as there are samples to time, {samples}, got {batch}; "
            "raise limit or timing.samples"
        )


def collate_batches(model: Collating, task: TimedTask) -> tuple[list[int], list[Batch]]:
    """Positions of the samples in the order they are run, and their batches on the profile's device."""
    size = task.batch if task.scenario == "offline" else 1
    groups = [[position] for position in range(len(task.samples))]
    if size > 1:
        lengths = model.collate(task.samples).lengths.tolist()
        groups = offline.sort_into_batches(lengths, size)
    dtype = getattr(torch, task.hardware.dtype)
    batches = [model.collate([task.samples[row] for row in group]) for group in groups]
    return [row for group in groups for row in group], [batch.to(task.hardware.device, dtype) for batch in batches]


def in_sample_order(found: Latency, rows: Sequence[int]) -> Latency:
    """Predictions and exit depths, measured in the order `rows`, put back into the order of the samples."""
    position_of = {row: position for position, row in enumerate(rows)}
    back = [position_of[row] for row in range(len(rows))]
    return replace(
        found,
        predictions=[found.predictions[position] for position in back],
        exit_depths=[found.exit_depths[position] for position in back],
    )


Run = Callable[[offline.Window], object]


def _runs(model: EarlyExitModel, task: TimedTask) -> tuple[Run, Run]:
    """Full depth and early exit over one window."""

    def full(window: offline.Window) -> object:
        return offline.full_window(model, window)

    def early(window: offline.Window) -> object:
        return offline.early_window(model, task.policy, window, task.refill)

    return full, early
