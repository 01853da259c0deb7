"""Interleaved timing rounds: one observation, one round of three runs, the warm-up, the random order of samples."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any, Literal

import numpy as np

from benchmark.timing.statistics import Floats

ClockName = Literal["cpu", "wall"]
Run = Callable[[Any], object]  # what is timed, on one unit
Runs = tuple[Run, Run, Run]  # full, early, canary
ORDERS = tuple(permutations(range(3)))

STEADY_ROUNDS = 5  # medians over so many rounds are compared …
STEADY_TOLERANCE = 0.05  # … and must agree to this
WARMUP_CAP = 50


@dataclass(frozen=True)
class Clock:
    """Two clocks in nanoseconds and a function that waits for the device; tests use a simulated one."""

    wall: Callable[[], int] = time.perf_counter_ns
    cpu: Callable[[], int] = time.process_time_ns  # all threads of this process, so neighbours do not count
    synchronise: Callable[[], None] = lambda: None
    record_event: Callable[[], Any] | None = None  # a timestamp in the device's own stream, read after the wait …
    elapsed_ns: Callable[[Any, Any], int] = lambda start, end: end - start  # … as nanoseconds between two of them


@dataclass(frozen=True)
class Observations:
    """All rounds so far, in the order they were run; columns are full, early, canary.

    process_of: the process of each round; all 0 while one process is timing.
    """

    sample_of: list[int] = field(default_factory=list)
    wall_ns: list[list[int]] = field(default_factory=list)  # (R, 3)
    cpu_ns: list[list[int]] = field(default_factory=list)  # (R, 3)
    process_of: list[int] = field(default_factory=list)

    def add(self, sample: int, wall: list[int], cpu: list[int]) -> None:
        """One round of this process."""
        self.sample_of.append(sample)
        self.wall_ns.append(wall)
        self.cpu_ns.append(cpu)
        self.process_of.append(0)

    def milliseconds(self, clock: ClockName) -> Floats:
        """Times (R, 3) by one clock."""
        return np.array(self.cpu_ns if clock == "cpu" else self.wall_ns, dtype=float) / 1e6

    def tables(self, clock: ClockName, process: int | None = None) -> tuple[Floats, Floats, Floats]:
        """Times by one clock as full, early and canary (n, m), a row for each sample; of one process or of all.

        Needs whole passes: each sample equally often.
        """
        times, samples = self.milliseconds(clock), np.array(self.sample_of)
        if process is not None:
            rounds = np.array(self.process_of) == process
            times, samples = times[rounds], samples[rounds]
        by_sample = np.argsort(samples, kind="stable")
        table = times[by_sample].reshape(len(np.unique(samples)), -1, 3)  # (n, m, 3)
        return table[..., 0], table[..., 1], table[..., 2]

    @property
    def processes(self) -> int:
        """How many processes were timed."""
        return len(set(self.process_of))


def observe(run: Run, unit: object, clock: Clock) -> tuple[int, int, object]:
    """Wall and CPU nanoseconds of one run, and its result; from idle to idle device, garbage collection held off."""
    clock.synchronise()
    collecting = gc.isenabled()
    gc.disable()
    try:
        cpu = clock.cpu()
        start = clock.record_event() if clock.record_event else clock.wall()
        result = run(unit)
        end = clock.record_event() if clock.record_event else None
        clock.synchronise()
        wall = clock.wall() - start if end is None else clock.elapsed_ns(start, end)
        return wall, clock.cpu() - cpu, result
    finally:
        if collecting:
            gc.enable()


def run_round(runs: Runs, unit: object, order: Sequence[int], clock: Clock) -> tuple[list[int], list[int], object]:
    """The three runs on one unit in the given order -> wall and CPU nanoseconds, columns full, early, canary; and
    what early returned."""
    wall, cpu = [0, 0, 0], [0, 0, 0]
    answer: object = None
    for kind in order:
        wall[kind], cpu[kind], result = observe(runs[kind], unit, clock)
        if kind == 1:
            answer = result
    return wall, cpu, answer


def pass_order(n: int, rng: np.random.Generator) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Every sample once, shuffled, each with one of the six orders; all six equally often (± 1)."""
    orders = rng.permutation(np.arange(n) % len(ORDERS))
    for sample, order in zip(rng.permutation(n), orders, strict=True):
        yield int(sample), ORDERS[order]


def is_steady(times: Sequence[float]) -> bool:
    """Whether the median of the last rounds agrees with the median of as many before them."""
    if len(times) < 2 * STEADY_ROUNDS:
        return False
    before = statistics.median(times[-2 * STEADY_ROUNDS : -STEADY_ROUNDS])
    return abs(statistics.median(times[-STEADY_ROUNDS:]) - before) <= STEADY_TOLERANCE * before


def warm_up(runs: Runs, units: Sequence[object], clock: Clock, headline: ClockName, limit_s: float) -> tuple[int, bool]:
    """Run untimed until steady -> rounds spent, and whether a cap ended it.

    First every unit once, because each new input shape pays for its own kernels and buffers; then the first unit until
    its times are steady, for at most `WARMUP_CAP` rounds or `limit_s` seconds.
    """
    for unit in units:
        for run in runs:
            run(unit)
    times: list[float] = []
    end = clock.wall() + limit_s * 1e9
    while not (steady := is_steady(times)) and len(times) < WARMUP_CAP and clock.wall() < end:
        wall, cpu, _ = run_round(runs, units[0], ORDERS[0], clock)
        times.append(sum(cpu if headline == "cpu" else wall))
    return len(units) + len(times), not steady
