"""What is timed, whichever process it is timed in: chosen samples on a hardware profile under a scenario."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from benchmark.engine import offline
from benchmark.engine.placement import is_reference_precision, place
from benchmark.hardware.profiles import applied
from benchmark.timing import meters
from benchmark.timing.stopwatch import DEFAULT_LIMITS, Limits, stopwatch, stopwatch_offline
from benchmark.timing.timed_section import synchronise
from benchmark.types import Batch, ExitbenchError, Hardware, Latency, Policy, Sample

SCENARIOS = ("single_stream", "offline")


@dataclass(frozen=True)
class TimedTask:
    """One timed section.

    batch: samples put together at exit 1; 1 in `single_stream`. refill: see `offline`.
    """

    policy: Policy
    samples: Sequence[Sample]
    hardware: Hardware
    limits: Limits = DEFAULT_LIMITS
    seed: int = 0
    scenario: str = "single_stream"
    batch: int = 1
    refill: bool = True


def time_task(model: Any, task: TimedTask) -> Latency:
    """Place the model, compile it where asked, and time it; answers are in the order of `task.samples`.

    Everything runs on the profile's threads, compiling and the energy meter's passes included: code that was compiled
    for another number of them would be compiled again.

    Raises:
        ExitbenchError: a batch larger than the set; a scenario that is not there; a stage that cannot be compiled.
    """
    check_scenario(task.scenario, task.batch, len(task.samples))
    with applied(task.hardware):
        return _timed(model, task)


def _timed(model: Any, task: TimedTask) -> Latency:
    started = time.perf_counter()
    model = place(model, task.hardware)
    took = time.perf_counter() - started
    rows, batches = collate_batches(model, task)
    extra: dict[str, Any] = {"weight_bytes": meters.weight_bytes(model)}
    units = offline.windows(batches, task.refill and task.scenario == "offline")
    compiled_late: Callable[[], list[str]] = list
    if task.hardware.compiler != "eager":
        from benchmark.engine import compilation  # takes a second to import

        wait, shrinking = synchronise(task.hardware.device), task.scenario == "offline"
        extra |= compilation.compile_model(
            model, batches, _runs(model, task), units, shrinking=shrinking, synchronise=wait
        )
        took += extra["compile_s"]
        compiled_late = partial(compilation.compiled_late, compilation.graph_count())
    if task.hardware.compiler != "eager" or not is_reference_precision(task.hardware):
        extra["compile_s"] = took
    watch: Callable[..., Latency] = stopwatch
    if task.scenario == "offline":
        watch = stopwatch_offline
    options = {"limits": task.limits, "seed": task.seed} | ({"refill": task.refill} if watch is not stopwatch else {})
    found = watch(model, task.policy, batches, task.hardware, **options)
    extra["unreliable"] = [*found.unreliable, *compiled_late()]
    extra |= {"peak_device_bytes": meters.peak_device_bytes(task.hardware.device)}
    if counter := meters.energy_meter(task.hardware.device):
        extra |= _energy(counter, model, task, units)
    return replace(in_sample_order(found, rows), **extra)


def check_scenario(scenario: str, batch: int, samples: int) -> None:
    """Raise ExitbenchError for what no timed section can be.

    Raises:
        ExitbenchError: another scenario; a batch that is no whole number from 1, or larger than the set.
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


def collate_batches(model: Any, task: TimedTask) -> tuple[list[int], list[Batch]]:
    """Positions of the samples in the order they are run, and their batches on the profile's device."""
    size = task.batch if task.scenario == "offline" else 1
    groups = [[position] for position in range(len(task.samples))]
    if size > 1:
        lengths = model.collate(task.samples).lengths.tolist()
        groups = offline.sort_into_batches(lengths, size)
    dtype = getattr(torch, task.hardware.dtype)
    batches = [model.collate([task.samples[row] for row in group]) for group in groups]
    return [row for group in groups for row in group], [one.to(task.hardware.device, dtype) for one in batches]


def in_sample_order(found: Latency, rows: Sequence[int]) -> Latency:
    """Answers put back from the order they were run in, `rows`, into the samples' own."""
    place = {row: position for position, row in enumerate(rows)}
    back = [place[row] for row in range(len(rows))]
    return replace(
        found,
        predictions=[found.predictions[position] for position in back],
        exit_depths=[found.exit_depths[position] for position in back],
    )


def _runs(model: Any, task: TimedTask) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    def full(window: Any) -> Any:
        return offline.full_window(model, window)

    def early(window: Any) -> Any:
        return offline.early_window(model, task.policy, window, task.refill)

    return full, early


def _energy(counter: meters.Meter, model: Any, task: TimedTask, units: Sequence[Any]) -> dict[str, Any]:
    full, early = _runs(model, task)
    return meters.energy(counter, full, early, units, len(task.samples), synchronise(task.hardware.device))
