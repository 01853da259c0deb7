"""The operating point of a rule on its accuracy–cost curve, chosen on calibration data by replaying a trace."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy
from benchmark.policies.calibration.evidence import outcomes
from benchmark.policies.calibration.guarantee import NO_GUARANTEE, Guarantee, guaranteed_threshold, never_exits
from benchmark.policies.calibration.per_exit import PerExit
from benchmark.policies.calibration.score_curve import MAX_METRIC_CALLS, ExitOrder, full_score, scores
from benchmark.policies.calibration.threshold_grid import candidates
from benchmark.policies.replay import trace_depths
from benchmark.records import metrics
from benchmark.records.schema import Section
from benchmark.types import ExitbenchError, Metric, Trace


@dataclass(frozen=True)
class OperatingPoint:
    """A chosen threshold and how it was chosen; accuracies and scores are on the calibration split.

    metric: that `max_drop` refers to; accuracy for records without it.

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
    facts: Section = field(default_factory=dict)

    def section(self) -> Section:
        """As a record holds it; an infinite threshold becomes None."""
        fields = {name: value for name, value in asdict(self).items() if name != "facts"}
        return {**fields, "threshold": self.threshold if math.isfinite(self.threshold) else None, **self.facts}

    def warnings(self) -> list[str]:
        """A warning if no threshold has the requested guarantee."""
        if "guarantee" not in self.facts or math.isfinite(self.threshold):
            return []
        return [
            f"no threshold has policy.guarantee={self.facts['guarantee']:g} at policy.max_drop={self.max_drop:g} on "
            f"{self.calibration_n} calibration samples, so all samples run to the last exit"
        ]


@dataclass(frozen=True, eq=False)
class Curve:
    """Results of a rule on a trace at K thresholds, columns (K,) float64."""

    threshold: Tensor  # nan for a rule with one per exit
    accuracy: Tensor
    macs: Tensor  # mean over samples
    depth: Tensor  # mean over samples
    score: Tensor  # the task's metric

    def rows(self, at_most: int = 101) -> list[Section]:
        """Plain rows for a record, evenly subsampled, by ascending cost."""
        order = torch.argsort(self.macs, stable=True)
        keep = order[torch.linspace(0, len(order) - 1, min(at_most, len(order))).round().long()]
        columns = [column[keep].tolist() for column in (self.accuracy, self.macs / 1e9, self.depth)]
        columns.insert(0, [None if math.isnan(value) else value for value in self.threshold[keep].tolist()])
        names = ("threshold", "accuracy", "gmacs_mean", "mean_exit_depth")
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def curve(policy: ThresholdPolicy, trace: Trace, macs: Tensor, at: Tensor, metric: Metric = "accuracy") -> Curve:
    """Exact results of replaying a trace at thresholds `at` (K,); macs (N, E) cumulative."""
    leaving = ExitOrder.of(policy, trace, at)
    right = (trace.logits.argmax(-1) == trace.labels[:, None]).double()  # (N, E)
    depths = torch.arange(1, right.shape[1] + 1).double().expand_as(right)
    accuracy, cost, depth = (leaving.totals(table) / len(right) for table in (right, macs, depths))
    score = accuracy if metric == "accuracy" else scores(policy, trace, metric, at, leaving)
    return Curve(at, accuracy, cost, depth, score)


def find_operating_point(
    policy: ThresholdPolicy,
    model: object,
    trace: Trace,
    macs: Tensor,
    choose_one: bool,
    max_drop: float,
    metric: Metric = "accuracy",
    guarantee: Guarantee = NO_GUARANTEE,
) -> tuple[ThresholdPolicy, OperatingPoint]:
    """The rule at its operating point on a calibration trace: solved by the rule itself, chosen, or given.

    model: the source of thresholds for a rule with `of_model`. macs (N, E) cumulative. metric: that `max_drop` refers
    to. guarantee: the probability that new data lose at most `max_drop`.

    Raises:
        NotApplicable: no guarantee holds for this rule, metric or given threshold.
    """
    guarantee.check(policy, metric, choose_one)
    bind: Callable[[object], ThresholdPolicy] | None = getattr(policy, "of_model", None)
    policy = bind(model) if bind else policy
    fit: Callable[[Trace, Tensor], ThresholdPolicy] | None = getattr(policy, "fit", None)
    if fit:
        policy = fit(trace, macs)
        return policy, _solved(policy, trace, macs, metric)
    if guarantee and not never_exits(policy):
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


def protocol_curve(policy: PerExit, clean: Trace, clean_macs: Tensor, test: Trace, macs: Tensor) -> Curve:
    """Results on the trace `test` of the rule's 59 points, found on the calibration trace `clean`."""
    found = outcomes(policy.evidence(test, macs), policy.protocol_thresholds(clean, clean_macs))
    return Curve(torch.full_like(found.macs, math.nan), found.accuracy, found.macs, found.depth, found.accuracy)


def choose(
    policy: ThresholdPolicy, trace: Trace, macs: Tensor, max_drop: float, metric: Metric = "accuracy"
) -> OperatingPoint:
    """The cheapest threshold whose score on the calibration trace is within `max_drop` of the last exit's.

    It lies between values of the trace (see `threshold_grid`).

    Raises:
        ExitbenchError: max_drop outside [0, 1].
    """
    _check_drop(max_drop)
    full = full_score(trace, metric)
    at = candidates(policy, trace, MAX_METRIC_CALLS if callable(metric) else 1000)
    found = curve(policy, trace, macs, at, metric)
    # 1e-9: rounding of the two means must not exclude a drop of exactly max_drop.
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

    Infinite if there is none: then all samples run to the last exit. Raises ExitbenchError as `choose` does.
    """
    _check_drop(max_drop)
    chosen = policy.at(guaranteed_threshold(policy, trace, max_drop, guarantee))
    point = given(chosen, trace, macs, max_drop)
    return replace(point, chosen_by="calibration", facts=guarantee.facts())


def given(
    policy: ThresholdPolicy, trace: Trace, macs: Tensor, max_drop: float, metric: Metric = "accuracy"
) -> OperatingPoint:
    """The policy's own threshold and its results on the calibration split."""
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


def _on_calibration(trace: Trace, metric: Metric, accuracy: float) -> Section:
    """Fields that all operating points have in common."""
    return {
        "calibration_n": len(trace.labels),
        "calibration_accuracy": accuracy,
        "calibration_accuracy_full": float((trace.logits[:, -1].argmax(-1) == trace.labels).double().mean()),
        "metric": metrics.metric_name(metric),
        "calibration_score_full": full_score(trace, metric),
    }
