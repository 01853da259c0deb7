"""The task's metric at many thresholds at once, from the counts of right answers and of answers by class.

It sorts instead of replaying: a sample has exited by exit k if the most certain of its first k signals reaches the
threshold. One sort of N · (E − 1) running extremes and sums along it give the results of all thresholds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy
from benchmark.policies.replay import first_exit, trace_signals
from benchmark.records import metrics
from benchmark.types import Metric, Trace

OwnMetric = Callable[[np.ndarray, np.ndarray], float]
MAX_METRIC_CALLS = 200  # thresholds at which a user's own metric is called, as it cannot be computed from sums


@dataclass(frozen=True, eq=False)
class ExitOrder:
    """The N · (E − 1) steps of samples sorted by the threshold at which they exit, and the place of K thresholds."""

    order: Tensor  # (N · (E − 1),): steps by ascending certainty
    first: Tensor  # (K,): the first position whose step has exited

    @classmethod
    def of(cls, policy: ThresholdPolicy, trace: Trace, at: Tensor) -> ExitOrder:
        """The steps of a trace under a rule, at thresholds `at` (K,)."""
        signal = trace_signals(policy, trace)[:, :-1].float()  # (N, E − 1)
        # Compared as the rule does: at the threshold that it takes for the given one, in the signal's precision.
        rounded = torch.tensor(
            [policy.at(threshold).threshold for threshold in at.tolist()], dtype=torch.float64
        ).float()
        certainty, wanted = (signal, rounded) if policy.rising else (-signal, -rounded)
        surest, order = certainty.cummax(1).values.flatten().sort()
        # A rising rule stops at >=, a falling one strictly below, so equal values exit only under a rising rule.
        return cls(order, torch.searchsorted(surest, wanted, right=not policy.rising))

    def totals(self, table: Tensor) -> Tensor:
        """Sums over samples (K,) float64 of a table (N, E) of values by exit, at the exits taken."""
        gain = (table[:, :-1] - table[:, 1:]).double().flatten()[self.order].flip(0).cumsum(0).flip(0)
        gain = torch.cat([gain, gain.new_zeros(1)])[self.first]  # of exiting at k instead of k + 1
        return table[:, -1].double().sum() + gain

    def answers_by_class(self, answers: Tensor, num_classes: int) -> Tensor:
        """Number of samples that answer each class (K, C) float64, at the exits taken; answers (N, E)."""
        runs = len(self.first) + 1
        bounds = self.first.sort().values
        place = torch.searchsorted(bounds, torch.arange(len(self.order)), right=True)  # (N · (E − 1),)
        counts = torch.zeros(runs * num_classes, dtype=torch.float64)
        for column, sign in ((answers[:, :-1], 1.0), (answers[:, 1:], -1.0)):
            at = place * num_classes + column.flatten()[self.order]
            counts += sign * torch.bincount(at, minlength=len(counts)).double()
        # Steps from a threshold's position on have exited: run j + 1 holds those between thresholds j and j + 1.
        after = counts.view(runs, num_classes).flip(0).cumsum(0).flip(0)
        ranks = torch.searchsorted(bounds, self.first, right=True)
        full = torch.bincount(answers[:, -1], minlength=num_classes).double()
        return full + after[ranks]


def scores(
    policy: ThresholdPolicy, trace: Trace, metric: Metric, at: Tensor, leaving: ExitOrder | None = None
) -> Tensor:
    """The metric (K,) float64 of a rule on a trace at thresholds `at` (K,)."""
    if callable(metric):
        return torch.tensor(
            [_own_metric_score(policy, trace, metric, value) for value in at.tolist()], dtype=torch.float64
        )
    leaving = ExitOrder.of(policy, trace, at) if leaving is None else leaving
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


def _own_metric_score(policy: ThresholdPolicy, trace: Trace, metric: OwnMetric, at: float) -> float:
    depth = first_exit(policy.at(at).stops(trace_signals(policy, trace)))
    answers = trace.logits[torch.arange(len(depth)), depth - 1].argmax(-1)
    return metrics.score(metric, answers.numpy(), trace.labels.numpy())
