"""Attacked records that differ in the attack's seed only, pooled: means, intervals, and which attack takes more.

Rows are a leaderboard's, as dicts with the record's sections. Records older than per-sample columns get the widest
interval of gain lost that their exit histograms allow, marked "bound" instead of "paired".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmark.records import attack_intervals
from benchmark.records.attack_intervals import Interval

Row = dict[str, Any]
Histogram = list[int] | None
FIGURES = ("gain_lost", "gain_lost_layers", "gain_lost_macs", "queries_mean")
GAINS = ("gain_lost", "gain_lost_layers")  # those that follow from depths alone
_SAME = ("model", "dataset", "policy", "threshold", "workload", "n", "hardware", "scenario", "fingerprint", "split")


class Pooled(NamedTuple):
    """One attack: its rows, one per seed, the intervals of its figures, and whether they are "paired" or a "bound"."""

    rows: list[Row]
    intervals: dict[str, Interval]
    kind: str

    @property
    def first(self) -> Row:
        """The row whose choices stand for all."""
        return self.rows[0]

    def mean(self, name: str) -> float | None:
        """The mean over seeds of a figure of the attack section, None where a record lacks it."""
        values = [row["attack"].get(name) for row in self.rows]
        return None if None in values else float(np.mean(values))

    def takes_more(self, other: Pooled) -> bool | None:
        """Whether gain lost is larger beyond doubt: by the paired difference, else if intervals do not overlap.

        Intervals that do not overlap are enough however the two depend on each other. None where one has no interval.
        """
        own, rival = (_depths(pooled.rows) for pooled in (self, other))
        if own and rival and own[0] == rival[0]:
            num_exits = len(self.first["exit_histogram"])
            return attack_intervals.depth_difference(own[2], rival[2], num_exits)[0] > 0
        if "gain_lost" not in self.intervals or "gain_lost" not in other.intervals:
            return None
        return self.intervals["gain_lost"][0] > other.intervals["gain_lost"][1]


def pooled(rows: Sequence[Row]) -> list[Pooled]:
    """The attacks among a leaderboard's rows, seeds together, in the order of their first rows."""
    histograms = {row["record_id"]: row["exit_histogram"] for row in rows}
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if isinstance(row["attack"], dict) and row["attack"]:
            groups.setdefault(_key(row, groups), []).append(row)
    return [_pooled(same, histograms) for same in groups.values()]


def shared_ranks(attacks: Sequence[Pooled]) -> list[int | None]:
    """For each attack of one model, rule and budget 1 + the number of attacks that take more beyond doubt.

    Attacks that the data cannot tell apart share a rank. None where an attack has no interval to be judged by.
    """
    ranks: list[int | None] = []
    for own in attacks:
        worse = [other.takes_more(own) for other in attacks if other is not own]
        ranks.append(1 + worse.count(True) if "gain_lost" in own.intervals else None)
    return ranks


def _key(row: Row, groups: Mapping[str, list[Row]]) -> str:
    """What rows have in common that are one attack; a second row of the same seed begins a group of its own."""
    settings = dict(row["attack"].get("settings", {}))
    seed = settings.pop("seed", None)
    index = row["attack"].get("per_sample", {}).get("index")
    common = json.dumps([*(row.get(name) for name in _SAME), settings, index], default=str)
    for number in range(len(groups) + 1):
        key = f"{common}/{number}"
        if all(other["attack"].get("settings", {}).get("seed") != seed for other in groups.get(key, [])):
            return key
    return common


def _pooled(rows: list[Row], histograms: Mapping[str, Histogram]) -> Pooled:
    own = [_own(row) for row in rows]
    if any(own):
        intervals = {name: _mean_ends([ends[name] for ends in own]) for name in FIGURES if all(name in e for e in own)}
        if len(rows) > 1 and (depths := _depths(rows)):
            intervals |= _across_seeds(rows, *depths[1:])
        return Pooled(rows, intervals, "paired")
    bounds = [_bounds(row, histograms.get(row["twin_id"])) for row in rows]
    intervals = {name: _mean_ends([ends[name] for ends in bounds]) for name in GAINS if all(name in e for e in bounds)}
    return Pooled(rows, intervals, "bound" if intervals else "")


def _own(row: Row) -> dict[str, Interval]:
    """The intervals that a record holds."""
    attack = row["attack"]
    return {name: (attack[f"{name}_lo"], attack[f"{name}_hi"]) for name in FIGURES if f"{name}_lo" in attack}


def _mean_ends(pairs: Sequence[Interval]) -> Interval:
    """An interval of a mean that holds however its parts depend on each other."""
    lows, highs = zip(*pairs, strict=True)
    return float(np.mean(lows)), float(np.mean(highs))


def _depths(rows: Sequence[Row]) -> tuple[list[int], list[int], np.ndarray] | None:
    """Sample indices (n,), depths before (n,) and after (S, n); None unless all seeds hold them for equal samples."""
    columns = [row["attack"].get("per_sample", {}) for row in rows]
    if not all("depth_after" in column for column in columns):
        return None
    samples = {(tuple(column["index"]), tuple(column["depth_before"])) for column in columns}
    if len(samples) > 1:
        return None
    return columns[0]["index"], columns[0]["depth_before"], np.array([column["depth_after"] for column in columns])


def _across_seeds(rows: Sequence[Row], before: Sequence[int], after: np.ndarray) -> dict[str, Interval]:
    """Intervals of the seeds' mean, the samples weighted alike for all seeds."""
    num_exits = len(rows[0]["exit_histogram"])
    intervals = {
        "gain_lost": attack_intervals.gain_lost(before, after, num_exits),
        "gain_lost_layers": attack_intervals.gain_lost_layers(before, after, num_exits),
    }
    queries = [row["attack"]["per_sample"].get("queries") for row in rows]
    if None not in queries:
        intervals["queries_mean"] = attack_intervals.mean(queries)
    return {name: ends for name, ends in intervals.items() if ends is not None}


def _bounds(row: Row, clean: Histogram) -> dict[str, Interval]:
    """The widest intervals of gain lost that the histograms of a record and its clean twin allow."""
    attacked: Histogram = row["exit_histogram"]
    if not clean or not attacked or sum(clean) != sum(attacked):
        return {}
    attack = row["attack"]
    keeps_deepest = attack.get("settings", {}).get("search", {}).get("keep") == "deepest"
    # The search saw the depths that were measured: no transfer, no other precision.
    sides = ("before", "after")
    same_depths = all(attack.get(f"depth_{side}_mean", 0) == attack.get(f"depth_{side}") for side in sides)
    before, after = attack_intervals.widest_pairing(clean, attacked, keeps_deepest and same_depths)
    bounds = {
        "gain_lost": attack_intervals.gain_lost(before, after, len(clean)),
        "gain_lost_layers": attack_intervals.gain_lost_layers(before, after, len(clean)),
    }
    return {name: ends for name, ends in bounds.items() if ends is not None}
