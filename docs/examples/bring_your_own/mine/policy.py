"""An exit rule: leave where the best class is far enough ahead of the second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from benchmark.policies.base import ThresholdPolicy


@dataclass(frozen=True)
class Margin(ThresholdPolicy):
    """Stops where the two largest probabilities differ by the threshold or more, a number in [0, 1]."""

    name: ClassVar[str] = "margin"
    rising: ClassVar[bool] = True  # stops when the signal reaches the threshold; False: when it falls below

    def signal(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> margin (b,); the state is for rules that remember."""
        best, second = logits.softmax(-1).topk(2, -1).values.unbind(-1)
        return best - second, state
