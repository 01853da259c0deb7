"""Ways timed in turns: the ratio of two is found under drift, every way is warm, and passes are whole."""

import numpy as np
import pytest

from benchmark.timing.rounds import Clock
from benchmark.timing.side_by_side import mean_ms, ratio, time_side_by_side


class Simulated:
    """A machine whose clock advances by what is run on it, ever more slowly, and where a network first fetches."""

    def __init__(self, drift: float = 0.0, cold_ns: int = 0) -> None:
        self.now, self.drift, self.cold_ns, self.last = 0, drift, cold_ns, None

    def way(self, name: str, nanoseconds: int):
        def run(unit: int) -> None:
            fetched = self.cold_ns if self.last != name else 0
            self.last = name
            self.now += int((nanoseconds * (1 + unit) + fetched) * (1 + self.drift * self.now / 1e9))

        return run

    def time(self, ways, seconds=1.0, **settings):
        clock = Clock(wall=lambda: self.now, cpu=lambda: self.now)
        return time_side_by_side(ways, range(12), clock, "cpu", seconds, **settings)


def test_the_ratio_is_found_while_the_machine_slows_down():
    machines = [Simulated(drift=2.0) for _ in range(3)]
    parts = [one.time({"slow": one.way("slow", 3_000_000), "quick": one.way("quick", 1_000_000)}) for one in machines]
    found = ratio(parts, "slow", "quick")
    assert found.lo <= 3 <= found.hi
    assert found.value == pytest.approx(3, rel=0.05)
    assert ratio(parts[:1], "slow", "quick").value == pytest.approx(3, rel=0.05)


def test_no_way_pays_for_what_the_others_left_behind():
    machine = Simulated(cold_ns=5_000_000)
    times = machine.time({"one": machine.way("one", 1_000_000), "other": machine.way("other", 1_000_000)})
    assert mean_ms([times], "one") == mean_ms([times], "other") == pytest.approx(6.5)  # of 1 to 12 ms


def test_a_way_that_is_not_warmed_would_show_it():
    """The broken double: the same machine, observed without the untimed run before."""
    machine = Simulated(cold_ns=5_000_000)
    one, other = machine.way("one", 1_000_000), machine.way("other", 1_000_000)
    before = machine.now
    for unit in range(12):
        one(unit)
        other(unit)
    assert (machine.now - before) / 24e6 == pytest.approx(11.5)


def test_passes_are_whole_and_the_least_are_made_whatever_they_take():
    machine = Simulated()
    times = machine.time({"only": machine.way("only", 10_000_000)}, seconds=1e-6, min_passes=3)
    assert times["only"].shape == (12, 3)
    assert np.all(times["only"] > 0)
    longer = Simulated()
    assert longer.time({"only": longer.way("only", 1_000)}, max_passes=7)["only"].shape == (12, 7)
