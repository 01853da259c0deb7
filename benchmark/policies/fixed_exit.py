"""Answer at one and the same exit for every sample: the static choice that early exit must beat."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy
from benchmark.types import ExitbenchError


@dataclass(frozen=True)
class FixedExit(ThresholdPolicy):
    """Exit `exit` stops every sample, none before it does; a number beyond the last exit means the last.

    As a rule it still computes the heads of the exits before; `models.fixed_exit` is the network without them.
    """

    threshold: float = 0.0
    exit: int = 1
    name: ClassVar[str] = "fixed_exit"
    rising: ClassVar[bool] = True
    tunable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.exit, bool) or not isinstance(self.exit, int) or self.exit < 1:
            raise ExitbenchError(f"policy.exit: expected the number of an exit, from 1, got {self.exit!r}")
        if self.threshold != 0:
            raise ExitbenchError(
                f"policy.threshold: expected 0, as fixed_exit has none to choose, got {self.threshold}"
            )

    def fixed_exit(self, num_exits: int) -> int:
        """Exit `exit`."""
        return min(self.exit, num_exits)

    def at(self, threshold: float) -> Self:
        """The rule itself."""
        return self

    def start(self, size: int, device: str) -> Tensor:
        """State (b, 1): exits so far."""
        return torch.zeros(size, 1, device=device)

    def signal(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> infinity (b,) from exit `exit` on, minus infinity before."""
        state = state + 1
        return torch.where(state[:, 0] >= self.exit, math.inf, -math.inf), state

    def ops(self, num_classes: int) -> int:
        """0: the logits are not read."""
        return 0
