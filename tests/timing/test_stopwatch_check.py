"""The stopwatch's check of itself measures what it says; no time is asserted."""

from benchmark.timing import stopwatch_check
from benchmark.timing.stopwatch import Limits


def test_both_kinds_of_work_are_timed_and_shown():
    found = stopwatch_check.time_known_work(Limits(time_limit_s=1, min_passes=2, max_passes=2), width=8)
    assert [(what, truth) for what, truth, _ in found] == [("A / A", 1.0), ("A / half of A", 2.0)]
    assert all(seen.rounds == 2 * stopwatch_check.UNITS for *_, seen in found)
    shown = stopwatch_check.format_table(found)
    assert len(shown) == 3
    assert "half of A" in shown[2]
