"""Never exit early: full depth, the null object among the policies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from benchmark.decide import ThresholdPolicy


@dataclass(frozen=True)
class Never(ThresholdPolicy):
    """No exit but the last stops; it has no threshold to choose."""

    threshold: float = math.inf
    name: ClassVar[str] = "never"
    rising: ClassVar[bool] = True

    def signal(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> zeros (b,), which no threshold is reached by."""
        return torch.zeros(len(logits), device=logits.device), state
