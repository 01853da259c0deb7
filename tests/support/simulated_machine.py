"""A pretend computer for the stopwatch's tests: work takes its nanoseconds times whatever noise reigns just then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from benchmark.timing.rounds import Clock

MS = 1_000_000  # nanoseconds


@dataclass
class Machine:
    """slowness(now_ns, runs_so_far) multiplies the time of each piece of work."""

    slowness: Callable[[float, int], float] = lambda now, runs: 1.0
    now: float = 0.0
    runs: int = 0
    synchronised: int = 0
    log: list[str] = field(default_factory=list)

    def work(self, nanoseconds: float) -> None:
        """Let that much work's time pass."""
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
