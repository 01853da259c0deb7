"""Stages compile whole and for all sizes at once, before the clock; what comes late is told, what cannot is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch
from small_models import FAMILIES
from torch import nn

from benchmark.engine import compilation
from benchmark.engine.compilation import compile_model, compiled_late, graph_count, needs_dynamic_shapes
from benchmark.engine.execute import run_full
from benchmark.engine.placement import place
from benchmark.policies.entropy import Entropy
from benchmark.policies.replay import signals
from benchmark.run.trace import trace
from benchmark.timing import timed_task
from benchmark.timing.stopwatch import Limits
from benchmark.timing.timed_task import TimedTask
from benchmark.types import Batch, ExitbenchError, Hardware

CPU = Hardware("compiled", "cpu", "float32", 1, "inductor")
both = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(autouse=True)
def forget():
    """What one test compiled must not serve another."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.fixture
def traced_only(monkeypatch):
    """torch.compile's whole front end, with eager kernels: seconds instead of a minute, and no C++ compiler."""
    real = compilation.compile_stages
    monkeypatch.setattr(compilation, "compile_stages", lambda model, dynamic, _: real(model, dynamic, "eager"))


def batches_of(family, count):
    make, samples = FAMILIES[family]
    model = make()
    batches = [model.collate([one]) for one in samples(count)]
    return model, sorted(batches, key=lambda batch: int(batch.lengths[0]))  # the longest is as long as the width


@both
def test_one_form_serves_all_sizes_and_the_caller_keeps_an_eager_model(family, traced_only):
    model, batches = batches_of(family, 6)
    twin = place(model, CPU)
    found = compile_model(twin, batches, [lambda batch: run_full(twin, batch)], batches, shrinking=False)
    assert found["compile_s"] >= 0
    assert found["compiled"]["dynamic"] == (family == "bert")  # images are of one size, texts are not
    assert found["compiled"]["graphs"] == (3 if family == "dvt" else 2)  # each transformer; all layers, all heads
    before = graph_count()
    for batch in batches:
        assert torch.allclose(run_full(twin, batch), run_full(model, batch), atol=1e-5)
    assert compiled_late(graph_count() - before) == []
    assert all(one._compiled_call_impl is None for one in model.modules())
    assert {id(one) for one in twin.parameters()} == {id(one) for one in model.parameters()}


@pytest.mark.parametrize(("scenario", "batch"), [("single_stream", 1), ("offline", 3)])
def test_nothing_is_compiled_on_the_clock(scenario, batch, traced_only):
    make, samples = FAMILIES["bert"]
    middle = float(signals(Entropy(1.0), trace(make(), samples(6), 6).logits)[:, 0].median()) + 1e-3
    task = TimedTask(Entropy(middle), samples(6), CPU, Limits(5, 2, 2), scenario=scenario, batch=batch)
    seen = timed_task.time_task(make(), task)
    assert not [reason for reason in seen.unreliable if "compiled" in reason]
    assert seen.compiled["graphs"] > 0
    assert len(set(seen.exit_depths)) > 1
    plain = timed_task.time_task(make(), replace(task, hardware=replace(CPU, compiler="eager")))
    assert (seen.predictions, seen.exit_depths) == (plain.predictions, plain.exit_depths)
    assert plain.compiled == {}
    assert plain.compile_s is None


def test_what_is_compiled_late_is_told(traced_only):
    """The broken double compiles for fixed sizes and sees one of them: every other length compiles again."""
    model, batches = batches_of("bert", 6)
    compilation.compile_stages(model, False, "eager")
    run_full(model, batches[0])
    before = graph_count()
    run_full(model, batches[1])
    assert compiled_late(graph_count() - before) == ["2 graph(s) were compiled while the clock ran"]


class Breaks(nn.Module):
    """A stage with a step that torch.compile would leave to the interpreter."""

    def forward(self, x):
        torch._dynamo.graph_break()
        return x + 1


class Forks(nn.Module):
    """A stage that is other code for every number it is handed."""

    def forward(self, x, number):
        return x * len(str(number)) if number % 2 else x - number


def staged(stage):
    model = nn.Module()
    model.stages, model.num_exits = nn.ModuleList([stage]), 1
    model.exits = lambda batch: iter([model.stages[0](batch.inputs["x"])])
    return model


def test_a_stage_that_would_stay_eager_is_refused(traced_only):
    batch = Batch({"x": torch.ones(1, 3)}, torch.zeros(1))
    with pytest.raises(ExitbenchError, match=r"cannot take a stage whole \(.*\); try an eager profile") as caught:
        compile_model(staged(Breaks()), [batch], [], [], shrinking=False)
    assert "\n" not in str(caught.value)


def test_a_stage_of_too_many_forms_is_refused(traced_only, monkeypatch):
    monkeypatch.setattr("benchmark.engine.placement.MAX_GRAPHS_PER_STAGE", 3)
    batch = Batch({"x": torch.ones(1, 3)}, torch.zeros(1))
    model = staged(Forks())
    model.exits = lambda batch: (model.stages[0](batch.inputs["x"], number) for number in range(9))
    with pytest.raises(ExitbenchError, match="needs more compiled forms than are allowed"):
        compile_model(model, [batch], [], [], shrinking=False)


def test_sizes_differ_by_length_or_because_batches_shrink():
    short, long = (Batch({"x": torch.ones(1, n)}, torch.tensor([n])) for n in (3, 4))
    assert needs_dynamic_shapes([short, long], False)
    assert not needs_dynamic_shapes([short, short], False)
    assert needs_dynamic_shapes([short, short], True)


@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="no C++ compiler here")
class Projects(nn.Module):
    """A stage as models have them: torch 2.6 leaves a bare layer of its own eager."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x):
        return self.linear(x)


@pytest.mark.filterwarnings("ignore:Skipping serialization")  # of torch 2.6
def test_real_kernels_answer_alike():
    torch.manual_seed(0)
    model = staged(Projects()).eval()
    batches = [Batch({"x": torch.randn(n, 3)}, torch.zeros(n)) for n in (2, 5)]
    wanted = [next(model.exits(batch)) for batch in batches]
    found = compile_model(model, batches, [lambda batch: next(model.exits(batch))], batches, shrinking=True)
    assert found["compiled"] | {"graphs_from_disk": 0} == {
        "stages": 1, "dynamic": True, "graphs": 1, "graphs_from_disk": 0,
    }  # fmt: skip
    for batch, answer in zip(batches, wanted, strict=True):
        assert torch.allclose(next(model.exits(batch)), answer, atol=1e-6)
