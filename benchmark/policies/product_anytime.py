"""Exit when the product of the exits so far is sure (Product Anytime: Jazbec et al., NeurIPS 2023, 2306.02652)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy
from benchmark.types import ExitbenchError

EXPERTS = ("softmax", "relu")


@dataclass(frozen=True)
class ProductAnytime(ThresholdPolicy):
    """Stops at max_c q_m(c) >= threshold, q_m(c) ∝ Π_{i ≤ m} e_i(c): a product of experts over the exits so far.

    experts: e_i is the exit's "softmax", or its logits cut off below 0, "relu", as in the paper; where that leaves no
    class, q_m is the exit's softmax, the authors' fall-back. Of two classes often one logit is negative, and then
    "relu" is sure at once; so softmax is the default. The exits count alike, and the threshold is ours: the paper
    changes answers and leaves stopping to a clock. The model answers with this exit, not with the product.
    """

    experts: str = "softmax"
    name: ClassVar[str] = "product_anytime"
    rising: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.experts not in EXPERTS:
            raise ExitbenchError(f"policy.experts: expected one of {', '.join(EXPERTS)}, got {self.experts!r}")

    def signal(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) and Σ log e_i so far, (b, C) or (b, 0) before the first -> largest q (b,) and the sums."""
        expert = logits.clamp(min=0).log() if self.experts == "relu" else logits.log_softmax(-1)
        sums = expert + state.to(expert.dtype) if state.shape[1] else expert  # −∞ where an expert excludes a class
        excluded = sums.isneginf().all(-1, keepdim=True)
        return torch.where(excluded, logits, sums).softmax(-1).amax(-1), sums

    def ops(self, num_classes: int) -> int:
        """Expert 5C − 1, or C comparisons and C log; sum C, softmax 5C − 2, largest C − 1, comparison."""
        return (5 * num_classes - 1 if self.experts == "softmax" else 2 * num_classes) + 7 * num_classes - 2
