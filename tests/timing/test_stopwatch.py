"""The stopwatch on a pretend computer: what it reports is exact where the truth is known; no real time is asserted."""

from __future__ import annotations

import gc
import threading
from collections import Counter

import numpy as np
import pytest
from simulated_machine import MS, Machine, weather
from tiny_exits import TinyExits

from benchmark.timing import rounds
from benchmark.timing import statistics as bootstrap
from benchmark.timing.rounds import pass_order
from benchmark.timing.stopwatch import Limits, measure, stopwatch
from benchmark.timing.timed_section import host_lock
from benchmark.types import Batch, ExitbenchError, Hardware, Latency

TWENTY = [1.0] * 20
BRIEF = Limits(min_passes=2, max_passes=3)


@pytest.fixture
def tiny() -> TinyExits:
    return TinyExits()


def timed(machine: Machine, units: list[float], full: float = 2.0, **options) -> Latency:
    """Early exit takes a unit's milliseconds, full depth `full` of them."""
    options = {"limits": BRIEF, "read": lambda answer: answer, **options}
    if "slow_canary" in options:
        slower = options.pop("slow_canary")
        options["canary"] = lambda unit: machine.work(full * slower * MS)

    def early(unit: float) -> tuple[int, int]:
        machine.work(unit * MS)
        return 7, int(unit)

    return measure(lambda unit: machine.work(full * MS), early, units, clock=machine.clock(), **options)


def test_known_work_is_recovered_exactly():
    found = timed(Machine(), TWENTY)
    assert (found.speedup, found.speedup_lo, found.speedup_hi) == pytest.approx((2, 2, 2))
    assert (found.canary, found.median_ratio, found.repeat_half_width) == pytest.approx((1, 2, 0))
    assert found.latency_ms_p50 == 1
    assert found.full_ms_p50 == 2
    assert (found.unreliable, found.stopped_by, found.clock) == ([], "interval", "cpu")


def test_drift_common_to_a_round_cancels():
    machine = Machine(lambda now, runs: 1 + 0.9 * np.sin((runs // 3) / 5))
    found = timed(machine, TWENTY)
    assert found.speedup == pytest.approx(2, abs=1e-6)
    assert found.speedup_wall == pytest.approx(2, abs=1e-6)


def test_speedup_is_total_over_total_where_exits_are_bimodal():
    found = timed(Machine(), [1.0] * 11 + [4.0] * 9, full=4.0)
    assert found.speedup == pytest.approx(4 * 20 / (11 + 36))
    assert found.median_ratio == 4  # what the typical sample sees, and not what the workload gains
    assert found.speedup_lo < found.speedup < found.speedup_hi


def test_stops_when_more_rounds_have_nothing_to_add_though_samples_differ():
    found = timed(Machine(), [1.0] * 11 + [4.0] * 9, full=4.0)
    assert (found.stopped_by, found.rounds) == ("interval", 2 * 20)


@pytest.mark.parametrize("slower", [0.8, 1.2])
def test_a_broken_canary_is_noticed(slower):
    found = timed(Machine(), TWENTY, slow_canary=slower)
    assert found.canary == pytest.approx(1 / slower)
    assert "misses 1" in found.unreliable[0]
    assert found.speedup == pytest.approx(2)  # kept all the same


def test_a_wide_canary_is_noticed():
    rng = np.random.default_rng(0)
    machine = Machine(lambda now, runs: float(np.exp(rng.normal(0, 0.5))))
    found = timed(machine, TWENTY)
    assert any("wider than 5%" in doubt for doubt in found.unreliable)
    assert found.stopped_by == "rounds"


def test_few_samples_carry_no_interval():
    assert "time at least 10" in timed(Machine(), [1.0, 1.0]).unreliable[0]


def test_each_sample_equally_often_and_positions_balanced():
    found = timed(Machine(), [1.0] * 12)
    assert set(Counter(found.sample_of).values()) == {2}
    rng = np.random.default_rng(0)
    passes = [list(pass_order(12, rng)) for _ in range(50)]
    assert all(Counter(order for _, order in one) == Counter(rounds.ORDERS * 2) for one in passes)
    assert len({tuple(sample for sample, _ in one) for one in passes}) == 50  # shuffled anew
    first_of_sample_0 = Counter(order[0] for one in passes for sample, order in one if sample == 0)
    assert min(first_of_sample_0.values()) >= 8  # a third of 50 is expected


def test_warm_up_is_left_out_and_ends_when_steady():
    machine = Machine(lambda now, runs: 100.0 if runs < 75 else 1.0)  # 60 runs touch every shape, 15 more are slow
    found = timed(machine, TWENTY)
    assert set(found.early_wall_ms) == {1}
    assert not found.warmup_capped
    assert found.warmup_rounds == 20 + 5 + 8  # 5 slow rounds, then 3 quick ones in the earlier five and 5 in the later


def test_a_warm_up_that_never_settles_is_capped_and_says_so():
    machine = Machine(lambda now, runs: 1.02 ** (runs // 3))
    found = timed(machine, TWENTY)
    assert found.warmup_capped
    assert found.warmup_rounds == 20 + rounds.WARMUP_CAP


def test_the_device_is_idle_at_both_ends_of_every_observation():
    machine = Machine()
    found = timed(machine, TWENTY)
    observations = 3 * (found.rounds + found.warmup_rounds - 20)
    assert machine.synchronised == 2 * observations


def test_garbage_collection_is_off_inside_the_window_and_back_on_after():
    inside = []
    rounds.observe(lambda unit: inside.append(gc.isenabled()), None, rounds.Clock())
    assert inside == [False]
    assert gc.isenabled()


def test_outliers_are_counted_and_kept():
    machine = Machine(lambda now, runs: 50.0 if runs == 120 else 1.0 + 0.001 * (runs % 5))
    found = timed(machine, TWENTY, limits=Limits(min_passes=3))
    times = found.full_cpu_ms + found.early_cpu_ms + found.canary_cpu_ms
    assert max(times) >= 50
    table = np.ones((20, 3)) + np.arange(3) * 0.001
    table[4, 1] = 9
    assert bootstrap.count_outliers(table) == 1
    assert len(found.early_wall_ms) == found.rounds


def test_samples_that_leave_late_are_no_outliers():
    assert timed(Machine(), [1.0] * 19 + [50.0]).outliers == 0


@pytest.mark.parametrize(("n", "p90", "p99"), [(63, False, False), (64, True, False), (662, True, True)])
def test_percentiles_need_samples(n, p90, p99):
    found = timed(Machine(), [1.0] * n)
    assert found.latency_ms_p50 == 1
    assert (found.latency_ms_p90 is not None, found.latency_ms_p99 is not None) == (p90, p99)
    assert (found.full_ms_p90 is not None, found.full_ms_p99 is not None) == (p90, p99)


def test_time_limit_is_kept_except_for_the_first_passes():
    rng = np.random.default_rng(0)
    noisy = Machine(lambda now, runs: float(np.exp(rng.normal(0, 0.5))))
    found = timed(noisy, TWENTY, limits=Limits(time_limit_s=2.0, min_passes=2))
    assert found.stopped_by == "time_limit"
    assert noisy.now <= 2.0e9 * 1.1
    short = timed(Machine(lambda now, runs: 1 + runs % 2), TWENTY, limits=Limits(time_limit_s=1e-3, min_passes=2))
    assert (short.stopped_by, short.rounds, short.warmup_capped) == ("time_limit", 40, True)


def test_answers_are_recorded_once_per_sample():
    found = timed(Machine(), [1.0, 2.0, 3.0])
    assert (found.predictions, found.exit_depths) == ([7, 7, 7], [1, 2, 3])


def sequential(machine: Machine, units: list[float], full: float, repeats: int) -> bootstrap.Interval:
    """The broken double: everything at full depth, then everything with early exit, then the ratio of totals."""
    table = np.empty((2, len(units), repeats))
    for kind in (0, 1):
        for repeat in range(repeats):
            for sample, unit in enumerate(units):
                start = machine.now
                machine.work((full, unit)[kind] * MS)
                table[kind, sample, repeat] = machine.now - start
    return bootstrap.ratio_of_totals(table[0], table[1], seed=0)


@pytest.mark.parametrize("shares", [(0.5, 0.3, 0.2), (1.0, 0.0, 0.0)], ids=["mixed depths", "one depth"])
def test_intervals_cover_the_truth_under_noise_and_a_sequential_stopwatch_does_not(shares):
    works, full = np.array([1.0, 2.0, 3.0]), 3.0
    truth = full / float(works @ shares)
    ours, theirs = [], []
    for seed in range(200):
        units = np.random.default_rng([seed, 1]).choice(works, p=shares, size=40).tolist()
        found = timed(Machine(weather(seed)), units, full, seed=seed, limits=Limits(min_passes=3, max_passes=3))
        ours.append(found.speedup_lo <= truth <= found.speedup_hi)
        interval = sequential(Machine(weather(seed)), units, full, repeats=3)
        theirs.append(interval.lo <= truth <= interval.hi)
    assert np.mean(ours) >= 0.9
    assert np.mean(theirs) < 0.8


def test_intervals_over_rounds_cover_the_truth_of_one_set_timed_again():
    """What `offline` uses: the windows are given, and only the noise differs from one timing to the next."""
    units, full = [3.0, 5.0, 4.0, 2.0], 8.0
    truth = full * len(units) / sum(units)
    held = []
    for seed in range(40):
        limits = Limits(min_passes=6, max_passes=6)
        found = timed(Machine(weather(seed)), units, full, seed=seed, limits=limits, over="rounds", samples=64)
        held.append(found.speedup_lo <= truth <= found.speedup_hi)
        assert (found.n, found.units, found.latency_ms_p50) == (64, 4, None)
        assert found.interval_over == "rounds"
    assert np.mean(held) >= 0.9


def test_throughput_is_samples_over_the_typical_times():
    found = timed(Machine(), [1.0, 3.0] * 10, full=4.0)
    assert found.samples_per_s == pytest.approx(500)
    assert found.full_samples_per_s == pytest.approx(250)


def test_a_device_s_own_timestamps_take_the_place_of_the_wall_clock():
    machine, order = Machine(), []

    def mark() -> float:
        order.append("mark")
        return machine.now

    def wait() -> None:
        order.append("wait")

    plain = machine.clock()
    clock = rounds.Clock(plain.wall, plain.cpu, wait, mark, lambda start, end: int(end - start) * 2)
    wall, cpu, _ = rounds.observe(lambda unit: machine.work(5 * MS), None, clock)
    assert (wall, cpu) == (10 * MS, 5 * MS)
    assert order == ["wait", "mark", "mark", "wait"]  # idle, both events in the stream, then one wait


def test_the_repeat_half_width_covers_what_timing_the_same_samples_again_gives():
    units, full = [1.0] * 10 + [2.0] * 7 + [3.0] * 7, 3.0
    truth = full * len(units) / sum(units)
    held = []
    for seed in range(50):
        found = timed(Machine(weather(seed)), units, full, seed=seed, limits=Limits(min_passes=4, max_passes=4))
        assert found.repeat_half_width is not None
        held.append(abs(found.speedup / truth - 1) <= found.repeat_half_width)
    assert np.mean(held) >= 0.9


@pytest.mark.parametrize("at_once", [1, 700, 10**6])
def test_rounds_drawn_together_are_those_drawn_one_by_one(at_once, monkeypatch):
    monkeypatch.setattr(bootstrap, "MAX_RESAMPLED_VALUES", at_once)
    full, early = np.random.default_rng(3).lognormal(size=(2, 20, 7))
    rng, ratios = np.random.default_rng(5), []
    for _ in range(30):
        drawn = rng.integers(7, size=(20, 7))
        top, bottom = bootstrap.robust_times(*(np.take_along_axis(table, drawn, 1) for table in (full, early)))
        ratios.append(np.log(top.sum() / bottom.sum()))
    expected = 1.96 * np.std(ratios, ddof=1) * (7 / 6) ** 0.5
    assert bootstrap.repeat_half_width(full, early, 5, draws=30) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"time_limit_s": 0}, "time_limit_s"),
        ({"time_limit_s": "long"}, "timing.time_limit_s: expected seconds"),
        ({"min_passes": 1}, "min_passes"),
        ({"max_passes": 2}, "max_passes"),
        ({"processes": 0}, "timing.processes: expected a whole number from 1 to 100, got 0"),
        ({"processes": 2.0}, "timing.processes"),
        ({"processes": True}, "timing.processes"),
    ],
)
def test_limits_refuse_what_cannot_be(options, says):
    with pytest.raises(ExitbenchError, match=says):
        Limits(**options)


def test_nothing_to_time_is_refused():
    with pytest.raises(ExitbenchError, match="at least one sample"):
        timed(Machine(), [])


def test_stopwatch_refuses_larger_batches(tiny):
    two: Batch = tiny.collate(range(2))
    with pytest.raises(ExitbenchError, match=r"batches of 1, got \[2\]"):
        stopwatch(tiny, tiny.policy(0.5), [two], Hardware("cpu_1t", "cpu", "float32", 1))


def test_stopwatch_times_a_real_model_and_records_its_answers(tiny):
    batches = [tiny.collate([index]) for index in range(12)]
    found = stopwatch(tiny, tiny.policy(0.5), batches, Hardware("cpu_1t", "cpu", "float32", 1), limits=BRIEF)
    depths, predictions = tiny.replayed(range(12), 0.5)
    assert found.exit_depths == depths
    assert found.predictions == predictions
    assert len(set(depths)) > 1
    assert min(found.early_wall_ms + found.full_cpu_ms) > 0


def test_one_timed_section_at_a_time(tmp_path, caplog):
    entered = threading.Event()

    def second() -> None:
        with host_lock(tmp_path):
            entered.set()

    with host_lock(tmp_path):
        waiting = threading.Thread(target=second)
        waiting.start()
        assert not entered.wait(0.2)
    waiting.join(timeout=30)
    assert entered.is_set()
    assert "waiting for it" in caplog.text
