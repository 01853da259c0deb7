"""What became of one combination, small enough to travel between processes, and a sweep's outcomes in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.utils import cache_usage
from benchmark.utils.cache_usage import CacheUse

if TYPE_CHECKING:
    from benchmark.records.record import Record

# known: its record existed; passed: its choices do not go together; busy: another process measures it; lost: its job
# gave no answer.
STATUSES = ("ok", "unreliable", "failed", "known", "passed", "busy", "lost")


@dataclass(frozen=True)
class Outcome:
    """status: one of STATUSES. failed: whether it counts as a failure; so does a failed record of an earlier run.

    line: what is printed about it. claim: the file that another process has locked, where it is busy.
    """

    status: str
    label: str
    line: str = ""
    failed: bool = False
    claim: str = ""
    cache_uses: tuple[CacheUse, ...] = ()


def sweep_summary(outcomes: Sequence[Outcome]) -> str:
    """A sweep in one line: `8 combinations: 6 measured, 2 there before; reused: 14 traces of 2,800 samples`."""
    count = Counter(outcome.status for outcome in outcomes)
    count["measured"] = count["ok"] + count["unreliable"]
    words = {
        "measured": "measured",
        "known": "there before",
        "failed": "failed",
        "passed": "passed over",
        "lost": "lost",
    }
    counts = ", ".join(f"{count[status]} {word}" for status, word in words.items() if count[status])
    work = cache_usage.total_line(use for outcome in outcomes for use in outcome.cache_uses)
    return "; ".join(filter(None, [f"{len(outcomes)} combinations: {counts}", work]))


def record_summary(record: Record) -> str:
    """One line about a record."""
    if not record.results:
        return record.status
    results = record.results
    score = results.get("score", {"metric": "accuracy"})
    own = ""
    if score["metric"] != "accuracy":
        own = f"{score['metric']} {score['value']:.3f} of {results['score_full']:.3f}, "
    warnings = "".join(f"; warning: {text}" for text in results.get("warnings", []))
    accuracy, full = results["accuracy"]["value"], results["accuracy_full"]["value"]
    return (
        f"{record.status}: {own}accuracy {accuracy:.3f} of {full:.3f}, "
        f"mean exit {results['mean_exit_depth']:.2f} of {len(record.exits)}, "
        f"MAC speed-up {results['mac_speedup']:.2f}, {_timing(record.latency)}{warnings}"
    )


def _timing(latency: dict[str, Any]) -> str:
    if not latency:
        return "not timed"
    return f"measured {latency['speedup']:.2f} [{latency['speedup_lo']:.2f}, {latency['speedup_hi']:.2f}]"
