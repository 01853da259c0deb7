"""Exit when the largest softmax probability reaches the threshold (DVT section 3.5, SDN, MSDNet)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from benchmark.policies.base import ThresholdPolicy
from benchmark.policies.calibration.certainty import confidence


@dataclass(frozen=True)
class Confidence(ThresholdPolicy):
    """Stops at max softmax >= threshold, a probability; a threshold above 1 never stops."""

    name: ClassVar[str] = "confidence"
    rising: ClassVar[bool] = True

    def signal(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> largest probability (b,)."""
        return confidence(logits), state

    def ops(self, num_classes: int) -> int:
        """Softmax 5C − 2, largest C − 1, comparison."""
        return 6 * num_classes - 2
