"""Intervals over several processes cover the truth when noise is constant within a process; one process does not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from simulated_machine import one_process, weather
from small_data import images

from benchmark.policies.confidence import Confidence
from benchmark.records.consistency import _clocked
from benchmark.timing import processes, summary, worker
from benchmark.timing.audit import audit_processes
from benchmark.timing.process_statistics import BETWEEN_MEASUREMENTS_SD, ratio_over_processes
from benchmark.timing.processes import combine, time_in_processes
from benchmark.timing.statistics import ratio_of_totals
from benchmark.timing.stopwatch import Limits
from benchmark.timing.timed_task import TimedTask
from benchmark.types import Hardware, Latency

FIVE = Limits(min_passes=3, max_passes=4, processes=5)
WORKS, SHARES, FULL = np.array([1.0, 2.0, 3.0]), (0.5, 0.3, 0.2), 3.0
SD = 0.03  # of both factors: √2 × 3% on the ratio, as seen between processes of one run on a shared machine


def simulated(seed: int, units: list[float], deviation: float = SD, limits: Limits = FIVE, **options) -> list[Latency]:
    """What the processes of one measurement return."""
    return [one_process(seed, p, units, FULL, deviation, limits, **options) for p in range(limits.processes)]


def pooled(parts: list[Latency]) -> Latency:
    """The broken double: all rounds of all processes as if one process had run them."""
    merged = processes._merged(parts)
    merged.process_of[:] = [0] * len(merged.process_of)
    over = "rounds" if parts[0].interval_over == "rounds" else "samples"
    return replace(parts[0], **summary.raw_observations(merged), **summary.summarise(merged, "cpu", 0, over))


def covers(found: Latency, truth: float) -> bool:
    return found.speedup_lo <= truth <= found.speedup_hi


def test_intervals_over_samples_cover_the_truth():
    truth, held = FULL / float(WORKS @ SHARES), []
    for seed in range(100):
        units = np.random.default_rng([seed, 1]).choice(WORKS, p=SHARES, size=40).tolist()
        held.append(covers(combine(simulated(seed, units, noise=weather), seed), truth))
    assert np.mean(held) >= 0.93


def test_intervals_of_one_set_cover_the_truth_and_those_over_rounds_do_not():
    """The scenario `offline`: windows are given, so that only processes and rounds vary."""
    units = [3.0, 5.0, 4.0, 2.0]
    truth, ours, one, all_rounds = FULL * 4 / sum(units), [], [], []
    for seed in range(100):
        parts = simulated(seed, units, over="rounds", samples=64)
        ours.append(covers(combine(parts, seed), truth))
        single = one_process(seed, 0, units, FULL, SD, Limits(min_passes=6, max_passes=6), over="rounds")
        one.append(covers(single, truth))
        all_rounds.append(covers(pooled(parts), truth))
    assert np.mean(ours) >= 0.93
    assert np.mean(one) < 0.6  # the old interval, from a single process
    assert np.mean(all_rounds) < 0.8  # rounds are no processes, however many


def test_a_repeat_of_the_whole_measurement_lies_within_the_repeat_half_width():
    units, ours, within_one = [1.0] * 10 + [2.0] * 7 + [3.0] * 7, [], []
    for seed in range(60):
        found, again = (combine(simulated(s, units), s) for s in (seed, seed + 5000))
        assert found.repeat_half_width is not None
        ours.append(abs(again.speedup / found.speedup - 1) <= found.repeat_half_width)
        single, other = (one_process(s, 0, units, FULL, SD, Limits(max_passes=4)) for s in (seed, seed + 5000))
        assert single.repeat_half_width is not None
        within_one.append(abs(other.speedup / single.speedup - 1) <= single.repeat_half_width)
    assert np.mean(ours) >= 0.9
    assert np.mean(within_one) < 0.6  # the old meaning: a repeat in the same process


def test_a_repeat_at_another_time_lies_within_it_where_the_machine_has_drifted(monkeypatch):
    """Noise that is constant for a whole measurement, as neighbours on a host are: no process can see it."""

    def held() -> float:
        rng, within = np.random.default_rng(1), []
        for _ in range(300):
            found, again = (measured(rng) for _ in range(2))
            within.append(abs(again.interval.value / found.interval.value - 1) <= found.repeat_half_width)
        return float(np.mean(within))

    def measured(rng):
        drift = BETWEEN_MEASUREMENTS_SD * rng.standard_normal()
        ratios = np.exp(drift + 0.012 * rng.standard_normal(5))
        return ratio_over_processes([(np.full((4, 2), ratio), np.ones((4, 2))) for ratio in ratios], 0, False)

    assert held() >= 0.93
    monkeypatch.setattr("benchmark.timing.process_statistics.BETWEEN_MEASUREMENTS_SD", 0.0)
    assert held() < 0.9  # the old width, from processes alone


def test_known_ratios_are_recovered_exactly_without_noise():
    top, early = np.full((12, 2), 6.0), np.repeat(np.arange(1.0, 13.0)[:, None], 2, 1)
    found = ratio_over_processes([(top * k, early * k) for k in (1.0, 1.3, 0.8)], 0, draw_samples=False)
    assert found.interval == pytest.approx((72 / 78, 72 / 78, 72 / 78))
    assert found.between_process_sd == pytest.approx(0)
    assert found.repeat_half_width == pytest.approx(math.expm1(2**0.5 * 1.959964 * BETWEEN_MEASUREMENTS_SD))


def test_two_processes_give_the_t_interval_of_two_values():
    tables = [(np.full((5, 3), 2.0), np.ones((5, 3))), (np.full((5, 1), 8.0), np.ones((5, 1)))]
    found = ratio_over_processes(tables, 0, draw_samples=False)
    half = 12.7062047 * math.log(2)  # t(1) × sd / √2, where sd = log 4 / √2
    assert found.interval.value == pytest.approx(4)
    assert found.interval.hi == pytest.approx(4 * math.exp(half), rel=1e-6)
    assert found.between_process_sd == pytest.approx(math.log(4) / 2**0.5)
    between = 1.959964 * BETWEEN_MEASUREMENTS_SD
    assert found.repeat_half_width == pytest.approx(math.expm1(2**0.5 * math.hypot(half, between)), rel=1e-6)


def test_samples_widen_the_interval_as_the_bootstrap_says_where_processes_agree():
    rng = np.random.default_rng(0)
    top, early = np.full((50, 1), 3.0), rng.choice([1.0, 3.0], size=(50, 1))
    ours = ratio_over_processes([(top, early)] * 4, 7, draw_samples=True).interval
    assert ours == pytest.approx(ratio_of_totals(top, early, 7))


def test_combined_records_are_what_their_observations_give():
    found = combine(simulated(3, [1.0, 2.0, 3.0] * 8), 0)
    section = found.__dict__ | {"sample_of": found.sample_of}
    pairs = {name: (recorded, again) for name, recorded, again in _clocked(section)}
    assert {"speedup", "canary", "speedup_wall", "processes", "between_process_sd", "samples_per_s"} <= pairs.keys()
    for name, (recorded, again) in pairs.items():
        if recorded is not None:
            assert recorded == pytest.approx(again, rel=1e-9), name
    altered = {**section, "process_of": [p % 3 for p in section["process_of"]]}
    again = {name: value for name, _, value in _clocked(altered)}
    assert again["speedup"] != pytest.approx(found.speedup, rel=1e-9)


def test_all_rounds_are_kept_with_their_process():
    parts = simulated(1, [1.0] * 12)
    found = combine(parts, 0)
    assert (found.processes, found.rounds) == (5, sum(part.rounds for part in parts))
    assert found.process_of == [p for p, part in enumerate(parts) for _ in range(part.rounds)]
    assert found.full_cpu_ms == [value for part in parts for value in part.full_cpu_ms]
    assert found.interval_over == "processes and samples"
    assert found.predictions_by_process == [[7] * 12] * 5


def test_a_single_process_stays_as_it_is_and_says_so():
    (part,) = simulated(1, [1.0] * 12, limits=Limits(max_passes=4))
    assert combine([part], 0) is part
    assert (part.processes, part.process_of, part.between_process_sd) == (1, [], None)
    assert part.interval_over == "samples"


def test_a_canary_that_differs_between_processes_is_wide():
    parts = simulated(2, [1.0] * 12)
    moved = [replace(part, canary_cpu_ms=[value * factor for value in part.canary_cpu_ms])
             for part, factor in zip(parts, (0.9, 1.1, 0.95, 1.05, 1.0), strict=True)]  # fmt: skip
    assert any("wider than 5%" in reason for reason in combine(moved, 0).unreliable)


def test_each_process_needs_fewer_rounds_than_one_alone():
    alone = one_process(0, 0, [1.0] * 24, FULL, SD, Limits())
    each = simulated(0, [1.0] * 24, limits=Limits(processes=5))
    assert max(part.rounds for part in each) < alone.rounds


def test_the_audit_covers_every_process():
    logits = torch.randn(20, 3, 4, generator=torch.Generator().manual_seed(0)) * 2
    depth = (logits.softmax(-1).amax(-1) >= 0.6).int().argmax(1) + 1
    depth[(logits.softmax(-1).amax(-1) < 0.6).all(1)] = 3
    answers = logits[torch.arange(20), depth - 1].argmax(-1)
    base = combine(simulated(1, [1.0] * 20), 0)
    depths, predictions = [depth.tolist()] * 5, [answers.tolist()] * 5
    same = replace(base, exit_depths_by_process=depths, predictions_by_process=predictions)
    assert audit_processes(Confidence(0.6), logits, same).passed
    wrong = [*depths[:4], [4 - d for d in depth.tolist()]]  # in the last process alone
    seen = audit_processes(Confidence(0.6), logits, replace(same, exit_depths_by_process=wrong))
    assert not seen.passed
    assert (seen.n, seen.processes) == (20, 5)


def test_the_time_limit_is_shared_between_processes(monkeypatch):
    part, shares, seconds = simulated(1, [1.0] * 12)[0], [], iter([10.0, 25.0, 1.0, 1.0, 1.0])

    def run(model, task):
        shares.append((task.process, task.limits.time_limit_s))
        return worker.WorkerResult(part, next(seconds))

    monkeypatch.setattr(processes, "time_in_worker", run)
    task = TimedTask(Confidence(0.5), [], Hardware("cpu_1t", "cpu", "float32", 1), Limits(60, processes=5))
    time_in_processes({}, task)
    assert shares == [(0, 12.0), (1, 12.5), (2, pytest.approx(25 / 3)), (3, 12.0), (4, 23.0)]


CONFIG = {"_target_": "benchmark.models.dvt.build", "num_classes": 4, "grids": [2, 3, 4], "width": 12, "depth": 2,
          "heads": 3, "mlp_ratio": 2, "image_size": 16, "mean": [0.5], "std": [0.5]}  # fmt: skip


def test_real_workers_are_separate_processes_that_answer_alike():
    limits = Limits(1, min_passes=2, max_passes=2, processes=2)
    task = TimedTask(Confidence(0.5), images().test[:10], Hardware("cpu_1t", "cpu", "float32", 1), limits)
    found = time_in_processes(CONFIG, task)
    assert (found.processes, found.n, found.worker) == (2, 10, True)
    assert found.exit_depths_by_process == [found.exit_depths] * 2
    assert found.predictions_by_process == [found.predictions] * 2
    orders = [[s for s, p in zip(found.sample_of, found.process_of, strict=True) if p == q] for q in (0, 1)]
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]  # each process in an order of its own
