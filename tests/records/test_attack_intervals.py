"""Intervals of what attacks take: coverage on simulated attacks whose truth is known, pairing, seeds, old records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from make_records import make_record

from benchmark.records import attack_intervals, leaderboard, metrics, record

EXITS, N, TRIALS = 6, 100, 200
CLEAN = [0.65, 0.2, 0.1, 0.02, 0.02, 0.01]
Interval = Callable[[np.ndarray, np.ndarray], tuple[float, float]]


def ours(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    found = attack_intervals.gain_lost(before, after, EXITS)
    assert found is not None
    return found


def unpaired(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """Broken: it forgets which attacked sample belongs to which clean one."""
    return ours(before, np.random.default_rng(len(before)).permutation(after))


def plain_bootstrap(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """Broken where nearly all samples are taken: resampling cannot draw a failure that was not seen."""
    rows = np.random.default_rng(0).integers(0, len(before), (500, len(before)))
    lost = lost_of(before[rows].mean(1), after[rows].mean(1))
    return float(np.quantile(lost, 0.025)), float(np.quantile(lost, 0.975))


def point(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """Broken: an interval of width 0."""
    value = float(lost_of(before.mean(), after.mean()))
    return value, value


def lost_of(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return 1 - (EXITS / after - 1) / (EXITS / before - 1)


def attack(rng: np.random.Generator, size: int, success: float, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Clean depths, and depths after an attack that pushes a share of the samples `step` exits deeper."""
    before = rng.choice(EXITS, size, p=CLEAN) + 1
    after = np.where(rng.random(size) < success, np.minimum(before + step, EXITS), before)
    return before, after


def coverage(interval: Interval, success: float, step: int) -> tuple[float, float]:
    """How often an interval holds the truth, and its mean width over that of the estimates' own spread."""
    rng = np.random.default_rng(5)
    many = attack(rng, 1_000_000, success, step)
    truth = lost_of(many[0].mean(), many[1].mean())
    pairs = [attack(rng, N, success, step) for _ in range(TRIALS)]
    estimates = [lost_of(before.mean(), after.mean()) for before, after in pairs]
    found = np.array([interval(*pair) for pair in pairs])
    held = (found[:, 0] <= truth) & (truth <= found[:, 1])
    return float(held.mean()), float(np.diff(found).mean() / (3.92 * np.std(estimates)))


def assert_sound(interval: Interval) -> None:
    """95% coverage less noise, and not wider than it needs to be, for attacks from strong to weak.

    Where 99% succeed the estimate's own spread is skewed towards 1, and the unseen failures count: wider there.
    """
    for success, step, widest in ((0.99, 5, 4.0), (0.8, 5, 1.4), (0.5, 1, 1.6)):
        held, width = coverage(interval, success, step)
        assert held >= 0.95 - 3 * (0.95 * 0.05 / TRIALS) ** 0.5, (success, step, held)
        assert width <= widest, (success, step, width)


def test_intervals_hold_the_truth_as_often_as_they_claim():
    assert_sound(ours)


@pytest.mark.parametrize("broken", [unpaired, plain_bootstrap, point])
def test_the_same_check_catches_broken_intervals(broken: Interval):
    with pytest.raises(AssertionError):
        assert_sound(broken)


def test_an_attack_that_took_every_sample_has_an_interval():
    """The lower end leaves room for about 3 failures in 100, the rule of three; the upper end is all of the gain."""
    lo, hi = ours(np.ones(N), np.full(N, EXITS))
    assert 0.985 < lo < 0.999
    assert hi == 1
    _, wide = ours(np.ones(10), np.full(10, EXITS))
    assert ours(np.ones(10), np.full(10, EXITS))[0] < lo < wide


def test_intervals_hold_the_metrics_own_figures():
    before, after = attack(np.random.default_rng(1), N, 0.6, 3)
    lost = metrics.gain_lost(EXITS / before.mean(), EXITS / after.mean())
    layers = metrics.gain_lost_layers(before.mean(), after.mean(), EXITS)
    for value, found in (
        (lost, ours(before, after)),
        (layers, attack_intervals.gain_lost_layers(before, after, EXITS)),
        (after.mean(), attack_intervals.mean(after)),
    ):
        assert value is not None
        assert found is not None
        assert found[0] < value < found[1]


def test_macs_with_costs_alike_are_layers():
    """Where every exit costs one layer more and lengths are equal, MAC gain lost is layer gain lost."""
    before, after = attack(np.random.default_rng(2), N, 0.6, 3)
    full = np.full(N, EXITS)
    found = attack_intervals.gain_lost_macs((before, full), (after, full), cheapest=1)
    assert found == pytest.approx(ours(before, after))


def test_nothing_to_lose_has_no_interval():
    full = np.full(4, EXITS)
    assert attack_intervals.gain_lost(full, full, EXITS) is None
    assert attack_intervals.gain_lost_layers(full, full, EXITS) is None
    assert attack_intervals.gain_lost_macs((full, full), (full, full), 1) is None


def test_seeds_narrow_what_the_attack_s_own_chance_adds_and_no_more():
    """Three seeds on the same samples: narrower than one, wider than if they were three times as many samples."""
    rng = np.random.default_rng(3)
    before = np.ones(N)
    seeds = np.where(rng.random((3, N)) < 0.5, EXITS, 1)
    one, three = (np.diff(ours(before, after))[0] for after in (seeds[0], seeds))
    assert 0.45 * one < three < 0.75 * one  # 1/√3 and a bit: all of the spread is the attack's own
    same = np.diff(ours(before, np.vstack([seeds[0]] * 3)))[0]
    assert same == pytest.approx(one)


def test_a_difference_is_paired():
    """One attack goes an exit deeper on a fifth of the samples: sure, although the two own intervals overlap."""
    first, _ = attack(np.random.default_rng(4), N, 0.5, 2)
    second = first + (np.arange(N) % 5 == 0) * (first < EXITS)
    apart, alone = attack_intervals.depth_difference(second, first, EXITS), attack_intervals.mean(first)
    assert apart[0] > 0
    assert attack_intervals.depth_difference(first, second, EXITS)[1] < 0
    assert alone[1] > attack_intervals.mean(second)[0]
    lo, hi = attack_intervals.depth_difference(first, first, EXITS)
    assert lo < 0 < hi


@pytest.mark.parametrize("never_shallower", [True, False])
def test_no_pairing_of_two_histograms_is_wider_than_the_widest(never_shallower: bool):
    rng = np.random.default_rng(6)
    before, after = attack(rng, N, 0.5, 3)
    histograms = [metrics.exit_histogram(depths, EXITS) for depths in (before, after)]
    worst = attack_intervals.widest_pairing(*histograms, never_shallower)
    assert [metrics.exit_histogram(depths, EXITS) for depths in worst] == histograms
    assert (worst[1] >= worst[0]).all() == never_shallower
    width = np.diff(ours(*worst))
    assert np.diff(ours(before, after)) < width
    if not never_shallower:
        assert all(np.diff(ours(before, rng.permutation(after))) < width for _ in range(20))
        assert np.diff(ours(*attack_intervals.widest_pairing(*histograms, True))) < width


def test_histograms_that_contradict_a_search_that_never_goes_back_are_paired_without_it():
    before, after = attack_intervals.widest_pairing([0, 0, 2], [1, 1, 0], never_shallower=True)
    assert (before.tolist(), sorted(after)) == ([3, 3], [1, 2])


def test_equal_data_equal_interval_and_many_samples_in_blocks(monkeypatch: pytest.MonkeyPatch):
    before, after = attack(np.random.default_rng(7), N, 0.5, 3)
    whole = ours(before, after)
    assert whole == ours(before, after)
    monkeypatch.setattr(attack_intervals, "MAX_WEIGHTS", 10 * (N + 1))
    assert ours(before, after) == pytest.approx(whole)


def test_a_record_s_intervals_are_columns_and_per_sample_columns_are_skipped_by_a_lean_reader(tmp_path: Path):
    section = {"gain_lost_lo": 0.25, "gain_lost_hi": 0.75, "per_sample": {"index": [3, 4], "depth_after": [1, 2]}}
    attacked = make_record(workload="same")
    attacked = replace(attacked, attack=attacked.attack | section)
    for one in (make_record(), attacked):
        record.write(one, tmp_path)
    lean, whole = (record.read_all([tmp_path], lean=lean)[0] for lean in (True, False))
    assert [one.attack.get("per_sample") for one in lean if one.attack] == [None]
    assert [one.attack["per_sample"] for one in whole if one.attack] == [section["per_sample"]]
    table = leaderboard.frame(lean).set_index("workload")
    assert list(table.loc["same", ["gain_lost_lo", "gain_lost_hi"]]) == [0.25, 0.75]
    assert table.loc["clean", ["gain_lost_lo", "gain_lost_hi", "queries_mean_lo"]].isna().all()


def test_a_leaderboard_written_before_there_were_intervals_is_read_and_validated(tmp_path: Path):
    records = [make_record(), make_record(workload="same")]
    csv, _ = leaderboard.write(leaderboard.frame(records), tmp_path / "leaderboard.csv")
    added = {name for name in leaderboard.CSV_COLUMNS if name.endswith(("_lo", "_hi")) and "speedup" not in name}
    assert len(added) == 8
    later = len(leaderboard.CSV_COLUMNS) - leaderboard.CSV_COLUMNS.index("gain_lost_lo")
    lines = [line.rsplit(",", later)[0] for line in csv.read_text().splitlines()]
    csv.write_text("\n".join(lines) + "\n")
    assert not added & set(lines[0].split(","))
    assert leaderboard.validate(csv, records) == []
    assert leaderboard.read_csv(csv, records)["gain_lost_lo"].isna().all()
