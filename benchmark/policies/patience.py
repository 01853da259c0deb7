"""Exit when the answer has stayed the same for `threshold` exits in a row (PABEE, NeurIPS 2020, section 3.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy
from benchmark.types import ExitbenchError


@dataclass(frozen=True)
class Patience(ThresholdPolicy):
    """Stops once `threshold` (the patience t) exits have agreed with the one before; earliest at exit t + 1."""

    name: ClassVar[str] = "patience"
    rising: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threshold < 0 or not (math.isinf(self.threshold) or self.threshold == int(self.threshold)):
            raise ExitbenchError(f"policy.threshold: expected a whole number of exits, got {self.threshold}")

    def at(self, threshold: float) -> Self:
        """The rule at the next whole number of exits, which decides as the threshold does."""
        return super().at(threshold if math.isinf(threshold) else math.ceil(threshold))

    def start(self, size: int, device: str) -> Tensor:
        """State (b, 2): the last answer (−1 before the first) and how often in a row it was repeated."""
        return torch.tensor([-1, 0], device=device).repeat(size, 1)

    def signal(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> number of agreements in a row so far (b,)."""
        answer = logits.argmax(-1)
        count = torch.where(answer == state[:, 0], state[:, 1] + 1, 0)
        return count, torch.stack([answer, count], 1)

    def ops(self, num_classes: int) -> int:
        """Best class C − 1, comparison with the last answer, + 1, comparison."""
        return num_classes + 2
