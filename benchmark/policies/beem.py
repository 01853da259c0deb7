"""Exit when the summed confidence of exits that agree reaches the threshold (BEEM, ICLR 2025, arXiv 2502.00745)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy


@dataclass(frozen=True)
class AgreeingExperts(ThresholdPolicy):
    """Stops at S_i >= threshold: S_i = S_{i−1} + p_i where exit i answers as exit i − 1 did, else S_i = p_i.

    p_i: the largest softmax probability of exit i. A threshold of at most 1 can stop at exit 1; one above the number of
    exits never stops. The paper weights p_i by the exit's cost or accuracy and sets a threshold for each exit from its
    error rate; here all weights are 1, because a rule sees no costs and no labels, and one threshold is chosen like
    that of every other rule.
    """

    name: ClassVar[str] = "beem"
    rising: ClassVar[bool] = True

    def start(self, size: int, device: str) -> Tensor:
        """State (b, 2): the last answer (−1 before the first) and the sum so far."""
        return torch.tensor([-1.0, 0.0], device=device).repeat(size, 1)

    def signal(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> summed confidence of the exits that agree (b,)."""
        confidence, answer = logits.softmax(-1).max(-1)
        total = confidence + torch.where(answer == state[:, 0], state[:, 1], 0).to(confidence.dtype)
        return total, torch.stack([answer.to(state.dtype), total.to(state.dtype)], 1)

    def ops(self, num_classes: int) -> int:
        """Softmax 5C − 2, largest C − 1, comparison with the last answer, +, comparison."""
        return 6 * num_classes
