"""Exit when the entropy of the softmax falls below the threshold (DeeBERT, ACL 2020, section 3.2).

Normalised by ln C it is FastBERT's uncertainty (ACL 2020, section 3.3), and the threshold its "speed".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from benchmark.policies.base import ThresholdPolicy
from benchmark.policies.calibration.certainty import entropy


@dataclass(frozen=True)
class Entropy(ThresholdPolicy):
    """Stops at entropy < threshold, in nats, or in [0, 1] where normalised: 0 never stops, above the maximum always."""

    normalised: bool = False  # divided by its maximum, ln C
    name: ClassVar[str] = "entropy"
    rising: ClassVar[bool] = False

    def signal(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> entropy in nats (b,)."""
        nats = entropy(logits)
        return nats / math.log(logits.shape[-1]) if self.normalised else nats, state

    def ops(self, num_classes: int) -> int:
        """Log-softmax 5C − 1, exp C, p log p C, sum C − 1, comparison; normalised also ÷."""
        return 8 * num_classes - 1 + self.normalised
