"""Repeat whole timing measurements of real models, and count how often their intervals agree with one another.

Each measurement is an A/A test and an A/B test at once: the canary is full depth against full depth, whose true ratio
is 1, and the speed-up is full depth against early exit, whose true ratio is unknown but constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations
from math import log
from statistics import mean, variance
from typing import NamedTuple

from benchmark.benches.support.setup import CPU, Family, load_family
from benchmark.timing.processes import time_in_processes
from benchmark.timing.stopwatch import Limits
from benchmark.timing.timed_task import TimedTask
from benchmark.types import ExitbenchError, Latency
from benchmark.utils.progress import track

MODELS = ("dvt_fashion", "minilm_exits")
SCENARIOS = {"single_stream": 1, "offline": 16}  # samples in a batch
SAMPLES = 64
LIMITS = Limits(time_limit_s=40, processes=5)
AIM = 0.9


class Agreement(NamedTuple):
    """Shares in [0, 1] over R repeats.

    truth: A/A intervals that contain 1. aa, ab: pairs of repeats whose intervals overlap. repeat: ordered pairs whose
    second speed-up lies within the first one's `repeat_half_width`, 0.95 by its definition.
    """

    truth: float
    aa: float
    ab: float
    repeat: float

    @property
    def reached(self) -> bool:
        """Whether all shares are at least AIM."""
        return min(self) >= AIM


def agreement(repeats: Sequence[Latency]) -> Agreement:
    """How often repeats of one measurement agree; R ≥ 2."""
    pairs = list(combinations(repeats, 2))
    ordered = list(permutations(repeats, 2))
    return Agreement(
        _share([measured.canary_lo <= 1 <= measured.canary_hi for measured in repeats]),
        _share([a.canary_lo <= b.canary_hi and b.canary_lo <= a.canary_hi for a, b in pairs]),
        _share([a.speedup_lo <= b.speedup_hi and b.speedup_lo <= a.speedup_hi for a, b in pairs]),
        _share([abs(b.speedup / a.speedup - 1) <= (a.repeat_half_width or 0.0) for a, b in ordered]),
    )


def between_times(repeats: Sequence[Latency]) -> float:
    """Standard deviation of the log speed-up between repeats, less what their processes explain; R ≥ 2."""
    within = mean((measured.between_process_sd or 0.0) ** 2 / measured.processes for measured in repeats)
    return max(0.0, variance(log(measured.speedup) for measured in repeats) - within) ** 0.5


def measure_repeats(
    repeats: int, models: Sequence[str] = MODELS, samples: int = SAMPLES, limits: Limits = LIMITS
) -> dict[tuple[str, str], list[Latency]]:
    """Both scenarios of each model, each measured `repeats` times, alternating; with progress on stderr.

    Raises:
        ExitbenchError: fewer than two repeats; a model that is not there; a worker that fails.
    """
    if repeats < 2:
        raise ExitbenchError(f"--repeats: expected a whole number from 2, got {repeats}")
    families = {name: load_family(name, samples) for name in models}
    found: dict[tuple[str, str], list[Latency]] = {(name, scenario): [] for name in models for scenario in SCENARIOS}
    turns = [(seed, case) for seed in range(repeats) for case in found]
    for seed, (name, scenario) in track(turns, "stopwatch", unit="measurement"):
        task = _task(families[name], scenario, limits, seed)
        found[name, scenario].append(time_in_processes(families[name].config, task))
    return found


def _task(family: Family, scenario: str, limits: Limits, seed: int) -> TimedTask:
    batch = SCENARIOS[scenario]
    return TimedTask(family.policy, family.samples, CPU, limits, seed, scenario, batch)


def format_table(found: dict[tuple[str, str], list[Latency]]) -> list[str]:
    """A row for each model and scenario."""
    rows = [
        f"  {'model':<14}{'scenario':<15}{'speed-ups':>14}{'±repeat':>9}{'sd proc.':>10}{'sd times':>10}"
        f"{'A/A has 1':>11}{'A/A pairs':>11}{'A/B pairs':>11}{'in repeat':>11}"
    ]
    for (name, scenario), repeats in found.items():
        values = [measured.speedup for measured in repeats]
        widths = sorted(measured.repeat_half_width or 0.0 for measured in repeats)
        deviations = sorted(measured.between_process_sd or 0.0 for measured in repeats)
        shares = agreement(repeats)
        rows.append(
            f"  {name:<14}{scenario:<15}{f'{min(values):.2f} … {max(values):.2f}':>14}"
            f"{widths[len(widths) // 2]:>9.1%}{deviations[len(deviations) // 2]:>10.1%}{between_times(repeats):>10.1%}"
            f"{shares.truth:>11.0%}{shares.aa:>11.0%}{shares.ab:>11.0%}{shares.repeat:>11.0%}"
        )
    return rows


def _share(held: Sequence[bool]) -> float:
    return sum(held) / len(held)
