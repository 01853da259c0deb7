"""A timed section in its own process: the same answers, its own memory, and every way to fail as one line."""

from __future__ import annotations

import json
import pickle
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from small_data import images

from benchmark.config.compose import build
from benchmark.policies.confidence import Confidence
from benchmark.policies.replay import trace_depths
from benchmark.run.trace import trace
from benchmark.timing import meters, worker, worker_entry
from benchmark.timing.stopwatch import Limits
from benchmark.timing.timed_task import TimedTask, time_task
from benchmark.types import ExitbenchError, Hardware

CONFIG = {"_target_": "benchmark.models.dvt.build", "num_classes": 4, "grids": [2, 3, 4], "width": 12, "depth": 2,
          "heads": 3, "mlp_ratio": 2, "image_size": 16, "mean": [0.5], "std": [0.5]}  # fmt: skip
CPU = Hardware("cpu_1t", "cpu", "float32", 1)
TASK = TimedTask(Confidence(0.5), images().test[:10], CPU, Limits(min_passes=2, max_passes=2))


def test_a_worker_answers_as_the_trace_does_and_knows_its_memory():
    found, seconds = worker.time_in_worker(CONFIG, TASK)
    torch.manual_seed(TASK.seed)  # a model without weights is drawn as the worker draws it
    seen = trace(build(CONFIG), TASK.samples)
    depth = trace_depths(TASK.policy, seen)
    assert found.exit_depths == depth.tolist()
    assert found.predictions == seen.logits[torch.arange(10), depth - 1].argmax(-1).tolist()
    assert found.worker
    assert found.timed_s is not None
    assert seconds > found.timed_s  # start-up counts
    assert found.base_rss_bytes is not None
    assert found.peak_rss_bytes is not None
    assert found.peak_rss_bytes >= found.base_rss_bytes > 10_000_000
    assert found.noise["cores"] >= 1


def test_the_parent_blocks_and_never_polls(monkeypatch):
    """The call that waits has no time-out, which is what makes the library poll, and no pipes to read meanwhile."""
    seen = {}

    def run(words, **options):
        seen.update(options)
        made = time_task(build(CONFIG), TASK)
        answer = {"latency": asdict(made), "seconds": 1.0}
        (Path(words[-1]) / worker.ANSWER).write_text(json.dumps(answer))
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(subprocess, "run", run)
    assert worker.time_in_worker(CONFIG, TASK).latency.n == 10
    assert set(seen) == {"env", "check"}


@pytest.mark.parametrize(("status", "says"), [(-9, "killed by signal 9; out of memory"), (3, "exit status 3")])
def test_a_worker_that_dies_is_one_line(monkeypatch, status, says):
    monkeypatch.setattr(subprocess, "run", lambda words, **options: subprocess.CompletedProcess(words, status))
    with pytest.raises(ExitbenchError, match=says):
        worker.time_in_worker(CONFIG, TASK)


def test_an_error_in_the_worker_comes_back_as_it_is(tmp_path, monkeypatch):
    (tmp_path / worker.REQUEST).write_bytes(pickle.dumps(({**CONFIG, "heads": 5}, TASK)))
    monkeypatch.delenv("EXITBENCH_DEBUG", raising=False)
    assert worker_entry.main(tmp_path) == 1
    with pytest.raises(ExitbenchError, match="in the worker: heads: expected a divisor of width 12, got 5"):
        worker._read(tmp_path / worker.ANSWER, 1)


def test_peak_memory_grows_with_what_is_held_and_never_falls():
    before = meters.peak_resident_bytes()
    ballast = torch.ones(20_000_000)
    held = meters.peak_resident_bytes()
    del ballast
    assert held >= before - 2**22
    assert meters.peak_resident_bytes() >= held - 2**22  # the kernel counts in strides


def test_energy_is_spent_per_sample_and_absent_without_a_meter(tmp_path, monkeypatch):
    joules = iter([0.0, 8.0, 8.0, 10.0, 10.0, 18.0, 18.0, 20.0])
    pretend = meters.Meter("pretend", lambda: next(joules))
    found = meters.energy(pretend, lambda unit: None, lambda unit: None, [1, 2], 4, lambda: None, passes=2)
    assert found == {"energy_source": "pretend", "energy_full_j": 2.0, "energy_j": 0.5}
    monkeypatch.setattr(meters, "RAPL", tmp_path)
    assert meters.energy_meter("cpu") is None
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    (zone / "max_energy_range_uj").write_text("999999")
    (zone / "energy_uj").write_text("900000")
    counter = meters.energy_meter("cpu")
    assert counter is not None
    (zone / "energy_uj").write_text("100000")  # it wrapped
    assert counter.joules() == pytest.approx(0.2)
    assert counter.source == "rapl, 1 package(s)"


def test_energy_counters_that_may_not_be_read_are_no_meter(tmp_path, monkeypatch):
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    (zone / "max_energy_range_uj").mkdir()  # cannot be read as a file, for root either
    monkeypatch.setattr(meters, "RAPL", tmp_path)
    assert meters.energy_meter("cpu") is None
