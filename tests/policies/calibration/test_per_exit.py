"""Rules with a threshold for each exit: live equals replay, solved shares are kept, and every mistake is one line."""

import math

import pytest
import torch
from small_models import FAMILIES

from benchmark.cost.macs import cost, table
from benchmark.policies.budget import Budget, build
from benchmark.policies.calibration import protocol_points
from benchmark.policies.calibration.evidence import outcomes
from benchmark.policies.calibration.operating_point import find_operating_point, protocol_curve
from benchmark.policies.geometric import Geometric
from benchmark.policies.official import Official
from benchmark.policies.random import Random
from benchmark.policies.replay import live, replay, signals
from benchmark.run.trace import trace
from benchmark.types import ExitbenchError, Trace


def traced(kind, count=24):
    make, samples = FAMILIES[kind]
    model, many = make(), samples(count)
    seen = trace(model, many, batch_size=5)
    return model, many, seen, table(cost(model, seen.lengths.tolist()), seen.lengths)


def released(num_exits):
    """A table as the authors' files hold it: 1e8 where none leaves, −1e8 at the last exit."""
    thresholds = torch.linspace(0.3, 0.9, 59)[:, None].repeat(1, num_exits)
    thresholds[0, 0], thresholds[:, -1] = 1e8, -1e8
    return {"dynamic_threshold": thresholds, "flops": list(range(1, num_exits + 1))}


def rules(macs):
    gmacs = float(macs.mean()) / 1e9
    return [Budget(gmacs=gmacs), Budget(gmacs=gmacs, measure="entropy"), Budget(gmacs=gmacs, estimate="counted"),
            Geometric(point=15), Random(gmacs=gmacs), Official(point=30)]  # fmt: skip


@pytest.mark.parametrize("kind", FAMILIES)
def test_live_equals_replay_and_the_solver_is_right_about_both(kind):
    model, many, seen, macs = traced(kind)
    model.official = released(model.num_exits)
    for rule in rules(macs):
        policy, point = find_operating_point(rule, model, seen, macs, True, 0.0)
        assert len(policy.thresholds) == len(point.section()["thresholds"]) == model.num_exits - 1
        depth = replay(policy, seen.logits)
        with torch.inference_mode():
            for first in range(0, 24, 6):
                answers, depths = live(policy, model, model.collate(many[first : first + 6]))
                assert depths.tolist() == depth[first : first + 6].tolist(), policy
                wanted = seen.logits[torch.arange(first, first + 6), depths - 1]
                torch.testing.assert_close(answers, wanted, atol=1e-5, rtol=1e-4)
        found = outcomes(policy.evidence(seen, macs), torch.tensor([policy.thresholds]))
        assert float(found.depth) == pytest.approx(float(depth.double().mean()))
        assert float(found.accuracy) == pytest.approx(point.calibration_accuracy)
        curve = protocol_curve(policy, seen, macs, seen, macs)
        assert len(curve.rows()) == 59
        assert curve.rows()[0]["threshold"] is None


def test_the_signal_is_what_is_left_over_the_exits_own_threshold():
    _, _, seen, _ = traced("dvt")
    policy = Geometric(thresholds=(0.5, math.inf))
    over = signals(policy, seen.logits)
    torch.testing.assert_close(over[:, 0], seen.logits[:, 0].softmax(-1).amax(-1) - 0.5)
    assert (over[:, 1] == -math.inf).all()
    assert (over[:, 2] == math.inf).all()
    assert policy.written() == [0.5, None]
    assert policy.at(0.3) is policy


def test_entropies_are_written_in_nats():
    policy = Budget(gmacs=1.0, measure="entropy", thresholds=(-0.25, math.inf))
    assert policy.written() == [0.25, None]


def test_random_exits_keep_the_shares_of_the_budget_and_know_nothing_of_the_answer():
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 10, (4000,), generator=draw)
    logits = 2 * torch.randn(4000, 3, 10, generator=draw)
    logits += 3 * torch.nn.functional.one_hot(labels, 10)[:, None]
    seen, macs = Trace(logits, labels, torch.zeros(4000).long()), torch.tensor([1e6, 2e6, 4e6]).double().repeat(4000, 1)
    budget = Budget(gmacs=0.002).fit(seen, macs)
    control = Random(gmacs=0.002).fit(seen, macs)
    shares = outcomes(budget.evidence(seen, macs), torch.tensor([budget.thresholds])).leaving
    drawn = outcomes(control.evidence(seen, macs), torch.tensor([control.thresholds])).leaving
    torch.testing.assert_close(drawn, shares, atol=1e-3, rtol=0)
    random_draws = protocol_points.random_draws(logits[:, 0], 0)
    assert torch.histc(random_draws, 5, 0, 1).tolist() == pytest.approx([800] * 5, abs=100)
    right = (logits[:, 0].argmax(-1) == labels).float()
    assert abs(float(torch.corrcoef(torch.stack([random_draws, right]))[0, 1])) < 0.05
    other = protocol_points.random_draws(logits[:, 0], 1)
    assert abs(float(torch.corrcoef(torch.stack([random_draws, other]))[0, 1])) < 0.05
    shaken = protocol_points.random_draws(logits[:, 0] + 2e-5 * torch.randn(4000, 10, generator=draw), 0)
    assert float((shaken - random_draws).abs().max()) < 5e-4  # nowhere a jump


def test_budgets_are_kept_where_they_are_calibrated():
    _, _, seen, macs = traced("bert", 40)
    low, high = float(macs[:, 0].mean()) / 1e9, float(macs[:, -1].mean()) / 1e9
    for share in (0.0, 0.3, 0.7, 1.0):
        policy = Budget(gmacs=low + share * (high - low)).fit(seen, macs)
        facts = policy.facts(seen, macs)
        assert facts["calibration_gmacs"] <= facts["budget_gmacs"] * (1 + 1e-6)


def test_official_takes_what_the_checkpoint_carries():
    model, _, seen, macs = traced("dvt")
    model.official = released(3)
    policy, point = find_operating_point(Official(point=1), model, seen, macs, True, 0.0)
    assert point.chosen_by == "released"
    assert point.section()["thresholds"] == [None, pytest.approx(0.3)]
    assert point.section()["released_gmacs"] == [1, 2, 3]
    assert policy.protocol_thresholds(seen, macs).shape == (59, 2)


@pytest.mark.parametrize(
    ("carried", "words"),
    [(None, "without; set model.checkpoint"), ({"flops": [1, 2, 3]}, "dynamic_threshold"),
     ({"dynamic_threshold": torch.zeros(59, 4)}, r"shape \(59, 3\), got \(59, 4\)")],
)  # fmt: skip
def test_official_without_thresholds_is_one_line(carried, words):
    model, _, seen, macs = traced("dvt")
    model.official = carried
    with pytest.raises(ExitbenchError, match=words) as refused:
        find_operating_point(Official(), model, seen, macs, True, 0.0)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: build(gmacs=None), r"policy\.gmacs: expected a budget"),
        (lambda: build(gmacs="much"), r"policy\.gmacs: expected a number above 0"),
        (lambda: build(gmacs=1.0, signal="margin"), r"policy\.signal: expected one of confidence, entropy"),
        (lambda: build(gmacs=1.0, estimate="bold"), r"policy\.estimate"),
        (lambda: build(gmacs=1.0, threshold=0.5), r"policy\.threshold: expected auto"),
        (lambda: Geometric(point=60), r"policy\.point: expected a point p from 1 to 59, got 60"),
        (lambda: Geometric(q=-1.0), r"policy\.q"),
        (lambda: Official(point=0), r"policy\.point"),
        (lambda: Random(gmacs=1.0, seed=-1), r"policy\.seed"),
        (lambda: signals(Budget(gmacs=1.0), torch.zeros(2, 3, 4)), "policy budget: expected thresholds found"),
    ],
)
def test_mistakes_are_one_line(make, words):
    with pytest.raises(ExitbenchError, match=words) as refused:
        make()
    assert "\n" not in str(refused.value)
