"""Cache usage is reported once per trace or attack, in order, and added up over a sweep."""

from __future__ import annotations

from benchmark.utils import cache_usage
from benchmark.utils.cache_usage import CacheUse


def test_a_trace_used_twice_counts_once_as_first_reported():
    cache_usage.reported()
    cache_usage.report("trace", "trace clean", 12, reused=False)
    cache_usage.report("attack", "attack same", 12, reused=True)
    cache_usage.report("trace", "trace clean", 12, reused=True)
    uses = cache_usage.reported()
    assert uses == [CacheUse("trace", "trace clean", 12, False), CacheUse("attack", "attack same", 12, True)]
    assert cache_usage.reported() == []
    assert cache_usage.line(uses) == "reused: attack same of 12 samples; made: trace clean of 12 samples"


def test_totals_add_up_by_kind():
    uses = [CacheUse("trace", "a", 1000, True), CacheUse("trace", "b", 200, True), CacheUse("attack", "c", 30, False)]
    assert cache_usage.total_line(uses) == "reused: 2 traces of 1,200 samples; made: 1 attack of 30 samples"
    assert cache_usage.total_line([]) == ""
