"""A run's record holds the protocol, the pictures and the thresholds of each exit; older records do without."""

import base64
import io
import json
from dataclasses import replace

import pytest
import small_data
import torch
from PIL import Image
from small_models import small_dvt

from benchmark.attacks.clean import Clean
from benchmark.benches import budget_curve
from benchmark.hardware.profiles import resolve
from benchmark.policies.budget import Budget
from benchmark.policies.calibration import budgeted_batch
from benchmark.policies.confidence import Confidence
from benchmark.policies.replay import replay
from benchmark.records import record
from benchmark.run import examples
from benchmark.run.pipeline import Settings, run
from benchmark.timing.stopwatch import Limits
from benchmark.types import ExitbenchError, ImageSample, Trace

IDENTITY = {
    "record_id": "0" * 16,
    "choices": dict.fromkeys(("model", "dataset", "workload", "policy", "hardware", "scenario"), "small"),
    "config": {},
}


def ran(policy, tmp_path, monkeypatch):
    monkeypatch.setenv("EXITBENCH_CACHE", str(tmp_path / "cache"))
    hardware = resolve("cpu_1t", "cpu", "float32", 1)
    settings = Settings(choose=True, max_drop=0.01, timed=0)
    return run(small_dvt(), small_data.images(), Clean(), policy, hardware, settings, Limits(), **IDENTITY)


def middle_gmacs():
    costs = small_dvt().closed_form_macs(0)
    return (costs[0] + costs[-1]) / 2e9


def test_a_record_of_a_budget_is_whole(tmp_path, monkeypatch):
    made = ran(Budget(gmacs=middle_gmacs()), tmp_path, monkeypatch)
    point = made.operating_point
    assert point["threshold"] is None
    assert len(point["thresholds"]) == 2
    assert point["calibration_gmacs"] <= point["budget_gmacs"]
    assert len(made.curve) == 59
    held = made.results["protocol"]
    assert held["p"] == list(range(1, 60))
    for way in ("budget", "geometric", "entropy", "random"):
        assert len(held[way]["gmacs_mean"]) == len(held[way]["accuracy"]) == 59
    ahead = zip(held["budget"]["calibration_accuracy"], held["geometric"]["calibration_accuracy"], strict=True)
    assert all(ours >= theirs - 1e-12 for ours, theirs in ahead)
    assert record.read(record.write(made, tmp_path)) == made


def test_a_rule_of_one_threshold_carries_the_protocol_too(tmp_path, monkeypatch):
    made = ran(Confidence(0.5), tmp_path, monkeypatch)
    assert "thresholds" not in made.operating_point
    assert set(made.results["protocol"]) == {"p", "budget_gmacs", "budget", "geometric", "entropy", "random"}


def test_a_record_without_pictures_is_still_read(tmp_path, monkeypatch):
    made = ran(Confidence(0.5), tmp_path, monkeypatch)
    path = record.write(replace(made, examples=[]), tmp_path)
    body = json.loads(path.read_text())
    assert body.pop("examples") == []
    assert record.Record(**{name: body[name] for name in body if name in vars(made)}).examples == []


def trace_of(labels, answers, sure):
    """Traces of three exits at which all exits answer alike, so sure."""
    logits = torch.zeros(len(labels), 3, 4)
    logits[torch.arange(len(labels)), :, torch.tensor(answers)] = torch.tensor(sure)[:, None]
    return Trace(logits, torch.tensor(labels), torch.zeros(len(labels), dtype=torch.int64))


def test_pictures_are_the_surest_right_ones_of_their_class_and_exit():
    seen = trace_of([0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 3, 2], [1.0, 3.0, 2.0, 1.0, 9.0, 1.0])
    samples = [ImageSample(10 + n, 0, torch.full((3, 100, 50), n / 10)) for n in range(6)]
    rows = examples.chosen(samples, seen, torch.tensor([1, 1, 2, 3, 3, 1]), ["a", "b", "c", "d"])
    assert [(row["class_name"], row["exit_depth"], row["index"]) for row in rows] == [
        ("a", 1, 11), ("a", 2, 12), ("b", 3, 13), ("c", 1, 15),
    ]  # fmt: skip
    picture = Image.open(io.BytesIO(base64.b64decode(rows[0]["png"])))
    assert picture.size == (32, 64)
    assert picture.getpixel((0, 0)) == (26, 26, 26)


def test_texts_have_no_pictures():
    assert examples.chosen(small_data.texts().test, trace_of([0], [0], [1.0]), torch.tensor([1]), ["a"]) == []


def test_random_exits_lie_below_the_budget_where_sureness_tells_right_from_wrong():
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (2000,), generator=draw)
    strength = torch.rand(2000, 1, 1, generator=draw) * torch.tensor([2.0, 4.0, 6.0])[:, None]
    logits = torch.randn(2000, 3, 4, generator=draw) + strength * torch.nn.functional.one_hot(labels, 4)[:, None]
    seen, macs = Trace(logits, labels, torch.zeros(2000).long()), torch.tensor([1e6, 3e6, 9e6]).double().repeat(2000, 1)
    half, rest = (Trace(logits[rows], labels[rows], seen.lengths[rows]) for rows in (slice(1000), slice(1000, None)))
    held = budgeted_batch.section(half, macs[:1000], rest, macs[1000:])
    middle = range(5, 40)
    assert all(held["budget"]["accuracy"][p] > held["random"]["accuracy"][p] + 0.01 for p in middle)
    policy = Budget(gmacs=0.003).fit(half, macs[:1000])
    depth = replay(policy, rest.logits)
    assert len(depth.unique()) > 1


def test_the_bench_measures_what_it_says(capsys):
    assert budget_curve.main(["samples=400", "classes=6", "rounds=1"]) == 0
    printed = capsys.readouterr().out
    assert "below the sweep's: {'isotonic': 0, 'counted': 0}" in printed
    with pytest.raises(ExitbenchError, match="bench budget_curve: expected samples"):
        budget_curve.main(["sample=4"])
