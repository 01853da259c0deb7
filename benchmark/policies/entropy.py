"""Exit when the entropy of the softmax falls below the threshold (DeeBERT, ACL 2020, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from benchmark.decide import ThresholdPolicy


@dataclass(frozen=True)
class Entropy(ThresholdPolicy):
    """Stops at entropy < threshold, in nats: 0 never stops, above ln C always does."""

    name: ClassVar[str] = "entropy"
    rising: ClassVar[bool] = False

    def signal(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> entropy in nats (b,)."""
        log_p = logits.log_softmax(-1)
        return torch.special.entr(log_p.exp()).sum(-1), state
