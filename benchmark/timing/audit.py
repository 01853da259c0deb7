"""The live run held against the replay: same answers, same exits, or the record is not to be believed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy, replay, signals

TIE = 1e-4  # batched and single logits differ by about 2e-5; closer than this, either side is right


@dataclass(frozen=True)
class Audit:
    """How many live samples were compared, how many differed, and how many of those lay at a tie."""

    n: int
    exits_differ: int
    predictions_differ: int
    ties: int  # samples excused: the signal within the tolerance of the threshold, or two classes of each other

    @property
    def passed(self) -> bool:
        """Whether every difference is a tie."""
        return self.exits_differ == 0 and self.predictions_differ == 0

    def section(self) -> dict[str, object]:
        """As a record holds it."""
        return {
            "n": self.n,
            "exits_equal": self.exits_differ == 0,
            "predictions_equal": self.predictions_differ == 0,
            "ties": self.ties,
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

    tie: how near to the threshold, or to another class, a sample must lie for a difference to be excused.
    """
    depth = replay(policy, logits, extra)
    rows = torch.arange(len(logits))
    prediction = logits[rows, depth - 1].argmax(-1)
    lived_depth, lived_prediction = torch.tensor(live_depths), torch.tensor(live_predictions)
    other_exit, other_answer = lived_depth != depth, lived_prediction != prediction
    reached = torch.minimum(depth, lived_depth)
    tied = _at_threshold(policy, logits, extra, reached, tie) | _between_classes(logits, depth, tie)
    excused = (other_exit | other_answer) & tied
    return Audit(len(logits), int((other_exit & ~tied).sum()), int((other_answer & ~tied).sum()), int(excused.sum()))


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
