"""Never exit early: full depth, the null object among the policies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy
from benchmark.types import ExitbenchError


@dataclass(frozen=True)
class Never(ThresholdPolicy):
    """No exit but the last stops; it has no threshold to choose."""

    threshold: float = math.inf
    name: ClassVar[str] = "never"
    rising: ClassVar[bool] = True
    tunable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threshold != math.inf:
            raise ExitbenchError(f"policy.threshold: expected .inf, as never has none, got {self.threshold}")

    def fixed_exit(self, num_exits: int) -> int:
        """Exit E."""
        return num_exits

    def at(self, threshold: float) -> Self:
        """The rule itself."""
        return self

    def signal(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> minus infinity (b,), which is below every threshold."""
        return torch.full((len(logits),), -math.inf, device=logits.device), state

    def step_one(self, logits: Tensor, state: Tensor) -> tuple[bool, Tensor]:
        """Always false; the logits are not read."""
        return False, state

    def ops(self, num_classes: int) -> int:
        """0: nothing is computed."""
        return 0
