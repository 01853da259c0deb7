"""From timing observations to the fields of Latency: speed-up with interval, canary check, percentiles, throughput."""

from __future__ import annotations

from typing import Literal, TypedDict

from benchmark.timing import statistics as bootstrap
from benchmark.timing.process_statistics import BETWEEN_MEASUREMENTS_SD, ProcessRatio, ratio_over_processes
from benchmark.timing.rounds import ClockName, Observations
from benchmark.timing.statistics import Floats, Interval

CANARY_WIDTH = 0.05
FEWEST_SAMPLES = 10  # the bootstrap of fewer is far too narrow
Over = Literal["samples", "rounds"]
# What an interval allows for within one process: another draw of samples, or timing the same set again.
INTERVALS = {"samples": bootstrap.ratio_of_totals, "rounds": bootstrap.ratio_of_fixed_units}
# What it allows for over several processes, as the record says it.
OVER_PROCESSES = {"samples": "processes and samples", "rounds": "processes"}


class RawObservations(TypedDict):
    """Every observation: milliseconds by kind and clock, one per round, with the sample and process of each round."""

    full_wall_ms: list[float]
    early_wall_ms: list[float]
    canary_wall_ms: list[float]
    full_cpu_ms: list[float]
    early_cpu_ms: list[float]
    canary_cpu_ms: list[float]
    sample_of: list[int]
    process_of: list[int]


class Ratios(TypedDict):
    """Ratios with 95% intervals, and the reasons not to trust them."""

    speedup: float
    speedup_lo: float
    speedup_hi: float
    speedup_wall: float
    speedup_wall_lo: float
    speedup_wall_hi: float
    canary: float
    canary_lo: float
    canary_hi: float
    median_ratio: float
    repeat_half_width: float
    between_process_sd: float | None
    between_measurements_sd: float | None
    processes: int
    interval_over: str
    unreliable: list[str]


class Percentiles(TypedDict):
    """Percentiles of wall latency, and how many outliers were kept."""

    latency_ms_p50: float | None
    latency_ms_p90: float | None
    latency_ms_p99: float | None
    full_ms_p50: float | None
    full_ms_p90: float | None
    full_ms_p99: float | None
    outliers: int


class Throughput(TypedDict):
    """Samples per second."""

    samples_per_s: float
    full_samples_per_s: float


def raw_observations(observations: Observations) -> RawObservations:
    """The observations as a record holds them; `process_of` stays empty for a single process."""
    full_wall, early_wall, canary_wall = observations.milliseconds("wall").T.tolist()
    full_cpu, early_cpu, canary_cpu = observations.milliseconds("cpu").T.tolist()
    return {
        "full_wall_ms": full_wall,
        "early_wall_ms": early_wall,
        "canary_wall_ms": canary_wall,
        "full_cpu_ms": full_cpu,
        "early_cpu_ms": early_cpu,
        "canary_cpu_ms": canary_cpu,
        "sample_of": list(observations.sample_of),
        "process_of": list(observations.process_of) if observations.processes > 1 else [],
    }


def summarise(observations: Observations, headline: ClockName, seed: int, over: Over = "samples") -> Ratios:
    """Ratios with intervals by both clocks, and the reasons not to trust them; the headline clock decides.

    With several processes the intervals contain the variance between them (`process_statistics`); with one they
    describe that process only.
    """
    ratio = _within_process if observations.processes == 1 else _over_processes
    speedup, canary = ratio(observations, headline, 1, seed, over), ratio(observations, headline, 2, seed, over)
    wall = speedup if headline == "wall" else ratio(observations, "wall", 1, seed, over)
    full, early, _ = observations.tables(headline)
    several = observations.processes > 1
    return {
        "speedup": speedup.interval.value,
        "speedup_lo": speedup.interval.lo,
        "speedup_hi": speedup.interval.hi,
        "speedup_wall": wall.interval.value,
        "speedup_wall_lo": wall.interval.lo,
        "speedup_wall_hi": wall.interval.hi,
        "canary": canary.interval.value,
        "canary_lo": canary.interval.lo,
        "canary_hi": canary.interval.hi,
        "median_ratio": bootstrap.median_ratio(full, early),
        "repeat_half_width": speedup.repeat_half_width,
        "between_process_sd": speedup.between_process_sd if several else None,
        "between_measurements_sd": BETWEEN_MEASUREMENTS_SD if several else None,
        "processes": observations.processes,
        "interval_over": OVER_PROCESSES[over] if several else over,
        "unreliable": _problems(canary.interval, len(full) if over == "samples" else full.size, over),
    }


def _within_process(observations: Observations, clock: ClockName, column: int, seed: int, over: Over) -> ProcessRatio:
    tables = observations.tables(clock)
    full, other = tables[0], tables[column]
    half_width = bootstrap.repeat_half_width(full, other, seed) if column == 1 else 0.0
    return ProcessRatio(INTERVALS[over](full, other, seed), 0.0, half_width)


def _over_processes(observations: Observations, clock: ClockName, column: int, seed: int, over: Over) -> ProcessRatio:
    tables: list[tuple[Floats, Floats]] = []
    for process in sorted(set(observations.process_of)):
        table = observations.tables(clock, process)
        tables.append((table[0], table[column]))
    return ratio_over_processes(tables, seed, draw_samples=over == "samples")


def _problems(canary: Interval, n: int, over: Over) -> list[str]:
    """Why the numbers should not be ranked; empty if the canary is fine."""
    measured = f"canary {canary.value:.3f} [{canary.lo:.3f}, {canary.hi:.3f}]"
    problems = []
    if not canary.lo <= 1 <= canary.hi:
        problems.append(f"{measured}: full depth against itself misses 1")
    if canary.width > CANARY_WIDTH:
        problems.append(f"{measured}: wider than {CANARY_WIDTH:.0%}")
    if n < FEWEST_SAMPLES:
        problems.append(f"{n} {over} carry no interval: time at least {FEWEST_SAMPLES}")
    return problems


def is_precise(observations: Observations, headline: ClockName, half_width: float, seed: int, over: Over) -> bool:
    """Whether more rounds in this process would improve the speed-up and the canary only a little.

    It looks at widths alone, never at where the canary's interval lies: that would be stopping on a wanted answer.
    """
    full, early, canary = observations.tables(headline)
    if INTERVALS[over](full, canary, seed, draws=500).width > CANARY_WIDTH:
        return False
    return bootstrap.repeat_half_width(full, early, seed) <= half_width


def is_precise_for(
    processes: int, observations: Observations, headline: ClockName, half_width: float, seed: int, over: Over
) -> bool:
    """`is_precise` for one of several processes, over whose mean the noise of rounds shrinks by √processes.

    The canary tells the noise of a round: its true ratio is 1 on every sample, so that one pass is enough to see it.
    """
    full, _, canary = observations.tables(headline)
    if over == "rounds":
        half = bootstrap.repeat_half_width(full, canary, seed)
    else:
        half = bootstrap.ratio_of_totals(full, canary, seed, draws=500).width / 2
    return half <= min(half_width, CANARY_WIDTH / 2) * processes**0.5


def throughput(observations: Observations, n: int) -> Throughput:
    """Samples per second by the wall clock: n samples over the summed typical times of all units."""
    full, early, _ = observations.tables("wall")  # (units, m)
    full_ms, early_ms = bootstrap.robust_times(full, early)
    return {"samples_per_s": n / float(early_ms.sum()) * 1e3, "full_samples_per_s": n / float(full_ms.sum()) * 1e3}


def percentiles(observations: Observations, n: int) -> Percentiles:
    """Wall latency of early exit and full depth over all observations of n samples; outliers counted, none dropped."""
    wall = observations.milliseconds("wall")  # (R, 3)
    full, early = wall[:, 0], wall[:, 1]
    return {
        "latency_ms_p50": bootstrap.percentile(early, 50, n),
        "latency_ms_p90": bootstrap.percentile(early, 90, n),
        "latency_ms_p99": bootstrap.percentile(early, 99, n),
        "full_ms_p50": bootstrap.percentile(full, 50, n),
        "full_ms_p90": bootstrap.percentile(full, 90, n),
        "full_ms_p99": bootstrap.percentile(full, 99, n),
        "outliers": bootstrap.count_outliers(observations.tables("wall")[1]),
    }
