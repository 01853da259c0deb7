"""Exit at the thresholds of the released budgeted-batch protocol: a geometric sweep of exit fractions (MSDNet, DVT)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from benchmark.policies.calibration import geometric_sweep
from benchmark.policies.calibration.budget_families import by_measure
from benchmark.policies.calibration.certainty import SIGNALS
from benchmark.policies.calibration.evidence import Evidence
from benchmark.policies.calibration.per_exit import PerExit, point_given
from benchmark.types import Trace
from benchmark.utils import checks


@dataclass(frozen=True)
class Geometric(PerExit):
    """Thresholds on the largest probability at which shares ∝ q^k of the calibration samples leave at exit k.

    point: p = 1 … 59 of the protocol, for q = p / 20. q: any other ratio above 0, instead of the point's.
    """

    point: int = 20
    q: float | None = None
    name: ClassVar[str] = "geometric"

    def __post_init__(self) -> None:
        super().__post_init__()
        point_given(self.point)
        if self.q is not None:
            checks.positive("policy.q", self.q)

    def sureness(self, logits: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (b, C) -> largest probability (b,)."""
        return SIGNALS["confidence"][0](logits), state

    def ops(self, num_classes: int) -> int:
        """As the budget's."""
        return SIGNALS["confidence"][2](num_classes)

    def fit(self, trace: Trace, macs: Tensor) -> Self:
        """The rule with the thresholds that the protocol finds."""
        q = torch.tensor([self.q or self.point / geometric_sweep.STEP], dtype=torch.float64)
        return self.with_thresholds(geometric_sweep.sweep(self.evidence(trace, macs), q)[0])

    def evidence(self, trace: Trace, macs: Tensor) -> Evidence:
        """By confidence."""
        return by_measure(trace, macs, "confidence")

    def family(self, trace: Trace, macs: Tensor) -> Tensor:
        """The thresholds (59, E − 1) of the whole sweep."""
        return geometric_sweep.sweep(self.evidence(trace, macs))

    def facts(self, trace: Trace, macs: Tensor) -> dict[str, Any]:
        """The ratio of the shares."""
        return {"q": self.q or self.point / geometric_sweep.STEP}
