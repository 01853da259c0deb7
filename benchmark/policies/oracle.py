"""Exit at the first exit that is right: the bound that no rule can reach, as it knows the labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy


@dataclass(frozen=True)
class Oracle(ThresholdPolicy):
    """Leaves at the first exit that is right; a bound on traces, as nothing that runs live can know it.

    threshold: a sample first right at this depth or deeper is given up and leaves at exit 1, at the least cost. At
    infinity only those are that no exit gets right, so score and saving are both the best there are; at smaller depths
    the best score for fewer MACs.
    """

    threshold: float = math.inf
    name: ClassVar[str] = "oracle"
    rising: ClassVar[bool] = True
    reads: ClassVar[str] = "hindsight"

    def start(self, size: int, device: str) -> Tensor:
        """State (b, 1): exits seen."""
        return torch.zeros(size, 1, device=device)

    def signal(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Depth of the first right exit (b, 1), infinity for none -> that at exit 1, infinity where it is here (b,)."""
        depth, first = state[:, 0] + 1, logits[:, 0]
        here = torch.where(first == depth, math.inf, -math.inf)
        return torch.where((depth == 1) & (first > 1), first, here), depth[:, None]

    def ops(self, num_classes: int) -> int:
        """None: nothing runs."""
        return 0
