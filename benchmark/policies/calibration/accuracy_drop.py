"""Savings at an allowed drop in score, and the area under a rule's score–cost curve.

Thresholds come from the calibration trace, scores from the test trace. The drop on test data can therefore be larger
than allowed; the record holds both.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy
from benchmark.policies.calibration import operating_point
from benchmark.policies.calibration.threshold_grid import candidates
from benchmark.policies.replay import first_exit, trace_depths, trace_signals
from benchmark.records import metrics
from benchmark.records.schema import Section
from benchmark.types import Metric, Trace

DROPS = (0.0, 0.01, 0.02)
POINTS = 200  # thresholds of the area


def section(
    policy: ThresholdPolicy, clean: Trace, clean_macs: Tensor, test: Trace, macs: Tensor, metric: Metric
) -> Section:
    """The record's results over a rule's range: at_drop, area, and whether the rule is only a bound.

    clean: the calibration trace; macs (N, E) cumulative, of either trace. at_drop is empty for a rule without a
    threshold to choose. area is None for a rule that solves its own thresholds.
    """
    solves = hasattr(policy, "fit")
    return {
        "at_drop": [at_drop(policy, clean, clean_macs, test, macs, metric, drop) for drop in DROPS]
        if policy.tunable and not solves
        else [],
        "area": None if solves else area(policy, clean, test, macs, metric),
        "bound": policy.reads == "hindsight",
    }


def at_drop(
    policy: ThresholdPolicy,
    clean: Trace,
    clean_macs: Tensor,
    test: Trace,
    macs: Tensor,
    metric: Metric,
    max_drop: float,
) -> dict[str, float]:
    """The cheapest threshold within `max_drop` of full depth's score on calibration data, and what it gives on test."""
    point = operating_point.choose(policy, clean, clean_macs, max_drop, metric)
    depth = trace_depths(policy.at(point.threshold), test)
    spent, full = macs.gather(1, (depth - 1)[:, None])[:, 0], macs[:, -1]
    return {
        "max_drop": max_drop,
        "threshold": point.section()["threshold"],
        "score": _score(test, depth, metric),
        "mac_speedup": metrics.mac_speedup(spent.numpy(), full.numpy()),
        "mean_exit_depth": metrics.mean_exit_depth(depth.numpy()),
    }


def area(policy: ThresholdPolicy, clean: Trace, test: Trace, macs: Tensor, metric: Metric) -> float | None:
    """`metrics.score_area` of the rule on the test trace, at thresholds that separate the calibration trace.

    For an oracle a larger budget never lowers the score, so its best score holds up to full cost.
    """
    signal = trace_signals(policy, test)  # (N, E)
    mean_macs, scores = [], []
    for threshold in candidates(policy, clean, POINTS).tolist():
        depth = first_exit(policy.at(threshold).stops(signal))
        mean_macs.append(float(macs.gather(1, (depth - 1)[:, None]).mean()))
        scores.append(_score(test, depth, metric))
    ends = [_score(test, torch.full_like(test.labels, depth), metric) for depth in (1, test.logits.shape[1])]
    if policy.reads == "hindsight":
        ends[1] = max(*ends, *scores)
    return metrics.score_area(mean_macs, scores, [float(macs[:, 0].mean()), float(macs[:, -1].mean())], ends)


def _score(trace: Trace, depth: Tensor, metric: Metric) -> float:
    answers = trace.logits[torch.arange(len(depth)), depth - 1].argmax(-1)
    return metrics.score(metric, answers.numpy(), trace.labels.numpy())
