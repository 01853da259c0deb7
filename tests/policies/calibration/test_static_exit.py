"""The static rival is the cheapest exit that scores as well as the rule, and there may be none."""

import torch

from benchmark.policies.calibration.static_exit import early_score, exit_scores, static_exit
from benchmark.policies.confidence import Confidence
from benchmark.policies.fixed_exit import FixedExit
from benchmark.types import Trace


def _trace(right):
    """Logits of two classes that are right where `right` (N, E) says so; surer where `right` is true."""
    right = torch.tensor(right)
    labels = torch.zeros(len(right), dtype=torch.int64)
    logits = torch.stack([right.float() * 4, (~right).float()], -1)
    return Trace(logits, labels, torch.zeros(len(right), dtype=torch.int64))


TRACE = _trace([[True, False, True], [False, True, True], [False, True, True], [False, False, False]])


def test_scores_are_those_of_each_exit_alone():
    assert exit_scores(TRACE, "accuracy") == [0.25, 0.5, 0.75]
    assert [early_score(FixedExit(exit=n), TRACE, "accuracy") for n in (1, 2, 3)] == [0.25, 0.5, 0.75]


def test_it_is_the_first_exit_that_scores_as_well():
    assert [static_exit(FixedExit(exit=n), TRACE, "accuracy") for n in (1, 2, 3)] == [1, 2, 3]


def test_a_rule_that_beats_every_exit_has_no_rival():
    better = _trace([[True, False, False], [False, True, False], [False, False, True]])
    assert early_score(Confidence(0.9), better, "accuracy") == 1.0
    assert static_exit(Confidence(0.9), better, "accuracy") is None


def test_the_metric_decides():
    def zeros(answers, labels):
        return float((answers == 0).sum())

    assert static_exit(FixedExit(exit=2), TRACE, zeros) == 2
