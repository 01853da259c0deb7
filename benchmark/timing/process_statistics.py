"""Hierarchical interval of a timing ratio: processes, samples and rounds.

Code layout, memory and address randomisation differ from process to process, so that a ratio measured in one process
can be repeated there within 1% and be 4% off in the next one. pyperf therefore spawns several worker processes; so do
we, and the interval contains the variance between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmark.timing.statistics import Floats, Interval, bootstrap_interval, robust_times, student

# Standard deviation of a log ratio between whole measurements that are minutes apart, beyond what their processes
# explain: neighbours on the host, clock rates and memory drift more slowly than one measurement lasts, so that no
# single measurement can see it. Estimated by `exitbench doctor --stopwatch --repeats 10` on a shared
# machine (docs/machine.md), which also prints it for the machine at hand.
BETWEEN_MEASUREMENTS_SD = 0.015
NORMAL = 1.959964  # 97.5% of the standard normal distribution


class ProcessRatio(NamedTuple):
    """A ratio over P processes; deviations and half-widths are relative.

    between_process_sd: standard deviation of the log ratio between processes, including the noise within them.
    repeat_half_width: 95% of repeats of the whole measurement, P new processes on the same samples at another time,
    differ from this one by less.
    """

    interval: Interval
    between_process_sd: float
    repeat_half_width: float


def ratio_over_processes(
    tables: Sequence[tuple[Floats, Floats]], seed: int, draw_samples: bool, draws: int = 1000
) -> ProcessRatio:
    """Geometric mean over processes of total time over total time, with its 95% interval.

    tables: for each of P ≥ 2 processes, paired times (n, m) of the same n samples; m may differ between processes.
    draw_samples: whether the interval also allows for another draw of samples from their population.

    Rounds are reduced to typical times of a sample within a process (`robust_times`). Processes are independent draws:
    their log ratios give a t interval with P − 1 degrees of freedom, in which the noise of rounds is included. Samples
    give a bootstrap interval, drawn for all processes together. The two are combined by adding the squared distances
    of each side from the estimate (method of variance estimates recovery: Zou and Donner, Statistics in Medicine 27,
    2008). A bootstrap over a handful of processes would be too narrow: five drawn from five shrink the variance by a
    fifth, and percentiles ignore that a variance from five values is itself uncertain.
    """
    times = [robust_times(numerator, denominator) for numerator, denominator in tables]
    tops, bottoms = np.stack([top for top, _ in times]), np.stack([bottom for _, bottom in times])  # (P, n)
    log_ratios = np.log(tops.sum(1) / bottoms.sum(1))  # (P,)
    count, value, deviation = len(tables), float(log_ratios.mean()), float(log_ratios.std(ddof=1))
    half = student(count - 1) * deviation / count**0.5
    below = above = half
    if draw_samples:
        lo, hi = bootstrap_interval(tops, bottoms, seed, draws)
        below, above = float(np.hypot(half, max(0.0, value - lo))), float(np.hypot(half, max(0.0, hi - value)))
    interval = Interval(*(float(np.exp(bound)) for bound in (value, value - below, value + above)))
    repeat = 2**0.5 * float(np.hypot(half, NORMAL * BETWEEN_MEASUREMENTS_SD))
    return ProcessRatio(interval, deviation, float(np.expm1(repeat)))
