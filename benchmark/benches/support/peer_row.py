"""One row of the comparison with other tools."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """comparison: latency, gmacs or offline. tool: "exitbench" or a peer. value, lo, hi: in `unit`, with a 95% interval
    where there is one. to_ours: its ratio to ours, with its interval where there is one. note: what to make of it."""

    comparison: str
    case: str
    tool: str
    unit: str
    value: float | None
    lo: float | None = None
    hi: float | None = None
    to_ours: float | None = None
    to_ours_lo: float | None = None
    to_ours_hi: float | None = None
    note: str = ""
