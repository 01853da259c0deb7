"""What became of one combination, small enough to travel from any process to the one that adds them up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.utils import cache_usage
from benchmark.utils.cache_usage import Piece

# known: a record was there; passed: its choices do not go together; busy: another process is at it; lost: no answer.
STATUSES = ("ok", "unreliable", "failed", "known", "passed", "busy", "lost")


@dataclass(frozen=True)
class Outcome:
    """status: one of STATUSES. failed: whether it counts as a failure; a known record may be one of an earlier run.

    line: what was said of it. claim: the lock that another process holds, where it is busy.
    """

    status: str
    label: str
    line: str = ""
    failed: bool = False
    claim: str = ""
    pieces: tuple[Piece, ...] = ()


def told(outcomes: Sequence[Outcome]) -> str:
    """A sweep in one line: `8 combinations: 6 measured, 2 there before; reused: 14 traces of 2,800 samples`."""
    count = Counter(one.status for one in outcomes)
    count["measured"] = count["ok"] + count["unreliable"]
    words = {
        "measured": "measured",
        "known": "there before",
        "failed": "failed",
        "passed": "passed over",
        "lost": "lost",
    }
    said = ", ".join(f"{count[status]} {word}" for status, word in words.items() if count[status])
    work = cache_usage.totals(piece for one in outcomes for piece in one.pieces)
    return "; ".join(filter(None, [f"{len(outcomes)} combinations: {said}", work]))


def summary(made: Any) -> str:
    """One line about a record."""
    if not made.results:
        return made.status
    results = made.results
    return (
        f"{made.status}: accuracy {results['accuracy']['value']:.3f} of {results['accuracy_full']['value']:.3f}, "
        f"mean exit {results['mean_exit_depth']:.2f} of {len(made.exits)}, MAC speed-up {results['mac_speedup']:.2f}, "
        + _clocked(made.latency)
    )


def _clocked(latency: dict[str, Any]) -> str:
    if not latency:
        return "not timed"
    return f"measured {latency['speedup']:.2f} [{latency['speedup_lo']:.2f}, {latency['speedup_hi']:.2f}]"
