"""Exit once one class has enough votes of the exits so far (Sun et al., 2021, arXiv 2105.13792: voting)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy
from benchmark.types import ExitbenchError


@dataclass(frozen=True)
class Vote(ThresholdPolicy):
    """Stops at exit m once max_c votes_c / m^scale >= threshold, votes_c counting the exits 1 … m that answered c.

    scale: 0 counts votes, and the threshold is a number of votes. Towards 1 it becomes their share, which would stop at
    exit 1 or never. Only a vote for a class raises its score, so the class that reaches the threshold first is the
    answer of this exit. If none reaches it, the last exit answers, not the majority. The paper's public material
    describes voting by all past classifiers; the exact formula is ours.
    """

    scale: float = 0.0
    name: ClassVar[str] = "vote"
    rising: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.scale, bool) or not isinstance(self.scale, int | float) or not 0 <= self.scale < 1:
            raise ExitbenchError(f"policy.scale: expected a number in [0, 1), got {self.scale!r}")

    def signal(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) and votes so far, (b, C) or (b, 0) before the first -> the largest score (b,) and the votes."""
        ballot = torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).float()
        votes = ballot + state if state.shape[1] else ballot
        return votes.amax(-1) / votes.sum(-1) ** self.scale, votes

    def ops(self, num_classes: int) -> int:
        """Best class C − 1, its vote 1, most votes C − 1, comparison; with a scale also ÷."""
        return 2 * num_classes + (self.scale > 0)
