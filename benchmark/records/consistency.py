"""Check that a record's figures follow from each other: means from histograms, latencies from raw observations.

The formulas are written out again here, independently of the code that computed the figures. What an older record does
not hold is not checked.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmark.records import metrics
from benchmark.records.schema import Record, Section

Figure = str | float | None
TOLERANCE = 1e-6  # relative; figures are written with all their digits


def contradictions(record: Record) -> list[str]:
    """One line for each value that does not follow from the others; raw observations are used if present."""
    if record.status == "failed":
        return []
    return [
        f"{record.record_id}: the record says {name} {stored}, its own figures give {recomputed}"
        for name, stored, recomputed in _pairs(record)
        if stored is not None and recomputed is not None and not _equal(stored, recomputed)
    ]


def _equal(stored: Figure, recomputed: Figure) -> bool:
    if not isinstance(stored, int | float) or not isinstance(recomputed, int | float):
        return stored == recomputed
    return math.isclose(stored, recomputed, rel_tol=TOLERANCE, abs_tol=1e-9)


def _pairs(record: Record) -> Iterator[tuple[str, Figure, Figure]]:
    """(name, value in the record, value that follows from the others)."""
    results, latency = record.results, record.latency
    yield "mean_exit_depth", results["mean_exit_depth"], metrics.mean_depth_of(results["exit_histogram"])
    yield "mac_speedup", results["mac_speedup"], results["gmacs_full"] / results["gmacs_mean"]
    yield "gmacs_full", results["gmacs_full"], record.exits[-1]["gmacs"]
    for name in ("accuracy", "accuracy_full"):
        yield f"{name}.n", results[name]["n"], record.data["n"]
        yield f"{name}.stderr", results[name]["stderr"], _stderr(results[name]["value"], results[name]["n"])
    yield "accuracy_full", results["accuracy_full"]["value"], record.exits[-1]["accuracy"]
    if behaviour := results.get("exit_behaviour"):
        gap = behaviour["oracle_accuracy"] - results["accuracy"]["value"]
        yield "exit_behaviour.oracle_gap", behaviour["oracle_gap"], gap
    if latency.get("unreliable"):
        yield "status", record.status, "failed" if record.status == "failed" else "unreliable"
    yield from _attacked(record)
    yield from _clocked(latency)


def _stderr(value: float, n: int) -> float:
    return math.sqrt(value * (1 - value) / n)


def _attacked(record: Record) -> Iterator[tuple[str, Figure, Figure]]:
    attack, results, exits = record.attack, record.results, len(record.exits)
    if "depth_after" not in attack or "depth_before" not in attack:
        return
    before, after = attack["depth_before"], attack["depth_after"]
    yield "attack.depth_after", after, results["mean_exit_depth"]
    yield "attack.accuracy_after", attack.get("accuracy_after"), results["accuracy"]["value"]
    yield "attack.share_full_depth", attack.get("share_full_depth"), results["exit_histogram"][-1] / record.data["n"]
    yield "attack.gain_lost", attack.get("gain_lost"), metrics.gain_lost(exits / before, exits / after)
    lost = metrics.gain_lost_layers(before, after, exits)
    yield "attack.gain_lost_layers", attack.get("gain_lost_layers"), lost


def _clocked(latency: Section) -> Iterator[tuple[str, Figure, Figure]]:
    """Ratios and percentiles from the observations: of each sample its typical times, then total over total."""
    names = [f"{kind}_{clock}_ms" for kind in ("full", "early", "canary") for clock in ("wall", "cpu")]
    if not all(latency.get(name) for name in [*names, "sample_of"]):
        return
    headline = latency["clock"]
    yield "speedup", latency["speedup"], _ratio(latency, "early", headline)
    yield "canary", latency["canary"], _ratio(latency, "canary", headline)
    yield "speedup_wall", latency.get("speedup_wall"), _ratio(latency, "early", "wall")
    yield "processes", latency.get("processes"), len(set(latency.get("process_of") or [0]))
    if latency.get("between_process_sd") is not None:
        recomputed = statistics.stdev(_log_ratios(latency, "early", headline))
        yield "between_process_sd", latency["between_process_sd"], recomputed
    wall = _table(latency, "full_wall_ms"), _table(latency, "early_wall_ms")
    for name, kind in (("latency_ms", "early"), ("full_ms", "full")):
        for percent in (50, 90, 99):
            recomputed = float(np.percentile(latency[f"{kind}_wall_ms"], percent))
            yield f"{name}_p{percent}", latency.get(f"{name}_p{percent}"), recomputed
    for name, kind in (("samples_per_s", 1), ("full_samples_per_s", 0)):
        yield name, latency.get(name), 1e3 * latency["n"] / float(_typical(*wall)[kind].sum())


def _table(latency: Section, name: str, process: int | None = None) -> NDArray[np.float64]:
    """Observations as (units, rounds), of one process or of all."""
    times, samples = np.asarray(latency[name], dtype=float), np.asarray(latency["sample_of"])
    if process is not None:
        rounds = np.asarray(latency["process_of"]) == process
        times, samples = times[rounds], samples[rounds]
    return times[np.argsort(samples, kind="stable")].reshape(len(set(samples.tolist())), -1)


def _typical(full: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(units, rounds) twice -> each unit's typical times: the median, and that times the median ratio in a round."""
    top = np.median(full, axis=1)
    return top, top * np.exp(np.median(np.log(other / full), axis=1))


def _ratio(latency: Section, kind: str, clock: str) -> float:
    """Full depth over `kind`, total over total; the geometric mean over processes where several were timed."""
    return math.exp(statistics.fmean(_log_ratios(latency, kind, clock)))


def _log_ratios(latency: Section, kind: str, clock: str) -> list[float]:
    """The log ratio in each process."""
    log_ratios = []
    for process in sorted(set(latency.get("process_of") or [])) or [None]:
        full, other = (_table(latency, f"{name}_{clock}_ms", process) for name in ("full", kind))
        top, bottom = _typical(full, other)
        log_ratios.append(math.log(top.sum() / bottom.sum()))
    return log_ratios
