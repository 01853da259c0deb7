"""What was reused is told once, in order, and added up."""

from __future__ import annotations

from benchmark.utils import cache_usage
from benchmark.utils.cache_usage import Piece


def test_a_piece_asked_for_twice_counts_as_it_was_first():
    cache_usage.told()
    cache_usage.tell("trace", "trace clean", 12, reused=False)
    cache_usage.tell("attack", "attack same", 12, reused=True)
    cache_usage.tell("trace", "trace clean", 12, reused=True)
    pieces = cache_usage.told()
    assert pieces == [Piece("trace", "trace clean", 12, False), Piece("attack", "attack same", 12, True)]
    assert cache_usage.told() == []
    assert cache_usage.line(pieces) == "reused: attack same of 12 samples; made: trace clean of 12 samples"


def test_totals_add_up_by_kind():
    pieces = [Piece("trace", "a", 1000, True), Piece("trace", "b", 200, True), Piece("attack", "c", 30, False)]
    assert cache_usage.totals(pieces) == "reused: 2 traces of 1,200 samples; made: 1 attack of 30 samples"
    assert cache_usage.totals([]) == ""
