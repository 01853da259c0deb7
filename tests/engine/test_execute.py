"""Live execution equals the general implementation and the replay, and computes nothing deeper than it must."""

from __future__ import annotations

import pytest
import torch
from tiny_exits import TinyExits

from benchmark.engine.execute import run_early, run_full
from benchmark.policies import replay as exit_depths

ALWAYS, NEVER = 0.0, 2.0  # thresholds on a confidence in [0, 1]


@pytest.fixture
def tiny() -> TinyExits:
    return TinyExits()


@pytest.mark.parametrize("threshold", [ALWAYS, 0.3, 0.5, 0.7, NEVER])
@pytest.mark.parametrize("size", [1, 7])
def test_run_early_is_live_is_replay(tiny, threshold, size):
    policy = tiny.policy(threshold)
    for start in range(0, 14, size):
        batch = tiny.collate(range(start, start + size))
        logits, depths = run_early(tiny, policy, batch)
        live_logits, live_depths = exit_depths.live(policy, tiny, batch)
        trace = torch.stack(list(tiny.exits(batch)), 1)  # (b, E, C)
        replayed = exit_depths.replay(policy, trace)
        assert depths.shape == (size,)
        assert depths.tolist() == live_depths.tolist() == replayed.tolist()
        torch.testing.assert_close(logits, live_logits, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(logits, trace[torch.arange(size), replayed - 1], rtol=1e-5, atol=1e-5)


def test_thresholds_leave_at_different_depths(tiny):
    depths = [int(run_early(tiny, tiny.policy(0.5), tiny.collate([index]))[1]) for index in range(14)]
    assert len(set(depths)) > 1


@pytest.mark.parametrize(("threshold", "stages"), [(ALWAYS, 1), (NEVER, 4)])
def test_nothing_deeper_is_computed(tiny, threshold, stages):
    batch = tiny.collate([0])
    tiny.stages_run = 0
    run_early(tiny, tiny.policy(threshold), batch)
    assert tiny.stages_run == stages
    assert tiny.closed == tiny.opened


def test_the_policy_is_not_asked_at_the_last_exit(tiny):
    policy = tiny.policy(NEVER)
    run_early(tiny, policy, tiny.collate([0]))
    assert policy.asked == tiny.num_exits - 1


def test_run_full_gives_the_last_exit(tiny):
    batch = tiny.collate(range(3))
    torch.testing.assert_close(run_full(tiny, batch), list(tiny.exits(batch))[-1])


def test_no_gradients_are_kept(tiny):
    batch = tiny.collate([0])
    assert not run_full(tiny, batch).requires_grad
    assert not run_early(tiny, tiny.policy(NEVER), batch)[0].requires_grad
