"""Where on its accuracy–cost curve a rule is run: chosen on calibration data, by replaying a trace."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy, trace_depths
from benchmark.policies.calibration.evidence import outcomes
from benchmark.policies.calibration.guarantee import NO_GUARANTEE, Guarantee, guaranteed_threshold, stays_to_the_end
from benchmark.policies.calibration.per_exit import PerExit
from benchmark.policies.calibration.score_curve import CALLED, Leaving, full_score, scores
from benchmark.policies.calibration.threshold_grid import candidates
from benchmark.records import metrics
from benchmark.types import ExitbenchError, Metric, Trace


@dataclass(frozen=True)
class OperatingPoint:
    """A chosen threshold and how it was chosen; accuracies and scores are on the calibration split.

    metric: what `max_drop` is a drop of. Records that do not say it were chosen on accuracy.

    A rule with a threshold for each exit has no one `threshold` (infinity) but `facts` with its `thresholds`.
    """

    threshold: float
    chosen_by: str  # "calibration", "released" or "given"
    max_drop: float | None
    calibration_n: int
    calibration_accuracy: float
    calibration_accuracy_full: float
    metric: str = "accuracy"
    calibration_score: float | None = None
    calibration_score_full: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def section(self) -> dict[str, Any]:
        """As a record holds it; an infinite threshold, which is no threshold, as None."""
        said = {name: value for name, value in asdict(self).items() if name != "facts"}
        return {**said, "threshold": self.threshold if math.isfinite(self.threshold) else None, **self.facts}

    def warnings(self) -> list[str]:
        """What a reader must know of the choice: that no threshold has the guarantee that was wanted."""
        if "guarantee" not in self.facts or math.isfinite(self.threshold):
            return []
        return [
            f"no threshold has policy.guarantee={self.facts['guarantee']:g} at policy.max_drop={self.max_drop:g} on "
            f"{self.calibration_n} calibration samples, so all samples run to the last exit"
        ]


@dataclass(frozen=True, eq=False)
class Curve:
    """What a rule gives on a trace at K thresholds, each column (K,) float64."""

    threshold: Tensor  # nan for a rule with one for each exit
    accuracy: Tensor
    macs: Tensor  # mean over samples
    depth: Tensor  # mean over samples
    score: Tensor  # the task's metric

    def rows(self, at_most: int = 101) -> list[dict[str, Any]]:
        """Plain rows for a record, evenly thinned, from the cheapest to the dearest."""
        order = torch.argsort(self.macs, stable=True)
        keep = order[torch.linspace(0, len(order) - 1, min(at_most, len(order))).round().long()]
        columns = [column[keep].tolist() for column in (self.accuracy, self.macs / 1e9, self.depth)]
        columns.insert(0, [None if math.isnan(value) else value for value in self.threshold[keep].tolist()])
        names = ("threshold", "accuracy", "gmacs_mean", "mean_exit_depth")
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def curve(policy: ThresholdPolicy, trace: Trace, macs: Tensor, at: Tensor, metric: Metric = "accuracy") -> Curve:
    """What replaying a trace at thresholds `at` (K,) gives, exactly; macs (N, E) cumulative."""
    leaving = Leaving.of(policy, trace, at)
    right = (trace.logits.argmax(-1) == trace.labels[:, None]).double()  # (N, E)
    depths = torch.arange(1, right.shape[1] + 1).double().expand_as(right)
    accuracy, cost, depth = (leaving.totals(table) / len(right) for table in (right, macs, depths))
    score = accuracy if metric == "accuracy" else scores(policy, trace, metric, at, leaving)
    return Curve(at, accuracy, cost, depth, score)


def settle(
    policy: ThresholdPolicy,
    model: Any,
    trace: Trace,
    macs: Tensor,
    choose_one: bool,
    max_drop: float,
    metric: Metric = "accuracy",
    guarantee: Guarantee = NO_GUARANTEE,
) -> tuple[ThresholdPolicy, OperatingPoint]:
    """The rule at its operating point, found on a calibration trace: it solves its own thresholds, or has one chosen.

    model: whence a rule with `of_model` takes what the checkpoint carries. macs (N, E) cumulative. metric: what
    `max_drop` is a drop of. guarantee: how surely new data lose no more than `max_drop`.

    Raises:
        NotApplicable: a rule, a metric or a given threshold for which no guarantee holds.
    """
    guarantee.check(policy, metric, choose_one)
    bind: Callable[[Any], ThresholdPolicy] | None = getattr(policy, "of_model", None)
    policy = bind(model) if bind else policy
    fit: Callable[[Trace, Tensor], ThresholdPolicy] | None = getattr(policy, "fit", None)
    if fit:
        policy = fit(trace, macs)
        return policy, _solved(policy, trace, macs, metric)
    if guarantee and not stays_to_the_end(policy):
        point = guaranteed(policy, trace, macs, max_drop, guarantee)
    else:
        point = (choose if choose_one else given)(policy, trace, macs, max_drop, metric)
    return policy.at(point.threshold), point


def _solved(policy: ThresholdPolicy, trace: Trace, macs: Tensor, metric: Metric) -> OperatingPoint:
    chosen = (trace_depths(policy, trace) - 1)[:, None]
    answers = trace.logits.argmax(-1).gather(1, chosen)[:, 0]
    return OperatingPoint(
        threshold=math.inf,
        chosen_by=getattr(policy, "chosen_by", "calibration"),
        max_drop=None,
        **_on_calibration(trace, metric, float((answers == trace.labels).double().mean())),
        calibration_score=metrics.score(metric, answers.numpy(), trace.labels.numpy()),
        facts={"thresholds": policy.written(), **policy.facts(trace, macs)} if isinstance(policy, PerExit) else {},
    )


def family(policy: PerExit, clean: Trace, clean_macs: Tensor, test: Trace, macs: Tensor) -> Curve:
    """What the rule's 59 points, found on the calibration trace `clean`, give on the trace `test`."""
    found = outcomes(policy.evidence(test, macs), policy.family(clean, clean_macs))
    return Curve(torch.full_like(found.macs, math.nan), found.accuracy, found.macs, found.depth, found.accuracy)


def choose(
    policy: ThresholdPolicy, trace: Trace, macs: Tensor, max_drop: float, metric: Metric = "accuracy"
) -> OperatingPoint:
    """The cheapest threshold whose score on the calibration trace is within `max_drop` of the last exit's.

    It lies between the values seen (see `threshold_grid`).

    Raises:
        ExitbenchError: max_drop outside [0, 1].
    """
    _check_drop(max_drop)
    full = full_score(trace, metric)
    at = candidates(policy, trace, CALLED if callable(metric) else 1000)
    found = curve(policy, trace, macs, at, metric)
    # 1e-9: a drop of exactly max_drop is within it, whatever the rounding of the two means.
    allowed = found.score >= full - max_drop - 1e-9
    best = int(torch.where(allowed, found.macs, math.inf).argmin())
    return OperatingPoint(
        threshold=policy.at(float(found.threshold[best])).threshold,
        chosen_by="calibration",
        max_drop=max_drop,
        **_on_calibration(trace, metric, float(found.accuracy[best])),
        calibration_score=float(found.score[best]),
    )


def guaranteed(
    policy: ThresholdPolicy, trace: Trace, macs: Tensor, max_drop: float, guarantee: Guarantee
) -> OperatingPoint:
    """The cheapest threshold with the guarantee that new data lose at most `max_drop` of accuracy.

    Infinite where there is none: then all samples run to the last exit. Raises ExitbenchError as `choose` does.
    """
    _check_drop(max_drop)
    chosen = policy.at(guaranteed_threshold(policy, trace, max_drop, guarantee))
    point = given(chosen, trace, macs, max_drop)
    return replace(point, chosen_by="calibration", facts=guarantee.facts())


def given(
    policy: ThresholdPolicy, trace: Trace, macs: Tensor, max_drop: float, metric: Metric = "accuracy"
) -> OperatingPoint:
    """The policy's own threshold, with what it gives on the calibration split."""
    found = curve(policy, trace, macs, torch.tensor([policy.threshold], dtype=torch.float64), metric)
    return OperatingPoint(
        threshold=policy.threshold,
        chosen_by="given",
        max_drop=max_drop,
        **_on_calibration(trace, metric, float(found.accuracy[0])),
        calibration_score=float(found.score[0]),
    )


def _check_drop(max_drop: object) -> None:
    if isinstance(max_drop, bool) or not isinstance(max_drop, int | float) or not 0 <= max_drop <= 1:
        raise ExitbenchError(f"policy.max_drop: expected a drop of the metric in [0, 1], got {max_drop!r}")


def _on_calibration(trace: Trace, metric: Metric, accuracy: float) -> dict[str, Any]:
    """The fields of an operating point that every way to find one fills alike."""
    return {
        "calibration_n": len(trace.labels),
        "calibration_accuracy": accuracy,
        "calibration_accuracy_full": float((trace.logits[:, -1].argmax(-1) == trace.labels).double().mean()),
        "metric": metrics.metric_name(metric),
        "calibration_score_full": full_score(trace, metric),
    }
