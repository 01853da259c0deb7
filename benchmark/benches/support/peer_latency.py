"""Our stopwatch against torch.utils.benchmark on the same call, alternating, by the CPU clock."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from torch.utils import benchmark as torch_benchmark

from benchmark.benches.support.peer_row import Row
from benchmark.timing.rounds import Clock, observe

BLOCK = 5  # calls in a block; a block's mean is one value of either


def compare(case: str, call: Callable[[], object], passes: int, clock: Clock | None = None) -> list[Row]:
    """Alternating blocks of both tools, each first equally often, so that noise affects both alike.

    They agree where their 95% intervals of the median meet.
    """
    timer = torch_benchmark.Timer("call()", globals={"call": call}, timer=time.process_time, num_threads=1)
    timer.timeit(3)
    ours: list[float] = []
    theirs: list[float] = []
    ticks = clock or Clock()

    def our_block() -> None:
        ours.append(statistics.fmean(observe(lambda unit: call(), None, ticks)[1] / 1e6 for _ in range(BLOCK)))

    def their_block() -> None:
        theirs.append(timer.timeit(BLOCK).mean * 1e3)

    for one in range(passes):
        for block in (our_block, their_block) if one % 2 else (their_block, our_block):
            block()
    return rows(case, ours, theirs)


def rows(case: str, ours: list[float], theirs: list[float]) -> list[Row]:
    """Both tools' block means in milliseconds -> their medians, intervals, and whether these meet."""
    (low, high), (their_low, their_high) = interval(ours), interval(theirs)
    middle, their_middle = statistics.median(ours), statistics.median(theirs)
    verdict = "intervals meet" if low <= their_high and their_low <= high else "intervals are apart"
    return [
        Row("latency", case, "exitbench", "CPU ms", middle, low, high),
        Row("latency", case, "torch.utils.benchmark", "CPU ms", their_middle, their_low, their_high,
            their_middle / middle, note=verdict),
    ]  # fmt: skip


def interval(values: list[float]) -> tuple[float, float]:
    """95% interval of the median, by bootstrap."""
    drawn = np.random.default_rng(0).choice(values, size=(1000, len(values)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return float(low), float(high)
