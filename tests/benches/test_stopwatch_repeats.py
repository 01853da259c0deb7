"""Agreement of repeated measurements is counted rightly, and intervals that are too narrow fall below the aim."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulated_machine import one_process
from small_data import images

from benchmark.benches.support import stopwatch_repeats
from benchmark.benches.support.setup import Family
from benchmark.benches.support.stopwatch_repeats import (
    Agreement,
    agreement,
    between_times,
    format_table,
    measure_repeats,
)
from benchmark.config.compose import build
from benchmark.policies.confidence import Confidence
from benchmark.timing.processes import combine
from benchmark.timing.stopwatch import Limits
from benchmark.types import ExitbenchError, Latency

UNITS = [1.0] * 10 + [2.0] * 7 + [3.0] * 7
CONFIG = {"_target_": "benchmark.models.dvt.build", "num_classes": 4, "grids": [2, 3, 4], "width": 12, "depth": 2,
          "heads": 3, "mlp_ratio": 2, "image_size": 16, "mean": [0.5], "std": [0.5]}  # fmt: skip


def repeated(processes: int) -> list[Latency]:
    limits = Limits(max_passes=4, processes=processes)
    return [
        combine([one_process(seed, p, UNITS, 3.0, 0.03, limits) for p in range(processes)], seed) for seed in range(10)
    ]


def test_five_processes_agree_and_one_does_not():
    """The broken double is the stopwatch as it was: each repeat a single process, its interval over rounds."""
    several = agreement(repeated(5))
    assert several.repeat >= 0.9
    assert several.ab == 1
    assert agreement(repeated(1)).repeat < 0.5


def test_shares_are_counted_over_repeats_and_pairs():
    base = repeated(5)[0]
    ratios = [(1.0, 0.9, 1.1), (1.0, 0.9, 1.1), (2.0, 1.9, 2.1)]
    seen = [replace(base, canary=v, canary_lo=lo, canary_hi=hi, speedup=v, speedup_lo=lo, speedup_hi=hi,
                    repeat_half_width=1.0) for v, lo, hi in ratios]  # fmt: skip
    assert agreement(seen) == pytest.approx(Agreement(2 / 3, 1 / 3, 1 / 3, 1.0))
    assert not agreement(seen).reached


def test_deviation_between_times_is_what_processes_do_not_explain():
    base = replace(repeated(5)[0], between_process_sd=0.01)
    drifting = [replace(base, speedup=ratio) for ratio in (2.0, 2.1)]
    expected = (np.var(np.log([2.0, 2.1]), ddof=1) - 0.01**2 / 5) ** 0.5
    assert between_times(drifting) == pytest.approx(expected)
    assert between_times([base, base]) == 0


def test_real_measurements_are_repeated_and_shown(monkeypatch):
    model, samples = build(CONFIG).eval(), images().test[:16]
    small = Family(model, Confidence(0.5), samples, [model.collate([one]) for one in samples], 1.0, CONFIG)
    monkeypatch.setattr(stopwatch_repeats, "load_family", lambda name, samples: small)
    monkeypatch.setattr(stopwatch_repeats, "SCENARIOS", {"single_stream": 1})
    found = measure_repeats(2, ["small"], 16, Limits(0.1, 2, 2, processes=2))
    assert [len(repeats) for repeats in found.values()] == [2]
    assert all(seen.processes == 2 for repeats in found.values() for seen in repeats)
    head, row = format_table(found)
    assert "in repeat" in head
    assert row.split()[:2] == ["small", "single_stream"]


def test_a_single_repeat_has_nothing_to_agree_with():
    with pytest.raises(ExitbenchError, match="--repeats: expected a whole number from 2, got 1"):
        measure_repeats(1)
