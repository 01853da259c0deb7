"""A simulated computer for the stopwatch's tests: work takes its nanoseconds times the noise of that moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmark.timing.rounds import Clock
from benchmark.timing.stopwatch import Limits, measure
from benchmark.types import Latency

MS = 1_000_000  # nanoseconds


@dataclass
class Machine:
    """slowness(now_ns, runs_so_far) multiplies the time of all work."""

    slowness: Callable[[float, int], float] = lambda now, runs: 1.0
    now: float = 0.0
    runs: int = 0
    synchronised: int = 0
    log: list[str] = field(default_factory=list)

    def work(self, nanoseconds: float) -> None:
        """Advance the clock by work that takes so long without noise."""
        self.now += nanoseconds * self.slowness(self.now, self.runs)
        self.runs += 1

    def clock(self) -> Clock:
        """Both clocks read this machine's time."""
        return Clock(wall=lambda: int(self.now), cpu=lambda: int(self.now), synchronise=self._synchronise)

    def _synchronise(self) -> None:
        self.synchronised += 1


def weather(seed: int) -> Callable[[float, int], float]:
    """Noise as seen on shared machines: slow drift, bursts of neighbours, and heavy tails on single runs."""
    rng = np.random.default_rng(seed)
    phase, period = rng.uniform(0, 2 * np.pi), rng.uniform(1e9, 10e9)  # drift of ±30% over seconds
    changes = np.cumsum(rng.exponential([[400 * MS, 150 * MS]], size=(400, 2)).ravel())  # quiet, burst, quiet, …
    factor = rng.uniform(1.3, 2.5)

    def slowness(now: float, runs: int) -> float:
        burst = factor if np.searchsorted(changes, now) % 2 else 1.0
        drift = 1 + 0.3 * np.sin(2 * np.pi * now / period + phase)
        tail = 1 + 0.02 * rng.standard_exponential() + (rng.pareto(1.5) if rng.random() < 0.03 else 0.0)
        return float(burst * drift * tail)

    return slowness


def calm(seed: int) -> Callable[[float, int], float]:
    """Noise of an idle machine: 1% on each run, independent."""
    rng = np.random.default_rng(seed)
    return lambda now, runs: float(np.exp(rng.normal(0, 0.01)))


def one_process(
    seed: int,
    process: int,
    units: list[float],
    full: float,
    deviation: float,
    limits: Limits,
    noise: Callable[[int], Callable[[float, int], float]] = calm,
    **options: Any,
) -> Latency:
    """One worker process: noise, and factors on full depth and early exit that are constant within the process.

    deviation: of the log of both factors; as code layout and memory placement cause it on real machines.
    """
    machine = Machine(noise(1000 * seed + process))
    slow_full, slow_early = np.exp(np.random.default_rng([seed, process]).normal(0, deviation, 2))

    def early(unit: float) -> tuple[int, int]:
        machine.work(unit * slow_early * MS)
        return 7, int(unit)

    return measure(
        lambda unit: machine.work(full * slow_full * MS),
        early,
        units,
        read=lambda answer: answer,
        clock=machine.clock(),
        limits=limits,
        seed=seed + 17 * process,
        **options,
    )
