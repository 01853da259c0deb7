"""Other precisions: shifts are measured against float32, the audit holds, and stages compile where they should."""

from __future__ import annotations

import pytest
import torch
from small_models import FAMILIES
from torch import nn

from benchmark.engine.placement import _stages, compile_stages, place
from benchmark.policies.entropy import Entropy
from benchmark.policies.replay import signals, trace_depths
from benchmark.run import precision
from benchmark.timing import meters
from benchmark.timing.audit import audit
from benchmark.timing.stopwatch import Limits
from benchmark.timing.timed_task import TimedTask, time_task
from benchmark.types import ExitbenchError, Hardware

FLOAT = Hardware("cpu_1t", "cpu", "float32", 1)
OTHERS = {
    "bf16": Hardware("cpu_bf16", "cpu", "bfloat16", 1),
    "int8": Hardware("cpu_int8", "cpu", "float32", 1, quantise="int8_dynamic"),
}
both = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EXITBENCH_CACHE", str(tmp_path))


def rule_for(tracer, samples):
    seen = signals(Entropy(1.0), tracer.exact(samples, "test").logits)
    return Entropy(float(seen[:, 0].sort().values[len(samples) // 2]) + 1e-3)


@both
@pytest.mark.parametrize("hardware", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize(("scenario", "batch"), [("single_stream", 1), ("offline", 4)])
def test_the_audit_holds_in_every_precision(family, hardware, scenario, batch):
    make, samples = FAMILIES[family]
    model, many = make(), samples(10)
    tracer = precision.Tracer(model, hardware, 5, batch)
    policy = rule_for(tracer, many)
    task = TimedTask(policy, many, hardware, Limits(min_passes=2, max_passes=2), scenario=scenario, batch=batch)
    found, seen = time_task(model, task), tracer.as_run(many, "test")
    checked = audit(policy, seen.logits, found.exit_depths, found.predictions, tie=precision.tie(hardware))
    assert checked.passed, checked
    assert found.compile_s is not None
    assert next(model.parameters()).dtype == torch.float32  # the model that was given stays as it was


@both
def test_float32_does_not_move(family):
    make, samples = FAMILIES[family]
    many = samples(10)
    tracer = precision.Tracer(make(), FLOAT, 5, 1)
    policy, exact = rule_for(tracer, many), tracer.exact(many, "test")
    moved = precision.shift(policy, exact, tracer.as_run(many, "test"), None, FLOAT)
    assert moved["n"] == 10
    assert all(moved[name] == 0 for name in ("accuracy_diff", "mean_exit_depth_diff", "exits_changed"))


@both
def test_a_shift_is_counted(family):
    make, samples = FAMILIES[family]
    many = samples(10)
    tracer = precision.Tracer(make(), FLOAT, 5, 1)
    policy, exact = rule_for(tracer, many), tracer.exact(many, "test")
    depth = trace_depths(policy, exact)
    first = int((depth == 1).nonzero()[0])
    lived = tracer.as_run(many, "test")
    lived.logits[first, 0] = 0  # unsure now, so it goes on
    moved = precision.shift(policy, exact, lived, None, OTHERS["bf16"])
    if lived is exact:
        pytest.fail("the trace that was moved must not be the reference")
    assert moved["exits_changed"] == pytest.approx(0.1)
    assert moved["mean_exit_depth_diff"] > 0


def test_int8_weights_weigh_less():
    make, _ = FAMILIES["bert"]
    model = make()
    wide = nn.Sequential(nn.Linear(256, 256))
    assert meters.weight_bytes(place(wide, OTHERS["int8"])) < 0.3 * meters.weight_bytes(wide)
    assert meters.weight_bytes(place(model, OTHERS["bf16"])) < meters.weight_bytes(model)


@both
def test_stages_are_the_outermost_children(family):
    model = FAMILIES[family][0]()
    stages = list(_stages(model))
    wanted = list(model.transformers) if family == "dvt" else [*model.backbone.encoder.layer, *model.heads]
    assert {id(one) for one in stages} == {id(one) for one in wanted}
    assert compile_stages(model, False) == len(wanted)  # compiles nothing yet: nothing was called


def test_a_model_without_stages_cannot_be_compiled():
    with pytest.raises(ExitbenchError, match="lists of modules"):
        compile_stages(nn.Linear(2, 2), False)
