"""Traces keep what exits yield beyond their logits, in memory and on disk, and the audit reads it."""

import pytest
import torch
from certain_exits import CertainExits, PlainExits, WrongExits
from tiny_exits import CLASSES

from benchmark.policies.confidence import Confidence
from benchmark.policies.learned import Learned
from benchmark.policies.replay import live, trace_depths, trace_signals
from benchmark.run import trace_cache
from benchmark.run.trace import trace
from benchmark.timing.audit import audit
from benchmark.types import ExitbenchError, ImageSample


class Rows:
    """Models of tiny rows as models of samples."""

    def collate(self, samples):
        return super().collate([one.index for one in samples])


class Certain(Rows, CertainExits):
    pass


class Plain(Rows, PlainExits):
    pass


SAMPLES = [ImageSample(n, n % CLASSES, torch.zeros(1, 1, 1)) for n in range(20)]


def test_extra_columns_stand_beside_the_logits():
    made = trace(Certain(), SAMPLES, batch_size=6)
    logits, extra = CertainExits().columns(CertainExits().collate(range(20)))
    torch.testing.assert_close(made.logits, logits)
    torch.testing.assert_close(made.extra, extra)
    assert trace(Plain(), SAMPLES).extra is None


def test_other_columns_than_promised_are_one_line():
    class Wrong(Rows, WrongExits):
        pass

    with pytest.raises(ExitbenchError, match="3 logits and 1 extra columns, got 4 exits of 3 columns"):
        trace(Wrong(), SAMPLES)


def test_a_trace_is_made_once_for_all_rules_and_keeps_its_certainty(tmp_path, monkeypatch):
    monkeypatch.setenv("EXITBENCH_CACHE", str(tmp_path))
    model = Certain()
    made = [trace_cache.traced(model, SAMPLES, 8, "cpu", "float32", "trace") for _ in range(3)]
    assert model.opened == 3  # batches of the first time
    for again in made[1:]:
        assert torch.equal(again.extra, made[0].extra)
        assert torch.equal(again.logits, made[0].logits)


def test_the_audit_reads_the_certainty():
    model, policy = Certain(), Learned(0.6)
    made = trace(model, SAMPLES)
    with torch.inference_mode():
        answers, depths = live(policy, model, model.collate(SAMPLES))
    assert depths.tolist() == trace_depths(policy, made).tolist()
    assert len(set(depths.tolist())) > 1
    lived = depths.tolist(), answers.argmax(-1).tolist()
    assert audit(policy, made.logits, *lived, made.extra).passed
    assert not audit(Confidence(0.99), made.logits, *lived).passed
    assert trace_signals(policy, made).shape == (20, 4)


@pytest.mark.parametrize(("exit_", "value"), [(1, float("nan")), (2, float("inf"))])
def test_logits_that_are_not_finite_are_named(exit_, value):
    """What happened before: `reliability: expected confidences in [0, 1] and bins, got nan and 15`."""

    class Broken(Plain):
        def exits(self, batch):
            for depth, logits in enumerate(super().exits(batch), start=1):
                rows = torch.arange(len(logits))[:, None] % 2 == 0
                yield logits.masked_fill(rows, value) if depth == exit_ else logits

    with pytest.raises(ExitbenchError, match=rf"model Broken: .* at exit {exit_} for 10 of 20 samples") as refused:
        trace(Broken(), SAMPLES, batch_size=10)
    assert "\n" not in str(refused.value)
