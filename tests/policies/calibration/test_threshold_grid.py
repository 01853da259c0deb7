"""Thresholds lie between values: rounding, as another batch or processor rounds, moves no sample across one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_operating_point import random_trace

from benchmark.policies.budget import Budget
from benchmark.policies.calibration import operating_point, threshold_grid
from benchmark.policies.calibration.threshold_grid import gap_midpoints, lowered_to_midpoints
from benchmark.policies.confidence import Confidence
from benchmark.policies.entropy import Entropy
from benchmark.policies.geometric import Geometric
from benchmark.policies.learned import Learned
from benchmark.policies.patience import Patience
from benchmark.policies.pcee import PatientConfident
from benchmark.policies.random import Random
from benchmark.policies.replay import replay, signals, trace_depths
from benchmark.policies.vote import Vote
from benchmark.types import Trace

RULES = [Confidence(0.5), Entropy(0.5), Patience(1), PatientConfident(0.5), Vote(1), Learned(0.5)]
FITTED = [Budget(gmacs=2.2e-9), Budget(gmacs=2.2e-9, measure="entropy"), Geometric(point=22), Random(gmacs=2.2e-9)]


def traced(seed: int, n: int = 200) -> tuple[Trace, torch.Tensor]:
    """A trace of some size whose logits are large enough that many confidences lie near 1, and a learned certainty."""
    trace, _ = random_trace(seed, n)
    draw = torch.Generator().manual_seed(seed + 1)
    macs = torch.arange(1, 5).double().expand(n, 4)
    extra = 3 * torch.randn(n, 4, 1, generator=draw)
    return Trace(3 * trace.logits, trace.labels, trace.lengths, extra=extra), macs


def rounded_otherwise(trace: Trace, seed: int) -> Trace:
    """All logits moved by up to 1e-5 of each sample's largest, as another batch or processor moves them."""
    draw = torch.Generator().manual_seed(seed)

    def moved(values: torch.Tensor) -> torch.Tensor:
        size = 1e-5 * values.abs().amax(-1, keepdim=True)
        return values + size * (2 * torch.rand(values.shape, generator=draw) - 1)

    return Trace(moved(trace.logits), trace.labels, trace.lengths, extra=moved(trace.extra))


def is_settled(policy, trace: Trace, seeds: range = range(4)) -> bool:
    """Whether all decisions of the rule outlast rounding; samples whose very answer is a tie are left out."""
    top = trace.logits.topk(2, -1).values
    clear = ((top[..., 0] - top[..., 1]) > 1e-3 * top.abs().amax(-1)).all(1)
    depths = trace_depths(policy, trace)
    return all(
        torch.equal(trace_depths(policy, rounded_otherwise(trace, seed))[clear], depths[clear]) for seed in seeds
    )


@pytest.mark.parametrize("policy", RULES, ids=lambda policy: policy.name)
@given(seed=st.integers(0, 10_000), drop=st.sampled_from([0.0, 0.02, 0.1]))
@settings(max_examples=8)
def test_chosen_thresholds_outlast_rounding(policy, seed, drop):
    trace, macs = traced(seed)
    point = operating_point.choose(policy, trace, macs, drop)
    assert is_settled(policy.at(point.threshold), trace)


@pytest.mark.parametrize("policy", FITTED, ids=lambda policy: f"{policy.name}-{getattr(policy, 'measure', '')}")
@given(seed=st.integers(0, 10_000))
@settings(max_examples=4)
def test_solved_thresholds_outlast_rounding(policy, seed):
    trace, macs = traced(seed)
    assert is_settled(policy.fit(trace, macs), trace)


def test_a_threshold_on_a_value_is_caught():
    """The broken double: the nearest sample's own confidence in place of the midpoint."""
    trace, macs = traced(3)
    point = operating_point.choose(Confidence(0.5), trace, macs, 0.05)
    values = signals(Confidence(0.5), trace.logits)[:, :-1].flatten().double()
    above = float(values[values > point.threshold].min())
    assert torch.equal(replay(Confidence(above), trace.logits), replay(Confidence(point.threshold), trace.logits))
    assert not is_settled(Confidence(above), trace)


@pytest.mark.parametrize("policy", RULES, ids=lambda policy: policy.name)
def test_another_batch_composition_decides_alike(policy):
    trace, macs = traced(5)
    chosen = policy.at(operating_point.choose(policy, trace, macs, 0.05).threshold)
    whole = trace_depths(chosen, trace)
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(0))
    for size in (1, 7):
        parts = [replay(chosen, trace.logits[rows], trace.extra[rows]) for rows in order.split(size)]
        assert torch.equal(torch.cat(parts), whole[order])


@given(values=st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=40), margin=st.sampled_from([0.0, 1e-3, 0.2]))
def test_cuts_lie_strictly_between_values_and_outside_their_margins(values, margin):
    column = torch.tensor(values)
    at = gap_midpoints(column, torch.full_like(column, margin))
    assert torch.equal(at, at.unique())
    for cut in at.tolist():
        distance = (column - cut).abs().min()
        assert distance > 0
    open_gaps = column.unique().diff() >= 2 * margin
    if len(open_gaps) and bool(open_gaps.all()):
        assert all(float((column - cut).abs().min()) >= margin * 0.999 for cut in at.tolist())


def test_the_widest_gap_of_each_neighbourhood_is_kept():
    column = torch.arange(1000).float()
    column[500:] += 0.5
    at = gap_midpoints(column, torch.zeros(1000), 10)
    assert len(at) == 10
    assert 499.75 in at.tolist()


def test_snapped_values_part_samples_as_the_values_do():
    draw = torch.Generator().manual_seed(0)
    values = torch.rand(300, generator=draw)
    lower = lowered_to_midpoints(values, torch.zeros(300))
    assert (lower < values).all()
    for threshold in lower.unique().tolist():
        assert torch.equal(values >= threshold, lower >= threshold)


def test_no_finite_signal_leaves_nothing_to_choose():
    assert threshold_grid.thresholds(torch.full((5, 3), float("inf")), True).tolist() == [0.0]
