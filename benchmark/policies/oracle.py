"""Exit at the first exit whose answer is right: an upper bound that knows the labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy


@dataclass(frozen=True)
class Oracle(ThresholdPolicy):
    """Exits at the first right answer; for traces only, as a live run does not know the labels.

    threshold: samples whose first right exit is at this depth or deeper exit at exit 1 instead, at the lowest cost. At
    infinity these are only the samples that no exit gets right, so that score and saving are both the best possible.
    Smaller depths give the best score for fewer MACs.
    """

    threshold: float = math.inf
    name: ClassVar[str] = "oracle"
    rising: ClassVar[bool] = True
    reads: ClassVar[str] = "hindsight"

    def start(self, size: int, device: str) -> Tensor:
        """State (b, 1): exits so far."""
        return torch.zeros(size, 1, device=device)

    def signal(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Depth of the first right exit (b, 1), infinity for none -> signal (b,): infinity if it is this exit."""
        depth, first = state[:, 0] + 1, logits[:, 0]
        here = torch.where(first == depth, math.inf, -math.inf)
        return torch.where((depth == 1) & (first > 1), first, here), depth[:, None]

    def ops(self, num_classes: int) -> int:
        """0: nothing runs live."""
        return 0
