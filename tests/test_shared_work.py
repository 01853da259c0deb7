"""What was reused is told once, in order, and added up."""

from __future__ import annotations

from benchmark import shared_work
from benchmark.shared_work import Piece


def test_a_piece_asked_for_twice_counts_as_it_was_first():
    shared_work.told()
    shared_work.tell("trace", "trace clean", 12, reused=False)
    shared_work.tell("attack", "attack same", 12, reused=True)
    shared_work.tell("trace", "trace clean", 12, reused=True)
    pieces = shared_work.told()
    assert pieces == [Piece("trace", "trace clean", 12, False), Piece("attack", "attack same", 12, True)]
    assert shared_work.told() == []
    assert shared_work.line(pieces) == "reused: attack same of 12 samples; made: trace clean of 12 samples"


def test_totals_add_up_by_kind():
    pieces = [Piece("trace", "a", 1000, True), Piece("trace", "b", 200, True), Piece("attack", "c", 30, False)]
    assert shared_work.totals(pieces) == "reused: 2 traces of 1,200 samples; made: 1 attack of 30 samples"
    assert shared_work.totals([]) == ""
