"""Whether two records of one combination agree: deterministic values exactly, timings by their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from benchmark.records.schema import Record, Section

TOLERANCE = 1e-9  # relative: counts and sums of whole MACs are exact, means of them nearly so
RESULTS = ("gmacs_mean", "gmacs_full", "mac_speedup", "mean_exit_depth", "score_full")
ATTACK = ("depth_before", "depth_after", "queries_mean", "changed_mean", "answer_kept")
TIMINGS = ("speedup", "canary")


class Figure(NamedTuple):
    """One figure of both records; agrees is None where there is nothing to compare."""

    name: str
    before: str
    after: str
    agrees: bool | None


def figures(before: Record, after: Record) -> list[Figure]:
    """All figures compared, in the order in which they are printed."""
    return [*_deterministic(before, after), *_timings(before, after)]


def disagreements(compared: list[Figure]) -> list[str]:
    """The names of the figures that do not agree."""
    return [figure.name for figure in compared if figure.agrees is False]


def _deterministic(before: Record, after: Record) -> Iterator[Figure]:
    yield _compared("status", _timeless(before.status), _timeless(after.status))
    yield _compared("threshold", before.operating_point.get("threshold"), after.operating_point.get("threshold"))
    for name in ("accuracy", "accuracy_full"):
        yield _compared(name, *(record.results.get(name, {}).get("value") for record in (before, after)))
    yield _compared("score", *(record.results.get("score", {}).get("value") for record in (before, after)))
    for name in RESULTS:
        yield _compared(name, before.results.get(name), after.results.get(name))
    yield _compared("exit_histogram", before.results.get("exit_histogram"), after.results.get("exit_histogram"))
    if before.attack or after.attack:
        for name in ATTACK:
            yield _compared(f"attack.{name}", before.attack.get(name), after.attack.get(name))
    for name in ("weights_sha256", "dataset_fingerprint"):
        yield _compared(name, before.provenance.get(name), after.provenance.get(name))


def _timings(before: Record, after: Record) -> Iterator[Figure]:
    """Ratios agree where their intervals overlap; of two machines they are printed and not judged."""
    same_machine = before.machine["id"] == after.machine["id"]
    for name in TIMINGS:
        one, other = (_interval(record.latency, name) for record in (before, after))
        judged = None if one is None or other is None or not same_machine else one[1] <= other[2] and other[1] <= one[2]
        yield Figure(f"{name} (measured)", _spelled(one), _spelled(other), judged)


def _interval(latency: Section, name: str) -> tuple[float, float, float] | None:
    value, low, high = (latency.get(key) for key in (name, f"{name}_lo", f"{name}_hi"))
    return None if value is None or low is None or high is None else (float(value), float(low), float(high))


def _spelled(interval: tuple[float, float, float] | None) -> str:
    return "–" if interval is None else f"{interval[0]:.3f} [{interval[1]:.3f}, {interval[2]:.3f}]"


def _timeless(status: str) -> str:
    """`ok` and `unreliable` are both measured: an unreliable clock says nothing about the combination."""
    return "failed" if status == "failed" else "measured"


def _compared(name: str, before: object, after: object) -> Figure:
    if before is None or after is None:
        return Figure(name, _text(before), _text(after), None)
    if isinstance(before, int | float) and isinstance(after, int | float):
        same = math.isclose(before, after, rel_tol=TOLERANCE, abs_tol=1e-12)
    else:
        same = before == after
    return Figure(name, _text(before), _text(after), same)


def _text(value: object) -> str:
    text = "–" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
