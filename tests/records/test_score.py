"""The tasks' own metrics, against counts by hand and against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.records.metrics import accuracy, score
from benchmark.types import ExitbenchError

# TP 3, FP 1, FN 2, TN 4
ANSWERS = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
LABELS = [1, 1, 1, 0, 1, 1, 0, 0, 0, 0]


def test_values_by_hand():
    assert score("accuracy", ANSWERS, LABELS) == 0.7
    assert score("f1", ANSWERS, LABELS) == pytest.approx(6 / 9)
    assert score("matthews", ANSWERS, LABELS) == pytest.approx((3 * 4 - 1 * 2) / np.sqrt(4 * 5 * 5 * 6))
    # Three classes: right 3 of 6, answered (2, 3, 1), labels (2, 2, 2).
    assert score("matthews", [0, 0, 1, 1, 1, 2], [0, 1, 1, 2, 0, 2]) == pytest.approx(
        (3 * 6 - (2 * 2 + 3 * 2 + 1 * 2)) / np.sqrt((36 - 14) * (36 - 12))
    )


@pytest.mark.parametrize("seed", range(20))
def test_two_classes_agree_with_the_definitions(seed):
    draw = np.random.default_rng(seed)
    answers, labels = draw.integers(0, 2, 30), draw.integers(0, 2, 30)
    correlation = np.corrcoef(answers, labels)[0, 1]
    assert score("matthews", answers, labels) == pytest.approx(correlation)
    precision, recall = (answers & labels).sum() / answers.sum(), (answers & labels).sum() / labels.sum()
    assert score("f1", answers, labels) == pytest.approx(2 * precision * recall / (precision + recall))
    assert score("accuracy", answers, labels) == accuracy(answers, labels)["value"]
    assert score("matthews", labels, labels) == score("f1", labels, labels) == 1
    assert score("matthews", 1 - labels, labels) == pytest.approx(-1)


def test_one_answer_for_all_scores_nothing():
    assert score("matthews", [1, 1, 1], [0, 1, 1]) == 0
    assert score("f1", [0, 0, 0], [0, 1, 1]) == score("f1", [0, 0], [0, 0]) == 0


def test_unknown_metrics_and_f1_of_three_classes_are_one_line():
    with pytest.raises(ExitbenchError, match=r"dataset.metric: expected one of .* or a function .* got 'auc'"):
        score("auc", [0], [0])
    with pytest.raises(ExitbenchError, match="expected two classes for f1"):
        score("f1", [0, 1], [2, 1])
