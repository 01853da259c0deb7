"""What the stopwatch does, without judging it: one observation, one round of three, a warm-up, the order of all."""

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
Runs = tuple[Callable[[Any], Any], Callable[[Any], Any], Callable[[Any], Any]]  # full, early, canary
ORDERS = tuple(permutations(range(3)))

STEADY_ROUNDS = 5  # medians over so many rounds are compared …
STEADY_TOLERANCE = 0.05  # … and must agree to this
WARMUP_CAP = 50


@dataclass(frozen=True)
class Clock:
    """Two clocks in nanoseconds and what waits for the device; tests put in their own."""

    wall: Callable[[], int] = time.perf_counter_ns
    cpu: Callable[[], int] = time.process_time_ns  # all threads of this process, so neighbours do not count
    synchronise: Callable[[], None] = lambda: None
    record_event: Callable[[], Any] | None = None  # a device's own timestamp, read after the wait …
    elapsed_ns: Callable[[Any, Any], int] = lambda start, end: end - start  # … as nanoseconds from one to another


@dataclass(frozen=True)
class Observations:
    """All rounds so far, in the order they were run; columns are full, early, canary."""

    sample_of: list[int] = field(default_factory=list)
    wall_ns: list[list[int]] = field(default_factory=list)  # (R, 3)
    cpu_ns: list[list[int]] = field(default_factory=list)  # (R, 3)

    def milliseconds(self, clock: ClockName) -> Floats:
        """Times (R, 3) by one clock."""
        return np.array(self.cpu_ns if clock == "cpu" else self.wall_ns, dtype=float) / 1e6

    def tables(self, clock: ClockName) -> tuple[Floats, Floats, Floats]:
        """Times by one clock as full, early and canary (n, m): a row for each sample. Needs whole passes."""
        by_sample = np.argsort(self.sample_of, kind="stable")
        table = self.milliseconds(clock)[by_sample].reshape(len(set(self.sample_of)), -1, 3)  # (n, m, 3)
        return table[..., 0], table[..., 1], table[..., 2]


def observe(run: Callable[[Any], Any], unit: Any, clock: Clock) -> tuple[int, int]:
    """Wall and CPU nanoseconds of one run, from an idle device to an idle device, garbage collection held off."""
    clock.synchronise()
    collecting = gc.isenabled()
    gc.disable()
    try:
        cpu = clock.cpu()
        start = clock.record_event() if clock.record_event else clock.wall()
        run(unit)
        end = clock.record_event() if clock.record_event else None
        clock.synchronise()
        wall = clock.wall() - start if end is None else clock.elapsed_ns(start, end)
        return wall, clock.cpu() - cpu
    finally:
        if collecting:
            gc.enable()


def run_round(runs: Runs, unit: Any, order: Sequence[int], clock: Clock) -> tuple[list[int], list[int]]:
    """The three runs on one unit in the given order -> wall and CPU nanoseconds, columns full, early, canary."""
    wall, cpu = [0, 0, 0], [0, 0, 0]
    for kind in order:
        wall[kind], cpu[kind] = observe(runs[kind], unit, clock)
    return wall, cpu


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


def warm_up(
    runs: Runs, units: Sequence[Any], clock: Clock, headline: ClockName, limit_s: float
) -> tuple[list[Any], int, bool]:
    """Run untimed until steady -> early's answers (one per unit), rounds spent, whether a cap ended it.

    First every unit once, because each new shape pays for its own kernels and buffers; then the first unit until
    its times are steady, for at most `WARMUP_CAP` rounds or `limit_s` seconds.
    """
    answers = []
    for unit in units:
        runs[0](unit)
        answers.append(runs[1](unit))
        runs[2](unit)
    times: list[float] = []
    end = clock.wall() + limit_s * 1e9
    while not (steady := is_steady(times)) and len(times) < WARMUP_CAP and clock.wall() < end:
        wall, cpu = run_round(runs, units[0], ORDERS[0], clock)
        times.append(sum(cpu if headline == "cpu" else wall))
    return answers, len(units) + len(times), not steady
