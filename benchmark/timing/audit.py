"""Audit of a timed live run against the replayed trace: predictions and exits must be equal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy
from benchmark.policies.replay import replay, signals
from benchmark.types import Latency

TIE = 1e-4  # batched and single logits differ by about 2e-5; closer than this, both decisions are right


@dataclass(frozen=True)
class Audit:
    """How many live samples were compared, how many differed, and how many differences were ties.

    With several processes, differences and ties are summed over them; n stays the number of distinct samples.
    """

    n: int
    exits_differ: int
    predictions_differ: int
    ties: int  # differences excused: a signal within the tolerance of its threshold, or two classes of each other
    processes: int = 1

    @property
    def passed(self) -> bool:
        """Whether all differences are ties."""
        return self.exits_differ == 0 and self.predictions_differ == 0

    def section(self) -> dict[str, object]:
        """The `audit` section of a record."""
        return {
            "n": self.n,
            "exits_equal": self.exits_differ == 0,
            "predictions_equal": self.predictions_differ == 0,
            "ties": self.ties,
            "processes": self.processes,
        }


def audit(
    policy: ThresholdPolicy,
    logits: Tensor,
    live_depths: list[int],
    live_predictions: list[int],
    extra: Tensor | None = None,
    tie: float = TIE,
) -> Audit:
    """Compare a live run of the first n samples with the replay of their traced logits (n, E, C) and extra columns.

    tie: a difference is excused if the sample is this close to the threshold, or to another class.
    """
    depth = replay(policy, logits, extra)
    rows = torch.arange(len(logits))
    prediction = logits[rows, depth - 1].argmax(-1)
    live_depth, live_prediction = torch.tensor(live_depths), torch.tensor(live_predictions)
    other_exit, other_prediction = live_depth != depth, live_prediction != prediction
    reached = torch.minimum(depth, live_depth)
    tied = _at_threshold(policy, logits, extra, reached, tie) | _between_classes(logits, depth, tie)
    excused = (other_exit | other_prediction) & tied
    exits_differ, predictions_differ = int((other_exit & ~tied).sum()), int((other_prediction & ~tied).sum())
    return Audit(len(logits), exits_differ, predictions_differ, int(excused.sum()))


def audit_processes(
    policy: ThresholdPolicy, logits: Tensor, latency: Latency, extra: Tensor | None = None, tie: float = TIE
) -> Audit:
    """`audit` of every process that was timed."""
    depths = latency.exit_depths_by_process or [latency.exit_depths]
    predictions = latency.predictions_by_process or [latency.predictions]
    audits = [audit(policy, logits, *live, extra, tie) for live in zip(depths, predictions, strict=True)]
    return Audit(
        len(logits),
        sum(part.exits_differ for part in audits),
        sum(part.predictions_differ for part in audits),
        sum(part.ties for part in audits),
        len(audits),
    )


def _at_threshold(policy: ThresholdPolicy, logits: Tensor, extra: Tensor | None, depth: Tensor, tie: float) -> Tensor:
    """Whether the signal of some exit up to `depth` (n,) lies within `tie` of the threshold -> (n,)."""
    near = (signals(policy, logits, extra).double() - policy.threshold).abs() <= tie  # (n, E)
    reached = torch.arange(1, logits.shape[1] + 1) <= depth[:, None]
    return (near & reached).any(1)


def _between_classes(logits: Tensor, depth: Tensor, tie: float) -> Tensor:
    """Whether the two best classes of some exit up to `depth` (n,) lie within `tie` of each other -> (n,)."""
    best = logits.topk(2, -1).values  # (n, E, 2)
    reached = torch.arange(1, logits.shape[1] + 1) <= depth[:, None]
    return ((best[..., 0] - best[..., 1] <= tie) & reached).any(1)
