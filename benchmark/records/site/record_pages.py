"""What the page of one record shows, as a small JSON document: figures, curves, examples, timings, provenance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.records.record import Record
from benchmark.records.schema import Section

CURVE_POINTS = 50  # of the accuracy–cost curve
STRIP_ROUNDS = 100  # of the raw timings
_CONFIG_GROUPS = ("model", "dataset", "workload", "policy", "hardware", "scenario")
_SCALARS = ("limit", "seed")
_NESTED = {"timing": ("samples", "time_limit_s"), "offline": ("batch", "refill")}


def page_data(record: Record) -> Section:
    """The document of one record. Curves and timings are thinned evenly; nothing is averaged."""
    return {
        "record_id": record.record_id,
        "status": record.status,
        "reasons": record.reasons,
        "created": record.created,
        "choices": record.choices,
        "command": command(record),
        "figures": figures(record),
        "histogram": record.results.get("exit_histogram", []),
        "exits": [_exit(row) for row in record.exits],
        "curve": [_rounded(point) for point in thinned(record.curve, CURVE_POINTS)],
        "operating_point": _rounded(record.operating_point),
        "examples": record.attack.get("examples", []),
        "queries": [_rounded(point) for point in record.attack.get("against_queries", [])],
        "timings": timings(record),
        "machine": record.machine,
        "provenance": record.provenance,
        "config": record.config,
    }


def command(record: Record) -> str:
    """The one command that measures this combination again, from the record's own choices and configuration."""
    words = ["exitbench run", *(f"{group}={record.choices[group]}" for group in _CONFIG_GROUPS)]
    words += [f"{name}={record.config[name]}" for name in _SCALARS if name in record.config]
    for section, names in _NESTED.items():
        values = record.config.get(section, {})
        if section != "offline" or record.choices["scenario"] == "offline":
            words += [f"{section}.{name}={_plain(values[name])}" for name in names if name in values]
    policy = record.config.get("policy", {})
    words += [f"policy.{name}={_plain(value)}" for name, value in policy.items() if _is_setting(name, value)]
    return " ".join(words)


def figures(record: Record) -> list[tuple[str, str]]:
    """The record's main figures as (name, spelled value with its uncertainty)."""
    results, latency, attack = record.results, record.latency, record.attack
    rows: list[tuple[str, str]] = []
    for name in ("accuracy", "accuracy_full"):
        if share := results.get(name):
            rows.append((name, f"{share['value']:.4f} ± {1.96 * share['stderr']:.4f}"))
    for name in ("gmacs_mean", "gmacs_full", "mac_speedup", "mean_exit_depth"):
        if results.get(name) is not None:
            rows.append((name, f"{results[name]:.4g}"))
    if latency:
        rows.append(("speedup", f"{latency['speedup']:.3f} [{latency['speedup_lo']:.3f}, {latency['speedup_hi']:.3f}]"))
        rows.append(("canary", f"{latency['canary']:.3f}"))
        rows += [(name, f"{latency[name]:.3f}") for name in ("latency_ms_p50", "full_ms_p50") if latency.get(name)]
    rows += [(name, f"{attack[name]:.4g}") for name in ("queries_mean", "changed_mean") if attack.get(name) is not None]
    return rows


def timings(record: Record) -> list[Section]:
    """Rounds of the stopwatch in milliseconds: full depth, early exit, canary, and the process where records say it."""
    raw = record.latency
    rounds = list(zip(*(raw.get(f"{name}_wall_ms", []) for name in ("full", "early", "canary")), strict=False))
    processes = raw.get("process_of") or []
    labelled = [(i, *times, processes[i] if i < len(processes) else 0) for i, times in enumerate(rounds)]
    return [
        {"round": i, "full": _short(full), "early": _short(early), "canary": _short(canary), "process": process}
        for i, full, early, canary, process in thinned(labelled, STRIP_ROUNDS)
    ]


def thinned(items: Sequence[Any], most: int) -> list[Any]:
    """At most so many of the items, evenly spaced, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    step = (len(items) - 1) / (most - 1)
    return [items[round(i * step)] for i in range(most)]


def _exit(row: Section) -> Section:
    cells = {name: row[name] for name in ("exit_depth", "accuracy", "gmacs") if name in row}
    reliability = row.get("reliability") or {}
    bins = {
        name: [_short(value) for value in reliability.get(name, [])] for name in ("confidence", "accuracy", "count")
    }
    return {**_rounded(cells), "reliability": bins, "ece": _short(reliability.get("ece"))}


def _rounded(section: Section) -> Section:
    return {name: _short(value) for name, value in section.items() if not isinstance(value, Mapping | list)}


def _short(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_setting(name: str, value: object) -> bool:
    return not name.startswith("_") and isinstance(value, bool | int | float | str) and name != "name"
