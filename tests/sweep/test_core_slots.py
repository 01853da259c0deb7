"""Core slots: cores reserved for one job, never more than exist, and released when the job ends."""

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
    """A host of four cores whose bindings are recorded instead of made."""
    bound = [{0, 1, 2, 3}]
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: bound[-1])
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cores: bound.append(set(cores)))
    return bound


def test_without_the_variable_nothing_is_bound(host, tmp_path, monkeypatch):
    monkeypatch.delenv(core_slots.VARIABLE, raising=False)
    with core_slots.reserved_cores(tmp_path) as cores:
        assert cores == []
    assert len(host) == 1


def test_two_jobs_share_no_core_and_cores_are_released(host, tmp_path, monkeypatch):
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


def test_a_job_waits_until_enough_cores_are_free(host, tmp_path, monkeypatch):
    monkeypatch.setenv(core_slots.VARIABLE, "3")
    left, order = threading.Event(), []

    def rest(seconds: float) -> None:
        order.append("waits")
        left.set()
        threading.Event().wait(0.05)

    monkeypatch.setattr(core_slots.time, "sleep", rest)

    def second() -> None:
        with core_slots.reserved_cores(tmp_path, tmp_path / "nowhere"):
            order.append("runs")

    with core_slots.reserved_cores(tmp_path, tmp_path / "nowhere"):
        host.append({0, 1, 2, 3})
        thread = threading.Thread(target=second)
        thread.start()
        assert left.wait(10)
        order.append("released")
    thread.join(10)
    assert order[0] == "waits"
    assert order[-1] == "runs"
    assert order.index("released") < order.index("runs")


def test_two_threads_of_a_core_are_one_core(host, tmp_path, monkeypatch):
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


def test_the_old_variable_still_works(host, tmp_path, monkeypatch):
    monkeypatch.delenv(core_slots.VARIABLE, raising=False)
    monkeypatch.setenv(core_slots.OLD_VARIABLE, "2")
    with core_slots.reserved_cores(tmp_path, tmp_path / "nowhere") as cores:
        assert cores == [0, 1]


@pytest.mark.skipif(sys.platform != "linux", reason="real affinities")
def test_a_real_process_is_bound_and_unbound(tmp_path, monkeypatch):
    before = os.sched_getaffinity(0)
    monkeypatch.setenv(core_slots.VARIABLE, "1")
    with core_slots.reserved_cores(tmp_path) as cores:
        assert os.sched_getaffinity(0) == set(cores)
        assert len(cores) == 1
    assert os.sched_getaffinity(0) == before
