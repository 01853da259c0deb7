"""A rule's range: areas by hand, thresholds from calibration and figures from test, bounds that bound."""

import pytest
import torch
from test_operating_point import random_trace

from benchmark.policies.always_first import AlwaysFirst
from benchmark.policies.calibration import accuracy_drop
from benchmark.policies.confidence import Confidence
from benchmark.policies.entropy import Entropy
from benchmark.policies.never import Never
from benchmark.policies.oracle import Oracle
from benchmark.policies.patience import Patience
from benchmark.policies.pcee import PatientConfident
from benchmark.policies.replay import trace_depths
from benchmark.policies.vote import Vote
from benchmark.records import metrics
from benchmark.types import Trace

RULES = [Confidence(0.5), Entropy(0.5), Patience(1), PatientConfident(0.5), Vote(2)]
CALIBRATION, CALIBRATION_MACS = random_trace(1, n=300)
TEST, TEST_MACS = random_trace(2, n=400)


def score(answers, labels):
    return metrics.accuracy(answers, labels)["value"]


def right_at(depth: int) -> float:
    return float((TEST.logits[:, depth - 1].argmax(-1) == TEST.labels).double().mean())


def test_the_area_by_hand():
    # (1, 0.5) given; (2, 0.7) the better of two; (4, 0.9) given: (1 · 0.6 + 2 · 0.8) / 3
    assert metrics.score_area([2, 2], [0.7, 0.6], [1, 4], [0.5, 0.9]) == pytest.approx((0.6 + 1.6) / 3)
    assert metrics.score_area([2], [0.7], [1, 4], [0.5, 0.9]) == metrics.score_area([2.0], [0.7], [4, 1], [0.9, 0.5])
    assert metrics.score_area([1], [0.5], [1, 1], [0.5, 0.5]) is None


def test_rules_that_know_nothing_have_the_mean_of_the_ends():
    wanted = (right_at(1) + right_at(4)) / 2
    for rule in (Never(), AlwaysFirst()):
        assert accuracy_drop.area(rule, CALIBRATION, TEST, TEST_MACS, score) == pytest.approx(wanted)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_has_more_area_than_none_and_less_than_the_oracle(rule):
    area = accuracy_drop.area(rule, CALIBRATION, TEST, TEST_MACS, score)
    assert accuracy_drop.area(Never(), CALIBRATION, TEST, TEST_MACS, score) < area
    assert area < accuracy_drop.area(Oracle(), CALIBRATION, TEST, TEST_MACS, score)


@pytest.mark.parametrize("rule", [*RULES, Oracle()], ids=lambda rule: rule.name)
def test_drops_are_allowed_on_calibration_and_measured_on_test(rule):
    found = accuracy_drop.section(rule, CALIBRATION, CALIBRATION_MACS, TEST, TEST_MACS, score)
    assert [point["max_drop"] for point in found["at_drop"]] == [0.0, 0.01, 0.02]
    rows = torch.arange(400)
    for point in found["at_drop"]:
        depth = trace_depths(rule.at(torch.inf if point["threshold"] is None else point["threshold"]), TEST)
        assert point["mean_exit_depth"] == pytest.approx(float(depth.double().mean()))
        assert point["score"] == score(TEST.logits[rows, depth - 1].argmax(-1).numpy(), TEST.labels.numpy())
        spent = TEST_MACS[rows, depth - 1].mean()
        assert point["mac_speedup"] == pytest.approx(float(TEST_MACS[:, -1].mean() / spent))
        chosen = trace_depths(rule.at(torch.inf if point["threshold"] is None else point["threshold"]), CALIBRATION)
        lost = (CALIBRATION.logits[:, -1].argmax(-1) == CALIBRATION.labels).double().mean()
        kept = CALIBRATION.logits[torch.arange(300), chosen - 1].argmax(-1) == CALIBRATION.labels
        assert lost - kept.double().mean() <= point["max_drop"] + 1e-9
    speedups = [point["mac_speedup"] for point in found["at_drop"]]
    assert rule.reads == "hindsight" or speedups == sorted(speedups)


def test_a_threshold_chosen_on_test_data_would_be_caught():
    swapped = Trace(TEST.logits, TEST.labels.roll(1), TEST.lengths)
    honest = accuracy_drop.at_drop(Entropy(0.5), CALIBRATION, CALIBRATION_MACS, TEST, TEST_MACS, score, 0.02)
    other = accuracy_drop.at_drop(Entropy(0.5), CALIBRATION, CALIBRATION_MACS, swapped, TEST_MACS, score, 0.02)
    assert honest["threshold"] == other["threshold"]
    cheating = accuracy_drop.at_drop(Entropy(0.5), TEST, TEST_MACS, TEST, TEST_MACS, score, 0.02)
    assert cheating["threshold"] != honest["threshold"]


def test_rules_without_a_threshold_have_no_drops():
    for rule in (Never(), AlwaysFirst()):
        assert accuracy_drop.section(rule, CALIBRATION, CALIBRATION_MACS, TEST, TEST_MACS, score)["at_drop"] == []


def test_a_rule_that_solves_its_thresholds_has_no_range():
    class Solves(Entropy):
        def fit(self, trace, macs):
            return self

    found = accuracy_drop.section(Solves(0.5), CALIBRATION, CALIBRATION_MACS, TEST, TEST_MACS, score)
    assert found == {"at_drop": [], "area": None, "bound": False}
    assert accuracy_drop.section(Oracle(), CALIBRATION, CALIBRATION_MACS, TEST, TEST_MACS, score)["bound"]
