"""The offline engine answers like single samples, skips what left, and refills batches; cheats are counted as run."""

from __future__ import annotations

import pytest
import torch
from small_models import FAMILIES
from tiny_exits import TinyExits

from benchmark.cost.macs import cost, table
from benchmark.engine import offline
from benchmark.policies.entropy import Entropy
from benchmark.policies.never import Never
from benchmark.policies.patience import Patience
from benchmark.policies.replay import live, signals, trace_depths
from benchmark.run.trace import trace
from benchmark.timing.executed_macs import executed_macs
from benchmark.timing.stopwatch import Limits, stopwatch
from benchmark.timing.timed_task import TimedTask, collate_batches, in_sample_order, time_task
from benchmark.types import ExitbenchError, Hardware, StagedModel

CPU = Hardware("cpu_1t", "cpu", "float32", 1)
both = pytest.mark.parametrize("family", FAMILIES)


def halfway(model, samples):
    """The entropy rule at which about half of the samples leave at exit 1."""
    seen = signals(Entropy(1.0), trace(model, samples).logits)
    return Entropy(float(seen[:, 0].sort().values[len(samples) // 2]) + 1e-3)


@both
@pytest.mark.parametrize("size", [1, 3, 8])
@pytest.mark.parametrize("refill", [False, True])
def test_outputs_are_those_of_single_samples(family, size, refill):
    make, samples = FAMILIES[family]
    model, many = make(), samples(20)
    for policy in (halfway(model, many), Patience(1), Never()):
        rows, batches = collate_batches(model, TimedTask(policy, many, CPU, scenario="offline", batch=size))
        single = [live(policy, model, model.collate([many[row]])) for row in rows]
        done = [offline.early_window(model, policy, one, refill) for one in offline.windows(batches, refill)]
        depths = torch.cat([one for _, one in done])
        assert depths.tolist() == [int(depth) for _, depth in single]
        answers = torch.cat([one for one, _ in done])
        torch.testing.assert_close(answers, torch.cat([one for one, _ in single]), atol=1e-5, rtol=1e-4)


@both
def test_both_families_can_be_refilled(family):
    assert isinstance(FAMILIES[family][0](), StagedModel)


def test_a_model_that_cannot_be_refilled_shrinks_its_batches():
    tiny = TinyExits()
    batches = [tiny.collate(range(4)), tiny.collate(range(4, 8))]
    answers, depths = offline.early_window(tiny, tiny.policy(0.5), batches)
    assert depths.tolist() == tiny.replayed(range(8), 0.5)[0]
    assert answers.shape == (8, 3)


def test_refilled_batches_are_full_where_samples_are_many():
    make, samples = FAMILIES["dvt"]
    model, many = make(), samples(32)
    policy = halfway(model, many)
    sizes: dict[int, list[int]] = {}
    plain = model.stage

    def counted(running, depth):
        sizes.setdefault(depth, []).append(len(running[0]))
        return plain(running, depth)

    model.stage = counted
    _, batches = collate_batches(model, TimedTask(policy, many, CPU, scenario="offline", batch=8))
    _, depths = offline.early_window(model, policy, batches)
    for depth in (1, 2, 3):
        assert sum(sizes[depth]) == int((depths >= depth).sum())
        assert sizes[depth][:-1] == [8] * (len(sizes[depth]) - 1)


def test_texts_of_other_lengths_do_not_wait_for_each_other():
    make, samples = FAMILIES["bert"]
    model, many = make(), samples(24)
    _, batches = collate_batches(model, TimedTask(Never(), many, CPU, scenario="offline", batch=3))
    widths = []
    plain = model.stage
    model.stage = lambda running, depth: widths.append(running[0].shape[1]) or plain(running, depth)
    offline.early_window(model, Never(), batches)
    longest = max(widths)
    assert min(widths) < offline.MIN_LENGTH_RATIO * longest


@both
def test_executed_macs_are_the_histogram_times_cost_where_nothing_is_padded(family):
    make, samples = FAMILIES[family]
    model = make()
    many = [samples(1)[0]] * 4 + samples(8) if family == "dvt" else [samples(1)[0]] * 12
    policy = halfway(model, samples(12))
    seen = trace(model, many)
    depth = trace_depths(policy, seen)
    macs = table(cost(model, seen.lengths.tolist()), seen.lengths)
    wanted = float(macs[torch.arange(len(many)), depth - 1].sum())
    found = executed_macs(model, TimedTask(policy, many, CPU, scenario="offline", batch=4))
    assert found["gmacs_executed"] * 1e9 * len(many) == pytest.approx(wanted)
    assert found["gmacs_executed_full"] * 1e9 * len(many) == pytest.approx(float(macs[:, -1].sum()))


def test_padding_is_executed_and_counted():
    make, samples = FAMILIES["bert"]
    model, many = make(), samples(12)
    seen = trace(model, many)
    macs = table(cost(model, seen.lengths.tolist()), seen.lengths)
    found = executed_macs(model, TimedTask(Never(), many, CPU, scenario="offline", batch=12))
    assert found["gmacs_executed"] * 1e9 > 1.02 * float(macs[:, -1].mean())


def test_masking_without_compaction_saves_nothing(monkeypatch):
    """The broken double: a loop that computes everything and only pretends that samples left."""
    make, samples = FAMILIES["dvt"]
    model, many = make(), samples(8)
    policy = halfway(model, many)
    task = TimedTask(policy, many, CPU, scenario="offline", batch=8)
    honest = executed_macs(model, task)

    @torch.inference_mode()
    def masked(model, policy, window, refill=True):
        for batch in window:
            list(model.exits(batch))

    monkeypatch.setattr(offline, "early_window", masked)
    cheat = executed_macs(model, task)
    assert cheat["gmacs_executed"] == pytest.approx(cheat["gmacs_executed_full"])
    assert honest["gmacs_executed"] < 0.95 * cheat["gmacs_executed"]


@both
def test_offline_timing_answers_in_the_samples_own_order(family):
    make, samples = FAMILIES[family]
    model, many = make(), samples(12)
    policy = halfway(model, many)
    limits = Limits(min_passes=2, max_passes=2)
    found = time_task(model, TimedTask(policy, many, CPU, limits, scenario="offline", batch=4))
    seen = trace(model, many)
    depth = trace_depths(policy, seen)
    assert found.exit_depths == depth.tolist()
    assert found.predictions == seen.logits[torch.arange(12), depth - 1].argmax(-1).tolist()
    assert (found.scenario, found.batch, found.n, found.units, found.refilled) == ("offline", 4, 12, 1, True)
    assert found.interval_over == "rounds"
    assert found.latency_ms_p50 is None
    assert found.rounds >= 10  # of one window, enough to carry an interval
    assert found.samples_per_s is not None
    assert found.weight_bytes == sum(one.numel() * 4 for one in model.parameters()) + sum(
        one.numel() * one.element_size() for one in model.buffers()
    )


def test_in_order_undoes_any_order():
    tiny = TinyExits()
    limits = Limits(min_passes=2, max_passes=2)
    found = stopwatch(tiny, tiny.policy(0.5), [tiny.collate([row]) for row in (2, 0, 1, 3)], CPU, limits=limits)
    run = in_sample_order(found, [2, 0, 1, 3])
    assert (run.exit_depths, run.predictions) == tiny.replayed(range(4), 0.5)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"scenario": "server"}, "scenario: expected one of single_stream, offline, got 'server'"),
        ({"batch": 0}, "offline.batch: expected a whole number from 1, got 0"),
        ({"batch": 9}, "offline.batch: expected at most as many as there are samples to time, 8, got 9"),
    ],
)
def test_what_cannot_be_timed_is_one_line(changed, says):
    make, samples = FAMILIES["dvt"]
    with pytest.raises(ExitbenchError, match=says):
        time_task(make(), TimedTask(Never(), samples(8), CPU, **{"scenario": "offline", **changed}))


def test_padding_leaves_with_the_texts_it_was_for():
    make, samples = FAMILIES["bert"]
    model, many = make(), samples(8)
    batch = model.collate(many)
    _, running = model.stage(model.begin(batch), 1)
    lengths = batch.lengths.tolist()
    short = [row for row, length in enumerate(lengths) if length < max(lengths)]
    assert len({lengths[row] for row in short}) > 1
    hidden, mask = model.select(running, torch.tensor(short))
    assert hidden.shape[1] == mask.shape[1] == max(lengths[row] for row in short)
    assert mask.sum(1).tolist() == [lengths[row] for row in short]
    alike = [row for row in short if lengths[row] == lengths[short[0]]]
    assert model.select(running, torch.tensor(alike))[1] is None  # nothing is padded any more
    with torch.inference_mode():
        padded = model.stage((running[0][short], running[1][short]), 2)[0]
        torch.testing.assert_close(model.stage((hidden, mask), 2)[0], padded, atol=1e-5, rtol=1e-4)
        # The broken double cuts a word as well.
        cut = model.stage((hidden[:, :-1], mask[:, :-1]), 2)[0]
        assert (cut - padded).abs().max() > 1e-3
