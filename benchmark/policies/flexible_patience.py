"""Exit after several exits in a row with similar predictions (F-PABEE, ICASSP 2023, arXiv 2305.11916, section 2.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy
from benchmark.types import ExitbenchError


@dataclass(frozen=True)
class FlexiblePatience(ThresholdPolicy):
    """Stops once the last `patience` exits each lay within the threshold of the one before; earliest at patience + 1.

    The distance of two exits is the Jensen–Shannon divergence of their softmax, in nats, 0 to ln 2: of the paper's
    measures the one that it finds best. The threshold is chosen on calibration data; `patience` is not. As an exit that
    is not similar sets the counter to 0, the last `patience` distances decide, and their largest is the signal. The
    model answers with this exit.
    """

    patience: int = 1
    name: ClassVar[str] = "flexible_patience"
    rising: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.patience, bool) or not isinstance(self.patience, int) or self.patience < 1:
            raise ExitbenchError(f"policy.patience: expected a whole number of exits from 1, got {self.patience!r}")

    def start(self, size: int, device: str) -> Tensor:
        """State (b, t + C): the last t distances, infinity before the first, and the last softmax; (b, t) before it."""
        return torch.full((size, self.patience), math.inf, device=device)

    def signal(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> the largest of the last t distances (b,); infinity before exit t + 1."""
        p, (distances, before) = logits.softmax(-1), state.tensor_split([self.patience], 1)
        if before.shape[1]:
            distances = torch.cat([distances[:, 1:], _divergence(p, before.to(p.dtype))[:, None].to(state.dtype)], 1)
        return distances.amax(-1), torch.cat([distances, p.to(state.dtype)], 1)

    def ops(self, num_classes: int) -> int:
        """Softmax 5C − 2, mean 2C, three entropies 3C − 1 each, mean and difference 3, largest t − 1, comparison."""
        return 16 * num_classes - 2 + self.patience


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    """Jensen–Shannon divergence of p and q (b, C) -> (b,) in nats: entropy of the mean less the mean entropy."""
    mean, each = (torch.special.entr(x).sum(-1) for x in ((p + q) / 2, torch.stack([p, q])))
    return (mean - each.mean(0)).clamp(min=0)  # rounding of equal distributions must not fall below 0
