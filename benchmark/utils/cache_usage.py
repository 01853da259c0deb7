"""Cache usage of a run: which traces and attacks were reused and which were computed, with one-line summaries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_reports: list[CacheUse] = []


@dataclass(frozen=True)
class CacheUse:
    """One trace or attack over `samples` inputs; reused: whether it came from the cache."""

    kind: str  # "trace" or "attack"
    name: str
    samples: int
    reused: bool


def report(kind: str, name: str, samples: int, reused: bool) -> None:
    """Add one trace or attack to this process's list."""
    _reports.append(CacheUse(kind, name, samples, reused))


def reported() -> list[CacheUse]:
    """What was reported since the last call, each trace or attack once, as first reported; the list is then empty."""
    first: dict[tuple[str, str], CacheUse] = {}
    for use in _reports:
        first.setdefault((use.kind, use.name), use)
    _reports.clear()
    return list(first.values())


def line(uses: Iterable[CacheUse]) -> str:
    """One combination: `reused: trace calibration of 30 samples; made: attack same of 12 samples`."""
    uses = list(uses)
    return _reused_and_made(
        [f"{use.name} of {use.samples:,} samples" for use in uses if use.reused == reused] for reused in (True, False)
    )


def total_line(uses: Iterable[CacheUse]) -> str:
    """A whole sweep: `reused: 14 traces of 2,800 samples, 7 attacks of 700 samples; made: …`."""
    uses = list(uses)
    return _reused_and_made(
        [_total([use for use in uses if use.kind == kind and use.reused == reused]) for kind in ("trace", "attack")]
        for reused in (True, False)
    )


def _total(uses: list[CacheUse]) -> str:
    """`14 traces of 2,800 samples`, for uses of one kind."""
    if not uses:
        return ""
    kind = uses[0].kind if len(uses) == 1 else f"{uses[0].kind}s"
    return f"{len(uses)} {kind} of {sum(use.samples for use in uses):,} samples"


def _reused_and_made(reused_then_made: Iterable[list[str]]) -> str:
    parts = zip(("reused", "made"), (", ".join(filter(None, items)) for items in reused_then_made), strict=True)
    return "; ".join(f"{word}: {items}" for word, items in parts if items)
