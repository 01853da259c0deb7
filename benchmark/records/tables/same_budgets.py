"""Budgets of attacks: queries and words (or radius) to take half and four fifths of the gain, beside random's."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from benchmark.records.attack_seeds import Pooled, pooled
from benchmark.records.schema import Section

GOALS = {"half": 0.5, "80": 0.8}
BASELINE = "random"
SPELLING = {"gain_lost": "{:.1%} ±"}
CHOICES = ("model", "dataset", "policy", "workload")
Point = dict[str, float | None]


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per model, rule and attack; the seeds of one budget are pooled.

    queries_to_half, queries_to_80: the least budget of queries per sample in a record's curve at which so much of the
    layer gain was gone, at the attack's widest allowance; size_to_…: the fewest words, or 255ths of the pixel range, of
    its runs that took as much. Empty where none did. fewer_queries, smaller_size: whether that is less than random's
    for the same loss, at 80 or else at half; "within noise" where the 95% intervals of the two losses leave it open
    (queries, and records with intervals along the curve only); "–" where one of the two did not get there.
    """
    groups: dict[tuple[str, ...], list[Pooled]] = {}
    for attack in pooled(frame.to_dict("records")):
        groups.setdefault(tuple(attack.first[name] for name in CHOICES), []).append(attack)
    widest = {key: max(same, key=lambda attack: _size(attack, beyond=1000.0) or 0) for key, same in groups.items()}
    rows = {key: _row(key, widest[key], same) for key, same in groups.items()}
    for key, row in rows.items():
        baseline = (*key[:-1], BASELINE)
        if key == baseline:
            row["fewer_queries"] = row["smaller_size"] = ""
            continue
        other = rows.get(baseline)
        row["fewer_queries"] = _less(row, other, "queries")
        row["smaller_size"] = _less(row, other, "size")
        if other and row["fewer_queries"].startswith(("yes", "no")) and _open(widest[key], widest[baseline], row):
            row["fewer_queries"] = "within noise"
    return pd.DataFrame(list(rows.values()))


def _row(choices: tuple[str, ...], widest: Pooled, same: Sequence[Pooled]) -> Section:
    row: Section = dict(zip(CHOICES, choices, strict=True))
    lo, hi = widest.intervals.get("gain_lost", (None, None))
    row |= {"n": widest.first["n"], "seeds": len(widest.rows), "gain_lost": widest.mean("gain_lost")}
    row |= {"gain_lost_lo": lo, "gain_lost_hi": hi}
    for name, goal in GOALS.items():
        row[f"queries_to_{name}"] = _reached(_curve(widest), goal)
        sizes = [_size(attack) for attack in same if (attack.mean("gain_lost") or 0) >= goal]
        row[f"size_to_{name}"] = min((size for size in sizes if size is not None), default=None)
    return row


def _curve(attack: Pooled) -> list[Point]:
    """Loss against queries, the mean over seeds at every budget that one of them has."""
    curves = [row["attack"].get("against_queries", []) for row in attack.rows]
    budgets = sorted({point["queries"] for curve in curves for point in curve})
    if not all(curves):
        return []
    return [_mean_at(budget, curves) for budget in budgets]


def _mean_at(budget: float, curves: Sequence[Sequence[Point]]) -> Point:
    """The mean of each curve's last point up to a budget; None if a curve has no such value."""
    points = [[point for point in curve if (point["queries"] or 0) <= budget] for curve in curves]
    mean: Point = {"queries": budget}
    for name in ("gain_lost", "gain_lost_lo", "gain_lost_hi"):
        values = [curve[-1].get(name) if curve else None for curve in points]
        known = [value for value in values if value is not None]
        mean[name] = sum(known) / len(values) if len(known) == len(values) else None
    return mean


def _reached(curve: Sequence[Point], goal: float, figure: str = "gain_lost") -> float | None:
    return min((point["queries"] or 0 for point in curve if (point[figure] or 0) >= goal), default=None)


def _open(own: Pooled, other: Pooled, row: Section) -> bool:
    """Whether the intervals along the curves overlap where two attacks reach the goal.

    An attack gets there between the budgets at which the upper and the lower end of its interval do.
    """
    goal = next(GOALS[name] for name in reversed(GOALS) if row[f"queries_to_{name}"] is not None)
    spans = []
    for curve in map(_curve, (own, other)):
        if any(point["gain_lost_lo"] is None for point in curve):
            return False
        spans.append([_reached(curve, goal, f"gain_lost_{end}") or float("inf") for end in ("hi", "lo")])
    (first, last), (first_other, last_other) = spans
    return first <= last_other and first_other <= last


def _size(attack: Pooled, beyond: float | None = None) -> float | None:
    """Words or 255ths; `beyond` for a share of the words, which is not one number."""
    search = attack.first["attack"].get("settings", {}).get("search", {})
    if "epsilon" in search:
        return round(search["epsilon"] * 255, 3)
    return beyond if search.get("share") else search.get("least", 0)


def _less(row: Section, baseline: Section | None, what: str) -> str:
    if baseline is None:
        return ""
    for name in reversed(GOALS):
        own, other = row[f"{what}_to_{name}"], baseline[f"{what}_to_{name}"]
        if own is not None and other is not None:
            return "yes" if own < other else "equal" if own == other else "no"
        if own is not None:
            return "yes, random did not get there"
    return "–"
