"""The audit passes what is equal, excuses ties, and catches a live run that is not the replayed one."""

import torch

from benchmark.policies.confidence import Confidence
from benchmark.policies.replay import replay
from benchmark.timing.audit import audit

LOGITS = torch.randn(20, 3, 4, generator=torch.Generator().manual_seed(0)) * 2
POLICY = Confidence(0.6)
DEPTH = replay(POLICY, LOGITS)
ANSWERS = LOGITS[torch.arange(20), DEPTH - 1].argmax(-1)


def test_equal_runs_pass():
    assert audit(POLICY, LOGITS, DEPTH.tolist(), ANSWERS.tolist()).passed


def test_another_exit_is_caught():
    moved = DEPTH.clone()
    moved[0] = 1 if DEPTH[0] == 3 else DEPTH[0] + 1
    seen = audit(POLICY, LOGITS, moved.tolist(), ANSWERS.tolist())
    assert (seen.passed, seen.exits_differ) == (False, 1)


def test_another_answer_is_caught():
    other = ANSWERS.clone()
    other[5] = (other[5] + 1) % 4
    seen = audit(POLICY, LOGITS, DEPTH.tolist(), other.tolist())
    assert (seen.passed, seen.predictions_differ) == (False, 1)


def test_a_tie_at_the_threshold_is_excused_and_counted():
    confidence = float(LOGITS[0, 0].softmax(-1).max())
    policy = Confidence(confidence + 1e-6)  # the live run may land on the other side
    depth = replay(policy, LOGITS)
    live = depth.clone()
    live[0] = 1
    answers = LOGITS[torch.arange(20), live - 1].argmax(-1)
    seen = audit(policy, LOGITS, live.tolist(), answers.tolist())
    assert seen.passed
    assert seen.ties == 1
