"""The task's metric at many thresholds at once: every metric here follows from right answers and answers by class.

By sorting instead of replaying: a sample has left by exit k where the surest of its first k signals reaches the
threshold. One sort of N · (E − 1) running extremes, and sums along it, answer for all thresholds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy, first_exit, trace_signals
from benchmark.records import metrics
from benchmark.types import Metric, Trace

OwnMetric = Callable[[np.ndarray, np.ndarray], float]
CALLED = 200  # thresholds at which a metric of the user's own is called, as no sums stand for it


@dataclass(frozen=True, eq=False)
class Leaving:
    """When samples leave: their N · (E − 1) steps in order of the threshold that holds them, and K thresholds in it."""

    order: Tensor  # (N · (E − 1),): steps from the least sure to the surest
    first: Tensor  # (K,): the position from which on the steps have left

    @classmethod
    def of(cls, policy: ThresholdPolicy, trace: Trace, at: Tensor) -> Leaving:
        """The steps of a trace under a rule, at thresholds `at` (K,)."""
        signal = trace_signals(policy, trace)[:, :-1].float()  # (N, E − 1)
        # As the rule itself would compare: at its own threshold for the one asked, in the signal's precision.
        asked = torch.tensor([policy.at(threshold).threshold for threshold in at.tolist()], dtype=torch.float64).float()
        sure, wanted = (signal, asked) if policy.rising else (-signal, -asked)
        surest, order = sure.cummax(1).values.flatten().sort()
        # Rising stops at >= and falling strictly below, so equals count as there only for a rising rule.
        return cls(order, torch.searchsorted(surest, wanted, right=not policy.rising))

    def totals(self, table: Tensor) -> Tensor:
        """Sums over samples (K,) float64 of a table (N, E) of values by exit, at the exits taken."""
        gain = (table[:, :-1] - table[:, 1:]).double().flatten()[self.order].flip(0).cumsum(0).flip(0)
        gain = torch.cat([gain, gain.new_zeros(1)])[self.first]  # of leaving at k, not at k + 1
        return table[:, -1].double().sum() + gain

    def answers_by_class(self, answers: Tensor, num_classes: int) -> Tensor:
        """How many samples answer each class (K, C) float64, at the exits taken; answers (N, E)."""
        runs = len(self.first) + 1
        bounds = self.first.sort().values
        place = torch.searchsorted(bounds, torch.arange(len(self.order)), right=True)  # (N · (E − 1),)
        counts = torch.zeros(runs * num_classes, dtype=torch.float64)
        for column, sign in ((answers[:, :-1], 1.0), (answers[:, 1:], -1.0)):
            at = place * num_classes + column.flatten()[self.order]
            counts += sign * torch.bincount(at, minlength=len(counts)).double()
        # Steps at or after a threshold's position have left: run j + 1 holds what lies between thresholds j and j + 1.
        after = counts.view(runs, num_classes).flip(0).cumsum(0).flip(0)
        ranks = torch.searchsorted(bounds, self.first, right=True)
        full = torch.bincount(answers[:, -1], minlength=num_classes).double()
        return full + after[ranks]


def scores(policy: ThresholdPolicy, trace: Trace, metric: Metric, at: Tensor, leaving: Leaving | None = None) -> Tensor:
    """The metric (K,) float64 of a rule on a trace at thresholds `at` (K,)."""
    if callable(metric):
        return torch.tensor([_called(policy, trace, metric, value) for value in at.tolist()], dtype=torch.float64)
    leaving = Leaving.of(policy, trace, at) if leaving is None else leaving
    answers = trace.logits.argmax(-1)  # (N, E)
    right = leaving.totals((answers == trace.labels[:, None]).double())
    if metric == "accuracy":
        return right / len(answers)
    classes = trace.logits.shape[-1]
    answered = leaving.answers_by_class(answers, classes)
    true = torch.bincount(trace.labels, minlength=classes).double()
    return torch.from_numpy(metrics.score_of_counts(metric, right.numpy(), answered.numpy(), true.numpy()))


def full_score(trace: Trace, metric: Metric) -> float:
    """The metric of the last exit."""
    return metrics.score(metric, trace.logits[:, -1].argmax(-1).numpy(), trace.labels.numpy())


def _called(policy: ThresholdPolicy, trace: Trace, metric: OwnMetric, at: float) -> float:
    depth = first_exit(policy.at(at).stops(trace_signals(policy, trace)))
    answers = trace.logits[torch.arange(len(depth)), depth - 1].argmax(-1)
    return metrics.score(metric, answers.numpy(), trace.labels.numpy())
