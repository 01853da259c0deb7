"""The task's metric at all thresholds at once is what replaying and scoring gives, for every rule and metric."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_operating_point import random_trace
from test_threshold_grid import RULES

from benchmark.policies.calibration import accuracy_drop, operating_point
from benchmark.policies.calibration.score_curve import scores
from benchmark.policies.calibration.threshold_grid import candidates
from benchmark.policies.confidence import Confidence
from benchmark.policies.replay import trace_depths
from benchmark.records import metrics
from benchmark.run import collapse
from benchmark.types import ExitbenchError, Trace


def two_classes(seed: int, n: int = 80) -> tuple[Trace, torch.Tensor]:
    trace, macs = random_trace(seed, n, classes=2)
    return trace, macs


def slow(policy, trace, metric, at):
    found = []
    for threshold in at.tolist():
        depth = trace_depths(policy.at(threshold), trace)
        answers = trace.logits[torch.arange(len(depth)), depth - 1].argmax(-1)
        found.append(metrics.score(metric, answers.numpy(), trace.labels.numpy()))
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize("metric", metrics.METRICS)
@pytest.mark.parametrize("policy", RULES[:5], ids=lambda policy: policy.name)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=5)
def test_scores_are_what_replay_gives(policy, metric, seed):
    trace, _ = two_classes(seed)
    at = candidates(policy, trace)
    at = at.clamp(min=0) if policy.name == "patience" else at
    torch.testing.assert_close(scores(policy, trace, metric, at), slow(policy, trace, metric, at))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=5)
def test_matthews_of_several_classes_too_and_thresholds_in_any_order(seed):
    trace, _ = random_trace(seed, 60, classes=4)
    at = candidates(Confidence(0.5), trace).flip(0)[::3]
    assert_close = torch.testing.assert_close
    assert_close(scores(Confidence(0.5), trace, "matthews", at), slow(Confidence(0.5), trace, "matthews", at))


def kappa(answers, labels):
    """Cohen's kappa: a metric that is none of ours."""
    agreement = (answers == labels).mean()
    chance = sum((answers == one).mean() * (labels == one).mean() for one in np.unique(labels))
    return (agreement - chance) / (1 - chance) if chance < 1 else 0.0


def test_a_metric_of_ones_own_chooses():
    trace, macs = two_classes(1, 200)
    point = operating_point.choose(Confidence(0.5), trace, macs, 0.02, partial(kappa))
    assert point.metric.endswith("kappa")
    assert point.calibration_score >= point.calibration_score_full - 0.02
    assert float(slow(Confidence(0.5), trace, kappa, torch.tensor([point.threshold]))) == point.calibration_score


@pytest.mark.parametrize("metric", [lambda answers, labels: float("nan"), lambda answers, labels: 1 / 0])
def test_a_metric_that_fails_is_one_line(metric):
    with pytest.raises(ExitbenchError, match=r"dataset\.metric") as refused:
        metrics.score(metric, [0, 1], [0, 1])
    assert "\n" not in str(refused.value)


def unbalanced(seed: int, n: int) -> tuple[Trace, torch.Tensor]:
    """70% of one class and a weak model: its first exit answers that class for all, its last knows a little."""
    draw = torch.Generator().manual_seed(seed)
    labels = (torch.rand(n, generator=draw) < 0.3).long()
    evidence = (2.0 * labels - 1) * 0.25 + torch.randn(n, generator=draw)
    logits = torch.zeros(n, 6, 2)
    for exit_ in range(6):
        logits[:, exit_, 1] = -0.85 + (0.0 if exit_ == 0 else 0.9 * evidence * exit_ / 5)
    macs = torch.arange(1, 7).double().expand(n, 6)
    return Trace(logits, labels, torch.zeros(n).long()), macs


def test_the_metric_decides_where_accuracy_would_collapse():
    calibration, macs = unbalanced(0, 2000)
    test, _ = unbalanced(1, 2000)
    by_accuracy = operating_point.choose(Confidence(0.5), calibration, macs, 0.01)
    by_metric = operating_point.choose(Confidence(0.5), calibration, macs, 0.01, "matthews")
    collapsed = trace_depths(Confidence(by_accuracy.threshold), test)
    assert collapse.warnings(Confidence(0.5), test, collapsed) == [
        "all samples leave at exit 1 of 6",
        "class 0 is answered for all samples",
    ]
    depth = trace_depths(Confidence(by_metric.threshold), test)
    assert collapse.warnings(Confidence(0.5), test, depth) == []
    answers = test.logits[torch.arange(2000), depth - 1].argmax(-1)
    full = metrics.score("matthews", test.logits[:, -1].argmax(-1).numpy(), test.labels.numpy())
    assert full > 0.1
    assert metrics.score("matthews", answers.numpy(), test.labels.numpy()) > full - 0.05
    assert (by_metric.metric, by_accuracy.metric) == ("matthews", "accuracy")


def test_drops_are_drops_of_the_metric():
    calibration, macs = unbalanced(0, 2000)
    test, _ = unbalanced(1, 2000)
    row = accuracy_drop.at_drop(Confidence(0.5), calibration, macs, test, macs, "matthews", 0.01)
    assert row["mean_exit_depth"] > 1
