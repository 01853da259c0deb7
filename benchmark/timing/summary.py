"""What the observations say, as fields of Latency: ratios with intervals, percentiles, reasons not to trust them."""

from __future__ import annotations

from typing import Any, Literal

from benchmark.timing import statistics as bootstrap
from benchmark.timing.rounds import ClockName, Observations
from benchmark.timing.statistics import Interval

CANARY_WIDTH = 0.05
FEWEST_SAMPLES = 10  # the bootstrap of fewer is far too narrow
Over = Literal["samples", "rounds"]
# What an interval allows for: another draw of samples, or timing the same set again.
INTERVALS = {"samples": bootstrap.ratio_of_totals, "rounds": bootstrap.ratio_of_fixed_units}


def raw_observations(seen: Observations) -> dict[str, Any]:
    """Every observation as it was: milliseconds by kind and clock, one per round, and the sample of each round."""
    wall, cpu = seen.milliseconds("wall").T.tolist(), seen.milliseconds("cpu").T.tolist()
    names = ("full", "early", "canary")
    columns = {f"{name}_wall_ms": column for name, column in zip(names, wall, strict=True)}
    columns |= {f"{name}_cpu_ms": column for name, column in zip(names, cpu, strict=True)}
    return {**columns, "sample_of": list(seen.sample_of)}


def summarise(seen: Observations, headline: ClockName, seed: int, over: Over = "samples") -> dict[str, Any]:
    """The ratios, their intervals by both clocks, and the doubts; the headline clock decides."""
    full, early, canary = seen.tables(headline)
    interval_of = INTERVALS[over]
    found = {
        "speedup": interval_of(full, early, seed),
        "speedup_wall": interval_of(*seen.tables("wall")[:2], seed),
        "canary": interval_of(full, canary, seed),
    }
    numbers: dict[str, Any] = {name: interval.value for name, interval in found.items()}
    numbers |= {f"{name}_lo": interval.lo for name, interval in found.items()}
    numbers |= {f"{name}_hi": interval.hi for name, interval in found.items()}
    return {
        **numbers,
        "median_ratio": bootstrap.median_ratio(full, early),
        "repeat_half_width": bootstrap.repeat_half_width(full, early, seed),
        "interval_over": over,
        "unreliable": _problems(found["canary"], len(full) if over == "samples" else full.size, over),
    }


def _problems(canary: Interval, n: int, over: Over) -> list[str]:
    """Why the numbers should not be ranked; nothing where the canary held."""
    where = f"canary {canary.value:.3f} [{canary.lo:.3f}, {canary.hi:.3f}]"
    doubts = []
    if not canary.lo <= 1 <= canary.hi:
        doubts.append(f"{where}: full depth against itself misses 1")
    if canary.width > CANARY_WIDTH:
        doubts.append(f"{where}: wider than {CANARY_WIDTH:.0%}")
    if n < FEWEST_SAMPLES:
        doubts.append(f"{n} {over} carry no interval: time at least {FEWEST_SAMPLES}")
    return doubts


def throughput(seen: Observations, n: int) -> dict[str, Any]:
    """Samples a second by the wall clock, n samples over the typical times of all units: early exit, full depth."""
    full, early, _ = seen.tables("wall")  # (units, m)
    full_ms, early_ms = bootstrap.robust_times(full, early)
    return {"samples_per_s": n / float(early_ms.sum()) * 1e3, "full_samples_per_s": n / float(full_ms.sum()) * 1e3}


def percentiles(seen: Observations, n: int) -> dict[str, Any]:
    """Wall latency of early exit and full depth over all observations of n samples; outliers counted, none dropped."""
    wall = seen.milliseconds("wall")  # (R, 3)
    early = {f"latency_ms_p{q}": bootstrap.percentile(wall[:, 1], q, n) for q in bootstrap.PERCENTILE_NEEDS}
    full = {f"full_ms_p{q}": bootstrap.percentile(wall[:, 0], q, n) for q in bootstrap.PERCENTILE_NEEDS}
    return {**early, **full, "outliers": bootstrap.count_outliers(seen.tables("wall")[1])}
