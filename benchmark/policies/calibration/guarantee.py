"""Thresholds with a guarantee: the cheapest at which the loss of accuracy on new data is bounded (risk control).

A threshold chosen by its mean loss on calibration data loses more on new data about half of the time. Here thresholds
are tested from the safest to the cheapest, and the last before the first failure is taken. With probability
`Guarantee.probability` over the draw of the calibration data, the accuracy that early exit loses on new data of the
same distribution is then at most `max_drop`. Sources: Learn then Test (Angelopoulos et al., 2021); CALM (Schuster et
al., 2022); Fast yet Safe (Jazbec et al., 2024).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy
from benchmark.policies.calibration.risk_bounds import Bound, LossSequence, betting, conformal, hoeffding_bentkus
from benchmark.policies.calibration.threshold_grid import candidates
from benchmark.policies.replay import trace_signals
from benchmark.types import ExitbenchError, Metric, NotApplicable, Trace
from benchmark.utils import checks

# Each bound with the loss that it is valid for (see `exit_losses`).
BOUNDS: dict[str, tuple[Bound, str]] = {
    "hb": (hoeffding_bentkus, "lost"),
    "wsr": (betting, "signed"),
    "crc": (conformal, "lost_since"),
}


@dataclass(frozen=True)
class Guarantee:
    """The guarantee of a chosen threshold; none at probability 0.

    probability: that the guarantee holds, over the draw of the calibration data. bound: "hb", "wsr", or "crc", which
    guarantees the mean over such draws instead and does not use the probability.
    """

    probability: float = 0.0
    bound: str = "wsr"

    def __post_init__(self) -> None:
        value = self.probability
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise ExitbenchError(
                f"policy.guarantee: expected a probability such as 0.95, below 1, or 0 for no guarantee, got {value!r}"
            )
        checks.choice("policy.bound", self.bound, BOUNDS)

    @classmethod
    def from_config(cls, node: Mapping[str, Any]) -> Guarantee:
        """The guarantee of a `conf/policy` node; none if it has no such keys."""
        return cls(node.get("guarantee") or 0.0, node.get("bound", "wsr"))

    def __bool__(self) -> bool:
        return self.probability > 0

    def facts(self) -> dict[str, float | str]:
        """The guarantee as the operating point of a record holds it, beside `max_drop` and the sample size."""
        return {
            "guarantee": self.probability,
            "bound": self.bound,
            "guarantee_holds": "in the mean" if self.bound == "crc" else "with probability",
        }

    def check(self, policy: ThresholdPolicy, metric: Metric, chosen: bool) -> None:
        """Raise NotApplicable for a rule, metric or threshold without a valid guarantee."""
        if not self or never_exits(policy):
            return
        if not policy.tunable or hasattr(policy, "fit"):
            raise NotApplicable(
                "policy.guarantee: expected a rule of one threshold, such as confidence or entropy, "
                f"got {policy.name}; set policy.guarantee=0"
            )
        if not chosen:
            raise NotApplicable(
                f"policy.guarantee: expected policy.threshold=auto, got {policy.threshold}, a threshold that was not "
                "chosen on calibration data; set policy.guarantee=0"
            )
        if metric != "accuracy":
            raise NotApplicable(
                f"policy.guarantee: expected dataset.metric=accuracy, as the bounds hold for means over samples, got "
                f"{getattr(metric, '__name__', metric)}; set policy.guarantee=0, or dataset.metric=accuracy"
            )


NO_GUARANTEE = Guarantee()


def never_exits(policy: ThresholdPolicy) -> bool:
    """Whether the rule is `never`, which loses nothing and needs no guarantee."""
    return not policy.tunable and policy.threshold == math.inf


def exit_losses(right: Tensor) -> dict[str, Tensor]:
    """Loss of answering at each exit instead of the last: right (N, E) bool -> tables (N, E) int8, 0 at the last exit.

    signed: 1 where only the last exit is right, −1 where only this one is; its mean is the loss of accuracy.
    lost: its positive part, 0 or 1, whose mean is never below the loss of accuracy.
    lost_since: the maximum of `lost` at this and all later exits, which never falls as samples exit earlier.
    """
    signed = right[:, -1:].to(torch.int8) - right.to(torch.int8)
    lost = signed.clamp(min=0)
    return {"signed": signed, "lost": lost, "lost_since": lost.flip(1).cummax(1).values.flip(1)}


def safe_confidence(confidence: Tensor, losses: Tensor, bound: Bound, max_drop: float, error: float) -> float:
    """The confidence above which samples may exit: infinity if none may, minus infinity if all may.

    confidence (N, E − 1): of each exit, larger is more confident. losses (N, E): of the kind that the bound takes.
    """
    value, sequence = loss_sequence(confidence, losses)
    passed = bound(sequence, max_drop, error)
    if passed == sequence.num_thresholds:
        return -math.inf
    return float(value[passed])


def loss_sequence(confidence: Tensor, losses: Tensor) -> tuple[Tensor, LossSequence]:
    """The losses as a threshold falls through all confidences, and the descending values (K,) at which they change.

    The first value is infinity: no sample exits and there is no loss, but the test can fail if samples are too few.
    """
    highest = confidence.cummax(1).values  # a sample has exited by exit k if this reaches the threshold
    change = losses[:, :-1] - losses[:, 1:]  # of exiting at k instead of k + 1
    moving = (change != 0) & (highest > -math.inf)
    sample, exit_ = moving.nonzero(as_tuple=True)
    value, order = highest[sample, exit_].sort(descending=True)
    values, step = torch.unique_consecutive(value, return_inverse=True)
    start = torch.full((1,), math.inf, dtype=value.dtype)
    return torch.cat([start, values]), LossSequence(
        len(losses), len(values) + 1, step + 1, sample[order], change[sample, exit_][order]
    )


def guaranteed_threshold(policy: ThresholdPolicy, trace: Trace, max_drop: float, guarantee: Guarantee) -> float:
    """The cheapest threshold with the guarantee on a calibration trace; it lies between the trace's values.

    Infinite, so that no sample exits early, if even a threshold without a single loss fails the test.
    """
    bound, kind = BOUNDS[guarantee.bound]
    sign = 1 if policy.rising else -1
    confidence = sign * trace_signals(policy, trace)[:, :-1].float()
    losses = exit_losses(trace.logits.argmax(-1) == trace.labels[:, None])[kind]
    limit = safe_confidence(confidence, losses, bound, max_drop, 1 - guarantee.probability)
    if limit == math.inf:
        return sign * math.inf
    at = sign * candidates(policy, trace, confidence.numel() + 2)
    return sign * float(at[at > limit].min())
