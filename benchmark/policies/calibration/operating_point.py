"""Where on its accuracy–cost curve a rule is run: chosen on calibration data, by replaying a trace."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy, trace_depths, trace_signals
from benchmark.policies.calibration.evidence import outcomes
from benchmark.policies.calibration.per_exit import PerExit
from benchmark.types import ExitbenchError, Trace


@dataclass(frozen=True)
class OperatingPoint:
    """A chosen threshold and how it was chosen; accuracies are on the calibration split.

    A rule with a threshold for each exit has no one `threshold` (infinity) but `facts` with its `thresholds`.
    """

    threshold: float
    chosen_by: str  # "calibration", "released" or "given"
    max_drop: float | None
    calibration_n: int
    calibration_accuracy: float
    calibration_accuracy_full: float
    facts: dict[str, Any] = field(default_factory=dict)

    def section(self) -> dict[str, Any]:
        """As a record holds it; an infinite threshold, which is no threshold, as None."""
        said = {name: value for name, value in asdict(self).items() if name != "facts"}
        return {**said, "threshold": self.threshold if math.isfinite(self.threshold) else None, **self.facts}


@dataclass(frozen=True, eq=False)
class Curve:
    """What a rule gives on a trace at K thresholds, each column (K,) float64."""

    threshold: Tensor  # nan for a rule with one for each exit
    accuracy: Tensor
    macs: Tensor  # mean over samples
    depth: Tensor  # mean over samples

    def rows(self, at_most: int = 101) -> list[dict[str, Any]]:
        """Plain rows for a record, evenly thinned, from the cheapest to the dearest."""
        order = torch.argsort(self.macs, stable=True)
        keep = order[torch.linspace(0, len(order) - 1, min(at_most, len(order))).round().long()]
        columns = [column[keep].tolist() for column in (self.accuracy, self.macs / 1e9, self.depth)]
        columns.insert(0, [None if math.isnan(value) else value for value in self.threshold[keep].tolist()])
        names = ("threshold", "accuracy", "gmacs_mean", "mean_exit_depth")
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def thresholds(signal: Tensor, rising: bool, at_most: int = 1000) -> Tensor:
    """Thresholds (K,) that part the signals (N, E) seen, from none stopping early to all: their quantiles and one end.

    Each is one of the values seen, so that between two of them nothing changes (up to the thinning to `at_most`).
    """
    # In the signals' own precision: a rule compares there, and a finer threshold would be rounded onto a signal.
    seen = torch.unique(signal[:, :-1].float())
    seen = seen[seen.isfinite()]  # an infinite signal is on its side of every threshold
    if not len(seen):
        return torch.zeros(1, dtype=torch.float64)
    if len(seen) > at_most:
        seen = seen[torch.linspace(0, len(seen) - 1, at_most).round().long()]
    away = torch.tensor(math.inf if rising else -math.inf)
    beyond = torch.nextafter(seen[-1] if rising else seen[0], away)
    if not rising:  # a falling rule stops strictly below: the value just above each seen one
        seen = torch.cat([seen[:1], torch.nextafter(seen, -away)])
    return torch.cat([seen, beyond[None]]).unique().double()


def curve(policy: ThresholdPolicy, trace: Trace, macs: Tensor, at: Tensor) -> Curve:
    """What replaying a trace at thresholds `at` (K,) gives, exactly; macs (N, E) cumulative.

    By sorting instead of replaying: a sample has left by exit k where the surest of its first k signals reaches the
    threshold. So one sort of N · (E − 1) running extremes, and sums along it, answer for every threshold at once.
    """
    signal = trace_signals(policy, trace)[:, :-1].float()  # (N, E − 1)
    # As the rule itself would compare: at its own threshold for the one asked, in the signal's precision.
    asked = torch.tensor([policy.at(threshold).threshold for threshold in at.tolist()], dtype=torch.float64).float()
    sure, wanted = (signal, asked) if policy.rising else (-signal, -asked)
    surest, order = sure.cummax(1).values.flatten().sort()  # (N · (E − 1),)
    # Rising stops at >= and falling strictly below, so equals count as there only for a rising rule.
    first = torch.searchsorted(surest, wanted, right=not policy.rising)  # (K,): from here on they have left
    right = (trace.logits.argmax(-1) == trace.labels[:, None]).double()  # (N, E)
    sooner = torch.ones_like(right[:, 1:])
    columns = []
    for table, steps in ((right, right[:, :-1] - right[:, 1:]), (macs, macs[:, :-1] - macs[:, 1:]), (None, -sooner)):
        gain = steps.double().flatten()[order].flip(0).cumsum(0).flip(0)  # of leaving at k, not at k + 1
        gain = torch.cat([gain, gain.new_zeros(1)])[first]  # (K,)
        full = float(len(right) * right.shape[1] if table is None else table[:, -1].double().sum())
        columns.append((full + gain) / len(right))
    return Curve(at, *columns)


def settle(
    policy: ThresholdPolicy, model: Any, trace: Trace, macs: Tensor, choose_one: bool, max_drop: float
) -> tuple[ThresholdPolicy, OperatingPoint]:
    """The rule at its operating point, found on a calibration trace: it solves its own thresholds, or has one chosen.

    model: whence a rule with `of_model` takes what the checkpoint carries. macs (N, E) cumulative.
    """
    bind: Callable[[Any], ThresholdPolicy] | None = getattr(policy, "of_model", None)
    policy = bind(model) if bind else policy
    fit: Callable[[Trace, Tensor], ThresholdPolicy] | None = getattr(policy, "fit", None)
    if fit:
        policy = fit(trace, macs)
        return policy, _solved(policy, trace, macs)
    point = (choose if choose_one else given)(policy, trace, macs, max_drop)
    return policy.at(point.threshold), point


def _solved(policy: ThresholdPolicy, trace: Trace, macs: Tensor) -> OperatingPoint:
    chosen = (trace_depths(policy, trace) - 1)[:, None]
    right = trace.logits.argmax(-1).gather(1, chosen)[:, 0] == trace.labels
    facts = {"thresholds": policy.written(), **policy.facts(trace, macs)} if isinstance(policy, PerExit) else {}
    chosen_by = getattr(policy, "chosen_by", "calibration")
    return OperatingPoint(
        math.inf, chosen_by, None, len(trace.labels), float(right.double().mean()), _full_accuracy(trace), facts
    )


def family(policy: PerExit, clean: Trace, clean_macs: Tensor, test: Trace, macs: Tensor) -> Curve:
    """What the rule's 59 points, found on the calibration trace `clean`, give on the trace `test`."""
    found = outcomes(policy.evidence(test, macs), policy.family(clean, clean_macs))
    return Curve(torch.full_like(found.macs, math.nan), found.accuracy, found.macs, found.depth)


def choose(policy: ThresholdPolicy, trace: Trace, macs: Tensor, max_drop: float) -> OperatingPoint:
    """The cheapest threshold whose calibration accuracy is within `max_drop` of the last exit's.

    Raises:
        ExitbenchError: max_drop outside [0, 1].
    """
    if isinstance(max_drop, bool) or not isinstance(max_drop, int | float) or not 0 <= max_drop <= 1:
        raise ExitbenchError(f"policy.max_drop: expected a drop of accuracy in [0, 1], got {max_drop!r}")
    full = _full_accuracy(trace)
    found = curve(policy, trace, macs, thresholds(trace_signals(policy, trace), policy.rising))
    # 1e-9: a drop of exactly max_drop is within it, whatever the rounding of the two means.
    allowed = found.accuracy >= full - max_drop - 1e-9
    best = int(torch.where(allowed, found.macs, math.inf).argmin())
    return OperatingPoint(
        policy.at(float(found.threshold[best])).threshold,
        "calibration",
        max_drop,
        len(trace.labels),
        float(found.accuracy[best]),
        full,
    )


def given(policy: ThresholdPolicy, trace: Trace, macs: Tensor, max_drop: float) -> OperatingPoint:
    """The policy's own threshold, with what it gives on the calibration split."""
    found = curve(policy, trace, macs, torch.tensor([policy.threshold], dtype=torch.float64))
    accuracy = float(found.accuracy[0])
    return OperatingPoint(policy.threshold, "given", max_drop, len(trace.labels), accuracy, _full_accuracy(trace))


def _full_accuracy(trace: Trace) -> float:
    return float((trace.logits[:, -1].argmax(-1) == trace.labels).double().mean())
