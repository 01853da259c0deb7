"""Guaranteed thresholds: over many draws with known truth the promise is kept, and rules without a test break it."""

import functools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from test_operating_point import random_trace

from benchmark.policies.always_first import AlwaysFirst
from benchmark.policies.budget import Budget
from benchmark.policies.calibration import operating_point
from benchmark.policies.calibration.guarantee import (
    BOUNDS,
    Guarantee,
    exit_losses,
    guaranteed_threshold,
    loss_sequence,
    safe_confidence,
)
from benchmark.policies.calibration.risk_bounds import LossSequence, betting, conformal, hoeffding_bentkus
from benchmark.policies.confidence import Confidence
from benchmark.policies.entropy import Entropy
from benchmark.policies.never import Never
from benchmark.policies.patience import Patience
from benchmark.policies.replay import trace_depths
from benchmark.types import ExitbenchError, NotApplicable, Trace

DRAWS, SIZE, LIMIT, ERROR = 2000, 400, 0.03, 0.05
NOISE = 3 * math.sqrt(ERROR * (1 - ERROR) / DRAWS)  # three standard errors of a share of draws
MACS = (1.0, 2.0, 3.0)


@functools.cache
def population() -> tuple[torch.Tensor, torch.Tensor]:
    """Confidences (N, 2) and right answers (N, 3) of three exits: the harder a sample, the less of both."""
    draw = torch.Generator().manual_seed(0)
    hardness = torch.rand(20_000, 1, generator=draw)
    confidence = 1 - hardness + 0.15 * torch.randn(20_000, 2, generator=draw)
    chance = 0.98 - hardness * torch.tensor([0.5, 0.3, 0.15])
    return confidence, torch.rand(20_000, 3, generator=draw) < chance


def outcome(confidence: torch.Tensor, table: torch.Tensor, above: torch.Tensor) -> torch.Tensor:
    """Means (D,) over samples of a table (N, E) by exit where samples leave at confidences over `above` (D,)."""
    value, sequence = loss_sequence(confidence, table - table[:, -1:])
    totals = float(table[:, -1].double().sum()) + sequence.totals()
    last = torch.searchsorted(-value, -above.to(value.dtype), right=False) - 1  # the last value that is over
    return totals[last.clamp(min=0)] / len(table)


def random_draws(bound, kind: str, count: int = DRAWS) -> tuple[torch.Tensor, torch.Tensor]:
    """Over draws of calibration data: the true loss of accuracy (count,), and the true mean cost (count,)."""
    confidence, right = population()
    losses = exit_losses(right)
    draw = torch.Generator().manual_seed(1)
    above = []
    for _ in range(count):
        chosen = torch.randint(len(right), (SIZE,), generator=draw)
        above.append(safe_confidence(confidence[chosen], losses[kind][chosen], bound, LIMIT, ERROR))
    cost = torch.tensor(MACS).expand(len(right), 3)
    return outcome(confidence, losses["signed"], torch.tensor(above)), outcome(confidence, cost, torch.tensor(above))


def by_mean(losses: LossSequence, limit: float, error: float) -> int:
    """Broken on purpose, and what is done without a guarantee: the cheapest threshold whose mean is allowed."""
    allowed = losses.totals() / losses.n <= limit
    return int(allowed.nonzero().max()) + 1 if bool(allowed.any()) else 0


def uncorrected(losses: LossSequence, limit: float, error: float) -> int:
    """Broken on purpose: the cheapest threshold that passes its own test, whatever fails before it."""
    p_values = binom.cdf(losses.totals().numpy(), losses.n, limit)
    passing = np.flatnonzero(p_values <= error)
    return int(passing.max()) + 1 if len(passing) else 0


def check_probability(bound, kind: str) -> float:
    """The promise is broken in at most 5% of draws; the mean cost."""
    loss, cost = random_draws(bound, kind)
    broken = float((loss > LIMIT).double().mean())
    print(f"{bound.__name__}: broken in {broken:.1%} of {DRAWS:,} draws, mean cost {float(cost.mean()):.3f} of 3")
    assert broken <= ERROR + NOISE
    return float(cost.mean())


@pytest.mark.parametrize("name", ["hb", "wsr"])
def test_a_guarantee_is_broken_in_few_draws(name):
    cost = check_probability(*BOUNDS[name])
    assert cost < 0.95 * MACS[-1]  # and something is saved


def test_conformal_risk_control_holds_in_the_mean_over_draws():
    loss, cost = random_draws(*BOUNDS["crc"])
    assert float(loss.mean()) <= LIMIT + 3 * float(loss.std()) / math.sqrt(DRAWS)
    assert float(cost.mean()) < 0.95 * MACS[-1]


def test_choosing_by_the_mean_breaks_in_many_draws():
    loss, cost = random_draws(by_mean, "signed", 500)
    print(f"without a guarantee: broken in {float((loss > LIMIT).double().mean()):.1%}, cost {float(cost.mean()):.3f}")
    assert float((loss > LIMIT).double().mean()) > 0.3
    with pytest.raises(AssertionError):
        check_probability(by_mean, "signed")


def churning(seed: int, thresholds: int = 30, n: int = 300) -> LossSequence:
    """Thresholds that all are a little too risky, with losses drawn anew at each."""
    draw = torch.Generator().manual_seed(seed)
    losses = (torch.rand(thresholds, n, generator=draw) < 1.02 * LIMIT).to(torch.int8)
    change = losses.diff(dim=0, prepend=torch.zeros(1, n, dtype=torch.int8))
    step, sample = change.nonzero(as_tuple=True)
    return LossSequence(n, thresholds, step, sample, change[step, sample])


@pytest.mark.parametrize("bound", [hoeffding_bentkus, betting])
def test_many_thresholds_need_no_correction_in_a_fixed_sequence(bound):
    passed = [bound(churning(seed), LIMIT, ERROR) for seed in range(400)]
    assert np.mean(np.array(passed) > 0) <= ERROR + 3 * math.sqrt(ERROR * (1 - ERROR) / 400)


def test_many_thresholds_without_a_sequence_are_caught():
    passed = [uncorrected(churning(seed), LIMIT, ERROR) for seed in range(400)]
    assert np.mean(np.array(passed) > 0) > 0.3


@given(n=st.integers(1, 500), limit=st.floats(0.001, 0.5), share=st.floats(0, 1))
def test_the_binomial_tail_is_never_above_hoeffding_and_bentkus(n, limit, share):
    total = round(share * n)
    mean = min(total / n, limit)
    divergence = (mean * math.log(mean / limit) if mean else 0) + (1 - mean) * math.log((1 - mean) / (1 - limit))
    published = min(math.exp(-n * divergence), math.e * binom.cdf(total, n, limit))
    assert binom.cdf(total, n, limit) <= published * (1 + 1e-9)


def naive(losses: torch.Tensor, bound, limit: float, error: float) -> int:
    """The definition of a fixed sequence, on full tables of losses (K, n): one threshold after the other."""
    n = losses.shape[1]
    for position, row in enumerate(losses.double().numpy()):
        if bound is hoeffding_bentkus:
            passes = binom.cdf(row.sum(), n, limit) <= error
        elif bound is conformal:
            passes = (row.sum() + 1) / (n + 1) <= limit
        else:
            capital, seen, passes = 1.0, [], False
            goal, scaled, variances = 1 / error, (1 + row) / 2, 0.25
            for i, x in enumerate(scaled):
                bet = min(math.sqrt(2 * math.log(goal) / (n * variances / (1 + i))), 0.75 / (1 - (1 + limit) / 2))
                capital *= 1 + bet * ((1 + limit) / 2 - x)
                passes |= capital >= goal
                seen.append(x)
                variances += (x - (0.5 + sum(seen)) / (1 + len(seen))) ** 2
        if not passes:
            return position
    return len(losses)


@pytest.mark.parametrize("name", list(BOUNDS))
@given(seed=st.integers(0, 10_000), limit=st.sampled_from([0.02, 0.05, 0.2]))
@settings(max_examples=12)
def test_bounds_are_what_their_definitions_give(name, seed, limit):
    bound, kind = BOUNDS[name]
    draw = torch.Generator().manual_seed(seed)
    confidence = torch.randint(0, 30, (80, 3), generator=draw).float()  # with ties
    losses = exit_losses(torch.rand(80, 4, generator=draw) < 0.9)[kind]
    value, sequence = loss_sequence(confidence, losses)
    depth = torch.stack([first_above(confidence, at, closed=True) for at in value.tolist()])
    tables = losses[torch.arange(80), depth]  # (K, n)
    torch.testing.assert_close(sequence.totals(), tables.double().sum(1))
    assert bound(sequence, limit, 0.1) == naive(tables, bound, limit, 0.1)


def first_above(confidence: torch.Tensor, at: float, closed: bool) -> torch.Tensor:
    """The exit 0 … E − 1 (N,) at which samples leave, above a confidence or at it."""
    stop = confidence >= at if closed else confidence > at
    return torch.cat([stop, torch.ones(len(stop), 1, dtype=torch.bool)], 1).int().argmax(1)


@given(seed=st.integers(0, 10_000))
def test_the_losses_are_ordered_and_the_last_never_falls(seed):
    right = torch.rand(50, 5, generator=torch.Generator().manual_seed(seed)) < 0.6
    losses = exit_losses(right)
    assert bool((losses["signed"] <= losses["lost"]).all())
    assert bool((losses["lost"] <= losses["lost_since"]).all())
    assert bool((losses["lost_since"].diff(dim=1) <= 0).all())
    assert not any(bool(table[:, -1].any()) for table in losses.values())


def large_trace(seed: int, n: int = 3000) -> tuple[Trace, torch.Tensor]:
    trace, macs = random_trace(seed, n)
    return Trace(2 * trace.logits, trace.labels, trace.lengths), macs


@pytest.mark.parametrize("policy", [Confidence(0.5), Entropy(0.5), Patience(1)], ids=lambda policy: policy.name)
@pytest.mark.parametrize("name", list(BOUNDS))
def test_a_rule_gets_the_cheapest_threshold_that_passes(policy, name):
    trace, macs = large_trace(3)
    guarantee = Guarantee(0.9, name)
    settled, point = operating_point.find_operating_point(policy, None, trace, macs, True, 0.1, guarantee=guarantee)
    section = point.section()
    assert (section["guarantee"], section["bound"], section["max_drop"]) == (0.9, name, 0.1)
    assert section["calibration_n"] == 3000
    assert not point.warnings()
    by_mean_point = operating_point.choose(policy, trace, macs, 0.1)
    rows, depth = torch.arange(3000), trace_depths(settled, trace)
    cheapest = trace_depths(policy.at(by_mean_point.threshold), trace)
    assert float(macs[rows, depth - 1].mean()) >= float(macs[rows, cheapest - 1].mean())
    assert float(depth.double().mean()) < 4  # and not full depth
    lost = (trace.logits[:, -1].argmax(-1) == trace.labels).double().mean() - section["calibration_accuracy"]
    assert float(lost) < 0.1


@pytest.mark.parametrize("policy", [Confidence(0.5), Entropy(0.5), Patience(1)], ids=lambda policy: policy.name)
def test_on_too_few_samples_all_run_to_full_depth_and_it_is_said(policy):
    trace, macs = random_trace(4, 20)
    settled, point = operating_point.find_operating_point(
        policy, None, trace, macs, True, 0.01, guarantee=Guarantee(0.95)
    )
    assert point.section()["threshold"] is None
    assert bool((trace_depths(settled, trace) == 4).all())
    assert "20 calibration samples" in point.warnings()[0]


def test_thresholds_lie_between_values():
    trace, _ = large_trace(5)
    at = guaranteed_threshold(Confidence(0.5), trace, 0.1, Guarantee(0.9))
    assert at not in trace.logits.softmax(-1).amax(-1).unique().tolist()


@pytest.mark.parametrize(
    ("policy", "metric", "chosen", "message"),
    [
        (AlwaysFirst(), "accuracy", True, "one threshold"),
        (Budget(gmacs=1.0), "accuracy", True, "one threshold"),
        (Confidence(0.5), "accuracy", False, "threshold=auto"),
        (Confidence(0.5), "matthews", True, "dataset.metric=accuracy"),
    ],
)
def test_what_no_guarantee_holds_for_is_refused(policy, metric, chosen, message):
    Guarantee(0).check(policy, metric, chosen)
    with pytest.raises(NotApplicable, match=f"policy.guarantee: .*{message}"):
        Guarantee(0.95).check(policy, metric, chosen)


def test_full_depth_needs_no_guarantee():
    trace, macs = random_trace(6)
    settled, point = operating_point.find_operating_point(
        Never(), None, trace, macs, False, 0.0, guarantee=Guarantee(0.95)
    )
    assert settled == Never()
    assert not point.warnings()


@pytest.mark.parametrize("value", [1, -0.1, 95, "high", True])
def test_a_guarantee_that_is_no_probability_is_refused(value):
    with pytest.raises(ExitbenchError, match=r"policy\.guarantee: expected a probability"):
        Guarantee(value)


def test_an_unknown_bound_is_refused():
    with pytest.raises(ExitbenchError, match=r"policy\.bound: expected one of hb, wsr, crc"):
        Guarantee(0.95, "normal")
