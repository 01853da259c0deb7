"""The static rival of early exit: the first exit that alone scores at least as well on the calibration split."""

from __future__ import annotations

from benchmark.policies.base import ThresholdPolicy
from benchmark.policies.replay import trace_depths
from benchmark.records import metrics
from benchmark.types import Metric, Trace

ROUNDING = 1e-9  # of the means of two scores


def exit_scores(trace: Trace, metric: Metric) -> list[float]:
    """The score of every exit alone (E,), each answering for all samples."""
    answers = trace.logits.argmax(-1).numpy()  # (N, E)
    return [metrics.score(metric, column, trace.labels.numpy()) for column in answers.T]


def early_score(policy: ThresholdPolicy, trace: Trace, metric: Metric) -> float:
    """The score of the exits that a rule takes."""
    chosen = (trace_depths(policy, trace) - 1)[:, None]
    return metrics.score(metric, trace.logits.argmax(-1).gather(1, chosen)[:, 0].numpy(), trace.labels.numpy())


def static_exit(policy: ThresholdPolicy, trace: Trace, metric: Metric) -> int | None:
    """The first exit, 1 … E, whose score on a calibration trace is at least that of the rule; None if there is none.

    It is also the cheapest, as costs grow with depth.
    """
    wanted = early_score(policy, trace, metric)
    return next((depth for depth, one in enumerate(exit_scores(trace, metric), 1) if one >= wanted - ROUNDING), None)
