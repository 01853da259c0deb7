"""Seats: cores of one's own, never more than there are, and back again when the job is done."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from benchmark.sweep import core_slots
from benchmark.types import ExitbenchError

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to cores")


@pytest.fixture
def host(monkeypatch):
    """A host of four cores, whose bindings are written down instead of made."""
    bound = [{0, 1, 2, 3}]
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: bound[-1])
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cores: bound.append(set(cores)))
    return bound


def test_without_a_wish_nothing_is_bound(host, tmp_path, monkeypatch):
    monkeypatch.delenv(core_slots.VARIABLE, raising=False)
    with core_slots.reserved_cores(tmp_path) as cores:
        assert cores == []
    assert len(host) == 1


def test_seats_do_not_meet_and_are_given_back(host, tmp_path, monkeypatch):
    monkeypatch.setenv(core_slots.VARIABLE, "2")
    nowhere = tmp_path / "nowhere"  # no topology: every core is a unit
    with core_slots.reserved_cores(tmp_path, nowhere) as first:
        host.append({0, 1, 2, 3})  # another process, which may use all
        with core_slots.reserved_cores(tmp_path, nowhere) as second:
            assert (first, second) == ([0, 1], [2, 3])
            assert host[-1] == {2, 3}
    assert host[-1] == {0, 1, 2, 3}
    with core_slots.reserved_cores(tmp_path, nowhere) as again:
        assert again == [0, 1]


def test_a_job_waits_until_a_seat_is_free(host, tmp_path, monkeypatch):
    monkeypatch.setenv(core_slots.VARIABLE, "3")
    left, order = threading.Event(), []

    def rest(seconds: float) -> None:
        order.append("waits")
        left.set()
        threading.Event().wait(0.05)

    monkeypatch.setattr(core_slots.time, "sleep", rest)

    def second() -> None:
        with core_slots.reserved_cores(tmp_path, tmp_path / "nowhere"):
            order.append("sits")

    with core_slots.reserved_cores(tmp_path, tmp_path / "nowhere"):
        host.append({0, 1, 2, 3})
        thread = threading.Thread(target=second)
        thread.start()
        assert left.wait(10)
        order.append("leaves")
    thread.join(10)
    assert order[0] == "waits"
    assert order[-1] == "sits"
    assert order.index("leaves") < order.index("sits")


def test_two_threads_of_a_core_are_one_unit(host, tmp_path, monkeypatch):
    monkeypatch.setenv(core_slots.VARIABLE, "1")
    for core, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        (tmp_path / f"cpu{core}" / "topology").mkdir(parents=True)
        (tmp_path / f"cpu{core}" / "topology" / "thread_siblings_list").write_text(f"{siblings}\n")
    with core_slots.reserved_cores(tmp_path, tmp_path) as first:
        host.append({0, 1, 2, 3})
        with core_slots.reserved_cores(tmp_path, tmp_path) as second:
            assert (first, second) == ([0], [1])
    monkeypatch.setenv(core_slots.VARIABLE, "3")
    with (
        pytest.raises(ExitbenchError, match="from 1 to the 2 usable, got '3'"),
        core_slots.reserved_cores(tmp_path, tmp_path),
    ):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="real affinities")
def test_a_real_process_is_bound_and_unbound(tmp_path, monkeypatch):
    before = os.sched_getaffinity(0)
    monkeypatch.setenv(core_slots.VARIABLE, "1")
    with core_slots.reserved_cores(tmp_path) as cores:
        assert os.sched_getaffinity(0) == set(cores)
        assert len(cores) == 1
    assert os.sched_getaffinity(0) == before
