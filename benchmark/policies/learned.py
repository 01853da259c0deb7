"""Exit when a learned certainty reaches the threshold (BERxiT, EACL 2021, section 3.3: learning to exit)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from benchmark.policies.base import ThresholdPolicy


@dataclass(frozen=True)
class Learned(ThresholdPolicy):
    """Stops at sigmoid(certainty) >= threshold, a probability that the answer is right; above 1 never stops.

    The certainty is a linear layer of the model's own exit, trained for this (`learn_to_exit`), and its MACs
    belong to the model: they are counted at every exit under every rule.
    """

    name: ClassVar[str] = "learned"
    rising: ClassVar[bool] = True
    reads: ClassVar[str] = "extra"

    def signal(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Extra columns (b, X), the first a certainty before the sigmoid -> its sigmoid (b,)."""
        return logits[:, 0].sigmoid(), state

    def ops(self, num_classes: int) -> int:
        """exp, +, ÷, comparison."""
        return 4
