"""Exit after several confident exits in a row (PCEE-BERT, Findings of NAACL 2022, section 3: patient and confident)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from benchmark.policies.base import ThresholdPolicy
from benchmark.types import ExitbenchError


@dataclass(frozen=True)
class PatientConfident(ThresholdPolicy):
    """Stops once the last `patience` exits all had normalised entropy < threshold; earliest at exit `patience`.

    The threshold is a share of the largest entropy ln C and is chosen on calibration data; `patience` is not. The
    answers of the confident exits may differ. The model answers with this exit alone, as with the authors'
    `do_ensemble=0`.
    """

    patience: int = 2
    name: ClassVar[str] = "pcee"
    rising: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.patience, bool) or not isinstance(self.patience, int) or self.patience < 1:
            raise ExitbenchError(f"policy.patience: expected a whole number of exits from 1, got {self.patience!r}")

    def start(self, size: int, device: str) -> Tensor:
        """State (b, t): the last t entropies, infinity before the first."""
        return torch.full((size, self.patience), math.inf, device=device)

    def signal(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> the largest of the last t normalised entropies (b,); infinity before exit t."""
        log_p = logits.log_softmax(-1)
        entropy = torch.special.entr(log_p.exp()).sum(-1) / math.log(logits.shape[-1])
        state = torch.cat([state[:, 1:], entropy[:, None].to(state.dtype)], 1)
        return state.amax(-1), state

    def ops(self, num_classes: int) -> int:
        """Log-softmax 5C − 1, exp C, p log p C, sum C − 1, ÷, the largest of t: t − 1, comparison."""
        return 8 * num_classes - 1 + self.patience
