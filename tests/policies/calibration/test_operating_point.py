"""The chosen threshold is the cheapest allowed one, and curves are what replay gives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.policies.calibration import operating_point, threshold_grid
from benchmark.policies.confidence import Confidence
from benchmark.policies.entropy import Entropy
from benchmark.policies.patience import Patience
from benchmark.policies.replay import replay, signals
from benchmark.types import ExitbenchError, Trace

POLICIES = [Confidence(0.5), Entropy(0.5), Patience(1)]


def random_trace(seed: int, n: int = 60, exits: int = 4, classes: int = 3) -> tuple[Trace, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (n,), generator=draw)
    logits = torch.randn(n, exits, classes, generator=draw)
    strength = torch.linspace(0.5, 2.5, exits)[:, None] * torch.nn.functional.one_hot(labels, classes)[:, None]
    macs = torch.arange(1, exits + 1).double().expand(n, exits) * (1 + torch.rand(n, 1, generator=draw).double())
    return Trace(logits + strength, labels, torch.zeros(n, dtype=torch.int64)), macs


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@given(seed=st.integers(0, 10_000), drop=st.sampled_from([0.0, 0.01, 0.05, 0.2]))
@settings(max_examples=15, deadline=None)
def test_the_choice_is_the_cheapest_within_the_drop(policy, seed, drop):
    trace, macs = random_trace(seed)
    point = operating_point.choose(policy, trace, macs, drop)
    rows = torch.arange(len(trace.labels))

    def outcome(threshold):
        depth = replay(policy.at(threshold), trace.logits)
        right = trace.logits[rows, depth - 1].argmax(-1) == trace.labels
        return float(right.double().mean()), float(macs[rows, depth - 1].mean())

    accuracy, cost = outcome(point.threshold)
    full = float((trace.logits[:, -1].argmax(-1) == trace.labels).double().mean())
    assert accuracy == pytest.approx(point.calibration_accuracy)
    assert accuracy >= full - drop - 1e-9
    for threshold in threshold_grid.thresholds(signals(policy, trace.logits), policy.rising).tolist():
        other, other_cost = outcome(threshold)
        assert other < full - drop - 1e-9 or other_cost >= cost - 1e-9


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_thresholds_reach_from_no_early_exit_to_all(policy):
    trace, macs = random_trace(1)
    at = threshold_grid.thresholds(signals(policy, trace.logits), policy.rising)
    depth = operating_point.curve(policy, trace, macs, at).depth
    assert float(depth.max()) == 4
    assert float(depth.min()) == 1


def test_a_given_threshold_is_kept():
    trace, macs = random_trace(2)
    point = operating_point.given(Confidence(0.9), trace, macs, 0.01)
    assert (point.threshold, point.chosen_by) == (0.9, "given")


@pytest.mark.parametrize("drop", [-0.1, 1.5, "much", True])
def test_a_drop_outside_its_range_is_refused(drop):
    trace, macs = random_trace(3)
    with pytest.raises(ExitbenchError, match="max_drop"):
        operating_point.choose(Confidence(0.5), trace, macs, drop)


@pytest.mark.parametrize("policy", [Confidence, Entropy, Patience])
@pytest.mark.parametrize("threshold", ["high", float("nan"), True, None])
def test_thresholds_that_are_no_numbers_are_refused(policy, threshold):
    with pytest.raises(ExitbenchError, match=r"policy\.threshold: expected"):
        policy(threshold)


def slow_curve(policy, trace, macs, at):
    """The definition of a curve: one replay for each threshold."""
    rows = torch.arange(len(trace.labels))
    columns = []
    for threshold in at.tolist():
        depth = replay(policy.at(threshold), trace.logits)
        right = trace.logits[rows, depth - 1].argmax(-1) == trace.labels
        columns.append([right.double().mean(), macs[rows, depth - 1].mean(), depth.double().mean()])
    return torch.tensor(columns, dtype=torch.float64)


def off_at_equals(policy, trace, macs, at):
    """Broken on purpose: thresholds a hair higher, so that signals on a threshold fall on its other side."""
    return operating_point.curve(policy, trace, macs, torch.nextafter(at.float(), torch.tensor(9.0)).double())


def check_curve(curve, policy, seed):
    trace, macs = random_trace(seed, n=40)
    trace.logits[::3] = trace.logits[:1]  # equal signals
    seen = threshold_grid.thresholds(signals(policy, trace.logits), policy.rising)
    on_values = signals(policy, trace.logits).unique().double()
    at = torch.cat(
        [seen, on_values, seen[:-1] + 0.5 * seen.diff(), torch.tensor([-9.0, 0.0, 1.0, 9.0, float("inf")]).double()]
    )
    at = at.clamp(min=0) if isinstance(policy, Patience) else at
    at = at[at.isfinite()] if isinstance(policy, Patience) else at
    found = curve(policy, trace, macs, at)
    torch.testing.assert_close(
        torch.stack([found.accuracy, found.macs, found.depth], 1), slow_curve(policy, trace, macs, at)
    )


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_the_curve_is_what_replay_gives(policy, seed):
    check_curve(operating_point.curve, policy, seed)


def test_a_curve_that_is_off_at_equals_is_caught():
    with pytest.raises(AssertionError):
        check_curve(off_at_equals, Confidence(0.5), 1)
