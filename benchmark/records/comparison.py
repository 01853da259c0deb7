"""Two sets of records, cell by cell: which combinations changed, by how much, and which got worse beyond doubt.

A cell is one combination measured in both sets. Five figures are compared in each, and each comparison is a test:

- `speedup`: log ratio, Welch's t test with the variances between worker processes and between measurements; only for
  records of one machine.
- `score`: difference of two means over samples; its standard error treats the two sets as independent, which is
  conservative where both measured the same samples.
- `mean_exit_depth` and `gmacs_mean`: the same, by the exit histograms.
- `gain_lost`: difference of two means with the standard errors that their intervals imply.

The verdicts of all tests are controlled together by the false discovery rate (Benjamini and Hochberg, Journal of the
Royal Statistical Society B 57, 1995): where nothing changed, at most one comparison in twenty flags anything at all,
however many cells it has. The printed interval is the 95% interval of that one figure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from benchmark.records.columns import Row, rows
from benchmark.records.schema import Record
from benchmark.types import ExitbenchError

LEVEL = 0.05  # false discovery rate over all tests
BETTER_HIGH = {"speedup": True, "score": True, "mean_exit_depth": False, "gmacs_mean": False, "gain_lost": False}
# Settings that say where and how long to measure, not what.
UNIMPORTANT = ("batch_size", "cache", "force", "isolate", "records", "retry", "timing")


class Difference(NamedTuple):
    """One figure of one cell.

    change: B / A − 1 for `speedup` and `gmacs_mean`, else B − A; low, high: its 95% interval. p: of no change. All
    four are None where there is nothing to test, and `verdict` says why.
    verdict: same, better, worse, or the reason why the figure is not judged.
    """

    cell: str
    figure: str
    before: float
    after: float
    change: float | None
    low: float | None
    high: float | None
    p: float | None
    verdict: str


class Comparison(NamedTuple):
    """Differences of all cells, and the cells of one set alone."""

    differences: list[Difference]
    only_before: list[str]
    only_after: list[str]

    @property
    def worse(self) -> list[Difference]:
        """What got worse beyond doubt."""
        return [found for found in self.differences if found.verdict == "worse"]


class _Estimate(NamedTuple):
    """A change on the scale of its test: value, standard error, degrees of freedom; relative: on the log scale."""

    value: float
    error: float
    freedom: float
    relative: bool


def compare(before: Sequence[Record], after: Sequence[Record]) -> Comparison:
    """Compare two sets of records.

    Raises:
        ExitbenchError: no combination is in both; one that is twice in a set.
    """
    pairs, only_before, only_after = _pairs(before, after)
    if not pairs:
        raise ExitbenchError("compare: expected combinations that are in both sets of records, got none")
    first, second = ({str(row["record_id"]): row for row in rows(records)} for records in (before, after))
    found = [
        difference
        for name, one, other in pairs
        for difference in _differences(name, (one, other), (first[one.record_id], second[other.record_id]))
    ]
    return Comparison(_judged(found), only_before, only_after)


def _pairs(
    before: Sequence[Record], after: Sequence[Record]
) -> tuple[list[tuple[str, Record, Record]], list[str], list[str]]:
    """Cells in both sets, by their settings; else, between versions whose settings differ, by their choices."""
    first, second = _by_key(before, _settings), _by_key(after, _settings)
    pairs = [(first.pop(key), second.pop(key)) for key in list(first) if key in second]
    first, second = _regrouped(first.values()), _regrouped(second.values())
    pairs += [(first.pop(key), second.pop(key)) for key in list(first) if key in second]
    names = _distinct([_name(one) for one, _ in pairs], [one.record_id for one, _ in pairs])
    named = sorted((name, one, other) for name, (one, other) in zip(names, pairs, strict=True))
    return named, sorted(map(_name, first.values())), sorted(map(_name, second.values()))


def _by_key(records: Iterable[Record], key: Callable[[Record], str]) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for record in records:
        if record.status == "failed":
            continue
        if (known := found.get(key(record))) is not None:
            raise ExitbenchError(
                f"compare: {known.record_id} and {record.record_id} are records of one combination, "
                f"{_name(record)}; leave one of them out"
            )
        found[key(record)] = record
    return found


def _regrouped(records: Iterable[Record]) -> dict[str, Record]:
    """By choices; a combination that several records share is by their settings, which then match nothing."""
    listed = list(records)
    names = [_name(record) for record in listed]
    return {
        name if names.count(name) == 1 else _settings(record): record
        for name, record in zip(names, listed, strict=True)
    }


def _settings(record: Record) -> str:
    settings = {name: value for name, value in record.config.items() if name not in UNIMPORTANT}
    return json.dumps([record.choices, record.machine["id"], settings], sort_keys=True)


def _name(record: Record) -> str:
    choices = [record.choices[name] for name in ("model", "dataset", "workload", "policy", "hardware", "scenario")]
    batch = record.latency.get("batch")
    if record.choices["scenario"] == "offline" and batch:
        choices[-1] += f" {batch}"
    limit = record.data.get("limit")
    return " · ".join([*choices, *([f"limit {limit}"] if limit else [])])


def _distinct(names: list[str], ids: list[str]) -> list[str]:
    return [
        name if names.count(name) == 1 else f"{name} · {record_id[:8]}"
        for name, record_id in zip(names, ids, strict=True)
    ]


def _differences(name: str, pair: tuple[Record, Record], cells: tuple[Row, Row]) -> Iterator[Difference]:
    estimates: dict[str, _Estimate | str] = {
        "score": _means(pair, _score_and_error),
        "mean_exit_depth": _means(pair, _depth_and_error),
        "gmacs_mean": _means(pair, _log_macs_and_error, relative=True),
        "gain_lost": _gain_change(cells),
        "speedup": _speedup_change(pair),
    }
    for figure, estimate in estimates.items():
        before, after = (row.get(figure) for row in cells)
        if before is not None and after is not None:
            yield _tested(name, figure, before, after, estimate)


def _tested(name: str, figure: str, before: float, after: float, estimate: _Estimate | str) -> Difference:
    if isinstance(estimate, str):
        return Difference(name, figure, before, after, None, None, None, None, estimate)
    value, error, freedom, relative = estimate
    half = float(stats.t.ppf(0.975, freedom)) * error
    p = 1.0 if value == 0 else float(2 * stats.t.sf(abs(value) / error, freedom)) if error else 0.0
    ends = (value, value - half, value + half)
    change, low, high = (math.expm1(end) for end in ends) if relative else ends
    return Difference(name, figure, before, after, change, low, high, p, "")


def _judged(found: Sequence[Difference]) -> list[Difference]:
    """Verdicts at a false discovery rate of LEVEL; equal figures are the same without a test."""
    tests = [difference.p for difference in found if difference.p is not None and difference.change]
    adjusted = iter(stats.false_discovery_control(tests) if tests else [])

    def verdict(difference: Difference) -> str:
        if difference.p is None or difference.change is None:
            return difference.verdict
        if difference.change == 0:
            return "same"
        if next(adjusted) > LEVEL:
            return "same"
        return "better" if (difference.change > 0) == BETTER_HIGH[difference.figure] else "worse"

    return [difference._replace(verdict=verdict(difference)) for difference in found]


def _speedup_change(pair: tuple[Record, Record]) -> _Estimate | str:
    """Welch's test of the log ratio: each record's is a mean over its worker processes."""
    if len({record.machine["id"] for record in pair}) > 1:
        return "not judged: two machines"
    if any(record.status == "unreliable" for record in pair):
        return "not judged: a clock was unreliable"
    counts = [record.latency.get("processes") or 1 for record in pair]
    deviations = [sd for record in pair if (sd := record.latency.get("between_process_sd")) is not None]
    if min(counts) < 2 or len(deviations) < 2:
        return "not judged: timed in one process"
    drifts = [float(record.latency.get("between_measurements_sd") or 0.0) ** 2 for record in pair]
    variances = [deviation**2 / count for deviation, count in zip(deviations, counts, strict=True)]
    total = sum(variances) + sum(drifts)
    spread = sum(variance**2 / (count - 1) for variance, count in zip(variances, counts, strict=True))
    freedom = total**2 / spread if spread else math.inf  # Satterthwaite; the deviation between measurements is known
    before, after = (record.latency["speedup"] for record in pair)
    return _Estimate(math.log(after / before), total**0.5, freedom, relative=True)


def _means(
    pair: tuple[Record, Record], mean_and_error: Callable[[Record], tuple[float, float]], relative: bool = False
) -> _Estimate:
    (before, error), (after, other_error) = (mean_and_error(record) for record in pair)
    return _Estimate(after - before, math.hypot(error, other_error), math.inf, relative)


def _score_and_error(record: Record) -> tuple[float, float]:
    """The standard error of accuracy stands in for that of a metric which is no mean over samples."""
    accuracy = record.results["accuracy"]
    return record.results.get("score", accuracy)["value"], accuracy["stderr"]


def _depth_and_error(record: Record) -> tuple[float, float]:
    return _mean_and_error(record.results["exit_histogram"], range(1, len(record.exits) + 1))


def _log_macs_and_error(record: Record) -> tuple[float, float]:
    """The error is that of the exits taken, at each exit's mean MACs."""
    mean, error = _mean_and_error(record.results["exit_histogram"], [place["gmacs"] for place in record.exits])
    return math.log(record.results["gmacs_mean"]), error / mean


def _mean_and_error(histogram: Sequence[int], values: Iterable[float]) -> tuple[float, float]:
    """Mean and its standard error of values that occur as often as the histogram says."""
    counts, steps = np.asarray(histogram, dtype=float), np.asarray(list(values), dtype=float)
    n = counts.sum()
    mean = counts @ steps / n
    return float(mean), float(np.sqrt(counts @ (steps - mean) ** 2 / max(n - 1, 1) / n))


def _gain_change(cells: tuple[Row, Row]) -> _Estimate | str:
    names = ("gain_lost", "gain_lost_lo", "gain_lost_hi")
    known = [[float(row[name]) for name in names if row.get(name) is not None] for row in cells]
    if any(len(values) < len(names) for values in known):
        return "not judged: no interval"  # printed for attacked records alone: clean ones have no gain lost
    (before, *_), (after, *_) = known
    errors = [(high - low) / (2 * stats.norm.ppf(0.975)) for _, low, high in known]
    return _Estimate(after - before, math.hypot(*errors), math.inf, relative=False)
